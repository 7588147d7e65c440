"""The commands of docs/operating.md, run as they stand there, in their order, as one story."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click
import httpx
import pytest

from stack.process import Program, running
from support.chargers import BOOT, Charger
from wattspan.cli import main

pytestmark = pytest.mark.timeout(600)

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
SERVE = "wattspan serve\n"
API = "http://127.0.0.1:8080"
"""Where the document has it."""
PASSWORD = "correct horse battery"
STEP_S = 200.0


def blocks() -> list[str]:
    """The blocks marked `sh`."""
    return re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


class Story:
    """A machine on which the commands run: folders, an environment, and the addresses that the server told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.environment = {
            "WATTSPAN_CONFIG": str(self.etc / "wattspan.toml"),
            "XDG_CONFIG_HOME": str(folder / "home"),
            "ADMIN_PASSWORD": PASSWORD,
            "SAMS_PASSWORD": PASSWORD,
            "PYTHONPATH": os.pathsep.join(str(Path(part).resolve()) for part in sys.path if part),
        }
        self.replaced = {
            "/etc/wattspan": str(self.etc),
            "/var/lib/wattspan": str(folder / "lib"),
            "/var/backups/wattspan": str(folder / "backups"),
        }

    async def run(self, script: str) -> str:
        """What a script prints; it must end well, each command of it."""
        return await asyncio.to_thread(self._run, script)

    def _run(self, script: str) -> str:
        for example, here in self.replaced.items():
            script = script.replace(example, here)
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
    async def server(self, name: str) -> AsyncIterator[dict[str, str]]:
        """The server as the document starts it, but on free ports of loopback: its ports by what is there."""
        ports = {f"WATTSPAN_{port}": "0" for port in ("PORT", "METRICS_PORT", "API_PORT")}
        given = self.environment | ports | {"WATTSPAN_HOST": "127.0.0.1"}
        command = [sys.executable, "-m", *SERVE.split()]
        async with running(name, command, folder=self.folder, environment=given) as program:
            await program.until(lambda: told(program), "serving", within_s=STEP_S)
            yield addresses(program)


def addresses(program: Program) -> dict[str, str]:
    """What the server said, `host:port` by what is there."""
    found = re.findall(r"^(charge points|metrics|API) +\w+://([\d.:]+)", program.log.read_text(), re.MULTILINE)
    return dict(found)


async def told(program: Program) -> bool:
    """Whether the server has said all."""
    return "API" in addresses(program)


async def connects(address: str, cp_id: str, secret: str) -> None:
    """A charge point with this secret is let in."""
    basic = base64.b64encode(f"{cp_id}:{secret}".encode()).decode()
    async with Charger(f"ws://{address}/ws/{cp_id}", additional_headers={"Authorization": f"Basic {basic}"}) as charger:
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"


async def test_the_commands_of_the_document_do_what_it_says(tmp_path: Path) -> None:
    story, printed = Story(tmp_path), []
    async with AsyncExitStack() as until_the_end:
        there: dict[str, str] = {}
        for block in blocks():
            before, serves, after = block.partition(SERVE)
            printed.append(await story.run(before))
            if serves:
                there = await until_the_end.enter_async_context(story.server("first"))
                story.replaced[API] = f"http://{there['API']}"
                assert not after
        everything = "\n".join(printed)
        secret = re.search(r"^[\w-]{16,}$", everything, re.MULTILINE)
        assert secret is not None
        await connects(there["charge points"], "CP1", secret[0])
    for wanted in ("CP1\tno", '"id_tag": "04AA"', "sam\toperator", "robin\tadmin"):
        assert wanted in everything, everything
    assert printed[-1].splitlines()[1].startswith("CP1\t")  # out of the backup
    trusted = ssl.create_default_context(cafile=str(story.etc / "cert.pem"))
    async with story.server("second") as there, httpx.AsyncClient(verify=trusted, trust_env=False) as http:
        assert (await http.get(f"https://{there['API']}/")).status_code == 200
        story.environment |= {"SSL_CERT_FILE": str(story.etc / "cert.pem")}
        listed = await story.run(
            f'echo "$ADMIN_PASSWORD" | wattspan login --url https://{there["API"]} --user robin; wattspan cp list'
        )
        assert "CP1\tno" in listed


def test_the_document_names_only_commands_that_there_are() -> None:
    named = set(re.findall(r"`wattspan ((?:[a-z]+ ?)+)", TEXT)) | set(
        re.findall(r"^wattspan ((?:[a-z]+ ?)+)", TEXT, re.M)
    )
    assert len(named) > 10
    for words in named:
        command: click.Command = main
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"wattspan {words}"
            command = found
