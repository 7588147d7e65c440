"""A small part of `make fuzz`, the same frames each time: broken frames cost no session its life."""

import time
from pathlib import Path

from fuzz import labels
from fuzz.drive import Drive
from support.central import Csms


async def test_broken_frames_are_answered_once_and_sessions_serve_on(tmp_path: Path) -> None:
    csms = Csms(tmp_path / "fuzz.db")
    await csms.start()
    try:
        drive = Drive(csms, seed=7, chargers=2)
        await drive.run(1_000, time.monotonic() + 40)
        await drive.serves()
        assert drive.misfits() == []
        assert labels.faults(await csms.page()) == []
    finally:
        await csms.stop()
