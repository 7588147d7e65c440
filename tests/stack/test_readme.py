"""README.md: its commands and its program, run as they stand there, in their order, as one story.

What changes the machine or needs Docker (`pip install`, `make`, `wattspan stack`) is not run here: `.ci/run` installs
the wheel, and tests/unit/docs/test_commands.py parses every command. Addresses differ: free ports of loopback.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack.process import Program, running
from support.chargers import START, Charger, stop
from support.documents import ROOT, blocks

pytestmark = pytest.mark.timeout(300)

README = (ROOT / "README.md").read_text(encoding="utf-8")
PASSWORD = "correct horse battery"
FREE_PORTS = {f"WATTSPAN_{name}": "0" for name in ("PORT", "METRICS_PORT", "API_PORT")}
STEP_S = 120.0


def block(with_text: str) -> str:
    """The one shell block that has this text."""
    (found,) = (each for each in blocks(README, "") if with_text in each)
    return found


class Story:
    """A folder in which the commands run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = FREE_PORTS | {
            "WATTSPAN_ADMIN_PASSWORD": PASSWORD,
            "XDG_CONFIG_HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join(str(Path(part).resolve()) for part in sys.path if part),
        }

    async def run(self, script: str) -> str:
        """Run a script in which each command must succeed; return what it prints."""
        return await asyncio.to_thread(self._run, script)

    def _run(self, script: str) -> str:
        whole = f'set -euo pipefail\nwattspan() {{ "{sys.executable}" -m wattspan "$@"; }}\n{script}'
        done = subprocess.run(
            ["/bin/bash", "-c", whole],
            cwd=self.folder,
            env=os.environ | self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=STEP_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    @asynccontextmanager
    async def server(self, command: str) -> AsyncIterator[dict[str, str]]:
        """`wattspan serve …` as it is shown; `host:port` by what is there."""
        words = command.replace("0.0.0.0", "127.0.0.1").split()
        whole = [sys.executable, "-m", *words]
        async with running("server", whole, folder=self.folder, environment=self.environment) as program:
            await program.until(lambda: serves(program), "serving", within_s=STEP_S)
            yield addresses(program)


def addresses(program: Program) -> dict[str, str]:
    found = re.findall(r"^(charge points|metrics|API) +\w+://([\d.:]+)", program.log.read_text(), re.MULTILINE)
    return dict(found)


async def serves(program: Program) -> bool:
    return "API" in addresses(program)


async def accepting(charger: Charger, action: str) -> dict[str, object]:
    """Accept the next command, which must be this one; return its payload."""
    frame = await charger.expect()
    assert frame[2] == action
    await charger.reply(frame, {"status": "Accepted"})
    payload: dict[str, object] = frame[3]
    return payload


async def test_the_commands_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    story = Story(tmp_path)
    *registered, serve = block("wattspan cp add").strip().splitlines()
    printed = await story.run("\n".join(registered))
    secret = re.search(r"^\w{16,}$", printed, re.MULTILINE)
    assert secret is not None, printed
    assert "CP1" in printed.splitlines()[-1]
    assert await story.run("wattspan config check")
    async with story.server(serve) as there:
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
    environment = Story(tmp_path).environment | {"PYTHONUNBUFFERED": "1"}
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
