"""A worker of pytest-xdist that dies leaves the stack of the test that killed it in the output."""

import os
import signal
import subprocess
import sys
from pathlib import Path

CONFTEST = """
import pytest
from support.crashes import Crashes

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    config.pluginmanager.register(Crashes())
"""
DIES = """
import os

def test_that_dies():
    os.abort()
"""


def test_the_output_has_the_stack_of_a_worker_that_died(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_dies.py").write_text(DIES)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {Path(__file__).parents[1]}\n")
    plugins = [f"no:{each}" for each in ("schemathesis", "hypothesispytest", "asyncio", "anyio", "timeout")]
    options = [option for each in plugins for option in ("-p", each)]
    command = [sys.executable, "-m", "pytest", "-n", "1", "--max-worker-restart", "0", *options]
    unset = ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "the crash of gw0" in done.stdout, done.stdout + done.stderr
    assert "in test_that_dies" in done.stdout
    assert f"gw0 ended with {-signal.SIGABRT}" in done.stdout
