"""README.md: its commands and its program, run as they stand there, in their order, as one story.

What changes the machine or needs Docker (`pip install`, `make`, `wattspan stack`) is not run here: `.ci/run` installs
the wheel, and tests/unit/docs/test_commands.py parses every command. Addresses differ: free ports of loopback.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from pathlib import Path

import pytest

from stack.process import running
from stack.shell import FREE_PORTS, STEP_S, Shell
from support.chargers import START, Charger, stop
from support.documents import ROOT, blocks

pytestmark = pytest.mark.timeout(300)

README = (ROOT / "README.md").read_text(encoding="utf-8")
PASSWORD = "correct horse battery"


def block(with_text: str) -> str:
    """The one shell block that has this text."""
    (found,) = (each for each in blocks(README, "") if with_text in each)
    return found


def shell(folder: Path) -> Shell:
    return Shell(folder, FREE_PORTS | {"WATTSPAN_ADMIN_PASSWORD": PASSWORD}, {"0.0.0.0": "127.0.0.1"})


async def accepting(charger: Charger, action: str) -> dict[str, object]:
    """Accept the next command, which must be this one; return its payload."""
    frame = await charger.expect()
    assert frame[2] == action
    await charger.reply(frame, {"status": "Accepted"})
    payload: dict[str, object] = frame[3]
    return payload


async def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    story = shell(tmp_path)
    *registered, serve = block("wattspan cp add").strip().splitlines()
    printed = await story.run("\n".join(registered))
    secret = re.search(r"^\w{16,}$", printed, re.MULTILINE)
    assert secret is not None, printed
    assert "CP1" in printed.splitlines()[-1]
    assert await story.run("wattspan config check")
    async with story.server("server", serve) as there:
        token = (
            await story.run(f"echo '{PASSWORD}' | wattspan login --print --url http://{there['API']} --user admin")
        ).strip()
        story.environment["TOKEN"] = token
        basic = base64.b64encode(f"CP1:{secret[0]}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        async with Charger(f"ws://{there['charge points']}/CP1", additional_headers=headers) as charger:
            curl = block("curl -H").replace("127.0.0.1:8080", there["API"])
            started = asyncio.create_task(story.run(curl))
            assert await accepting(charger, "RemoteStartTransaction") == {"idTag": "04E1C9", "connectorId": 1}
            assert '"Accepted"' in await started
        simulate = block("wattspan simulate").replace("127.0.0.1:9000", there["charge points"]).strip()
        await story.run(f"{simulate.replace('200', '9')} --duration 3")
        assert json.loads((tmp_path / "did.json").read_text())


async def test_the_program_of_the_readme_runs(tmp_path: Path) -> None:
    (program,) = blocks(README, "python")
    ports = 'database="fleet.db", port=0, metrics_port=0, api_port=0'
    assert 'database="fleet.db"' in program
    (tmp_path / "program.py").write_text(program.replace('database="fleet.db"', ports))
    environment = shell(tmp_path).environment | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "program.py"]
    async with running("program", command, folder=tmp_path, environment=environment) as running_program:

        async def printed(pattern: str) -> str:
            async def has() -> bool:
                return re.search(pattern, running_program.log.read_text(), re.MULTILINE) is not None

            await running_program.until(has, f"printing {pattern}", within_s=STEP_S)
            match = re.search(pattern, running_program.log.read_text(), re.MULTILINE)
            assert match is not None
            return match[1]

        url = await printed(r"(ws://\S+/CP1)$")
        async with Charger(url) as charger:
            assert await accepting(charger, "RemoteStartTransaction") == {"idTag": "04E1C9", "connectorId": 1}
            await printed(r"^Accepted ([0-9a-f]{32})$")
            transaction = (await charger.call("StartTransaction", START))["transactionId"]
            await charger.call("StopTransaction", stop(transaction))
            assert await printed(r"^ended: CP1 (\d+)$") == str(transaction)
