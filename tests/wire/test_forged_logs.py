"""Text of a charge point or of a user never makes a log line of its own, nor reaches a terminal as a command."""

import io
import logging
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from support.central import Csms
from support.chargers import BOOT
from support.operators import anonymous
from wattspan.settings import Settings
from wattspan.telemetry.logs import TextFormatter, setup_logging

FORGED = "12:00:00.000 error    gateway: forged"
HOSTILE = f"x\r\n{FORGED}\x1b[2J\x1b]0;title\x07\x9b31m\u2028{FORGED}\u202eabc\x00\x85{FORGED}"
LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (debug|info|warning|error|critical) +[\w.]+: .*|    .*")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the server writes; the root logger is as before afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    written = io.StringIO()
    setup_logging(Settings(log_level="info"), written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def assert_none_is_forged(text: str) -> None:
    assert "forged" in text  # it was logged
    for line in text.rstrip("\n").split("\n"):
        assert LINE.fullmatch(line), line
        assert line.isprintable(), line
        assert not line.startswith(FORGED)


async def test_an_identity_a_vendor_and_a_name_forge_no_line(make_csms, stream: io.StringIO) -> None:  # type: ignore[no-untyped-def]
    csms: Csms = await make_csms(plugins=["audit"], audit_unmasked=True, unknown_charge_points="accept")
    for hostile in (HOSTILE, "CP cp_id=CP2"):
        async with csms.raw_charger(f"/ws/{quote(hostile, safe='')}"):
            pass
    identity = f"CP1 {FORGED} level=error"
    async with csms.charger(identity) as charger:
        await charger.call("BootNotification", {**BOOT, "chargePointVendor": HOSTILE, "chargePointModel": HOSTILE})
        await charger.send_raw(HOSTILE)
        await charger.call("DataTransfer", {"vendorId": HOSTILE, "data": HOSTILE})
    async with anonymous(csms) as stranger:
        await stranger.send("POST", "/session", json={"name": FORGED, "password": HOSTILE})
        await stranger.send("GET", f"/charge-points/{quote(HOSTILE, safe='')}", headers={"User-Agent": "x forged"})
    assert_none_is_forged(stream.getvalue())


def test_message_fields_and_traceback_stay_apart() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as exc:
        record = logging.makeLogRecord(
            {"name": "wattspan.gateway", "levelname": "WARNING", "msg": "odd %s", "args": (HOSTILE,)}
            | {"exc_info": (ValueError, exc, exc.__traceback__), "cp_id": f"CP1\n{FORGED}", "vendor": 'a level="error"'}
        )
    text = TextFormatter().format(record)
    assert_none_is_forged(text)
    assert text.split("\n")[0].endswith(rf' cp_id="CP1\n{FORGED}" vendor="a level=\"error\""')
