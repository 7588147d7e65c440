"""Shows why a worker of pytest-xdist died: the signal, the stacks that faulthandler wrote, and lack of memory.

pytest has faulthandler write to standard error, apart from the report, and a killed worker writes nothing at all.
"""

from __future__ import annotations

import faulthandler
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

FOLDER = "TESTS_CRASHES_FOLDER"
"""The variable by which workers know the folder."""


class Crashes:
    """A plugin of pytest, for the controller and for its workers."""

    def __init__(self) -> None:
        self._killed = oom_kills()
        self._exits: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        if worker := os.environ.get("PYTEST_XDIST_WORKER"):
            file = Path(os.environ[FOLDER], worker).open("w", encoding="utf-8")  # noqa: SIM115  open to the end
            config.add_cleanup(file.close)
            faulthandler.enable(file)
        else:
            folder = tempfile.TemporaryDirectory(prefix="wattspan-crashes-")
            config.add_cleanup(folder.cleanup)
            os.environ[FOLDER] = folder.name

    @pytest.hookimpl(optionalhook=True)  # of pytest-xdist
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error:
            program = node.gateway._io.popen
            self._exits.append(f"{node.gateway.id} ended with {program.wait()} (below 0: by this signal)")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for file in sorted(Path(os.environ[FOLDER]).iterdir()):
            if text := file.read_text(encoding="utf-8", errors="replace"):
                terminalreporter.section(f"the crash of {file.name}")
                terminalreporter.write_line(text)
        for line in self._exits:
            terminalreporter.write_line(line)
        if killed := oom_kills() - self._killed:
            terminalreporter.write_line(f"the kernel killed {killed} processes of this machine for want of memory")


def oom_kills() -> int:
    """Return how many processes the kernel has killed since it started, for want of memory; 0 if it does not say."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text(encoding="utf-8").splitlines())
    except OSError:
        return 0
    return int(counts.get("oom_kill", 0))
