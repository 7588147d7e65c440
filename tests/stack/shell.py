"""A folder in which the commands of a document run as they stand there. It knows no document."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from stack.process import Program, running

FREE_PORTS = {f"WATTSPAN_{name}": "0" for name in ("PORT", "METRICS_PORT", "API_PORT")}
STEP_S = 200.0


class Shell:
    """Runs scripts in `folder`, with `wattspan` as the one under test.

    `environment` and `replaced` (what a document has → what is meant here) may change between scripts.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], replaced: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = {
            "XDG_CONFIG_HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join(str(Path(part).resolve()) for part in sys.path if part),
            **environment,
        }
        self.replaced = dict(replaced or {})

    async def run(self, script: str) -> str:
        """Return what a script prints. Each of its commands must succeed."""
        return await asyncio.to_thread(self._run, script)

    def _run(self, script: str) -> str:
        script = self.meant(script)
        done = subprocess.run(
            ["/bin/bash", "-c", f'set -euo pipefail\nwattspan() {{ "{sys.executable}" -m wattspan "$@"; }}\n{script}'],
            cwd=self.folder,
            env=os.environ | self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=STEP_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def meant(self, script: str) -> str:
        """Return the script with this machine's paths and addresses instead of the document's."""
        for example, here in self.replaced.items():
            script = script.replace(example, here)
        return script

    @asynccontextmanager
    async def server(self, name: str, command: str = "wattspan serve") -> AsyncIterator[dict[str, str]]:
        """Start the server on free ports of loopback; yield `host:port` of `charge points`, `metrics` and `API`."""
        given = self.environment | FREE_PORTS | {"WATTSPAN_HOST": "127.0.0.1"}
        words = [sys.executable, "-m", *self.meant(command).split()]
        async with running(name, words, folder=self.folder, environment=given) as program:
            await program.until(lambda: _serves(program), "serving", within_s=STEP_S)
            yield _addresses(program)


def _addresses(program: Program) -> dict[str, str]:
    found = re.findall(r"^(charge points|metrics|API) +\w+://([\d.:]+)", program.log.read_text(), re.MULTILINE)
    return dict(found)


async def _serves(program: Program) -> bool:
    return "API" in _addresses(program)
