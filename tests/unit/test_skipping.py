"""Nothing is skipped in CI for want of a tool."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

def test_without_a_tool(): pytest.skip("no tool")

@pytest.mark.skipif(True, reason="no tool")
def test_not_even_tried(): pass

@pytest.mark.privileged
def test_forbidden_here(): pytest.skip("forbidden")

@pytest.mark.xfail(strict=True)
def test_known_to_fail(): assert False
"""


def test_a_test_without_its_tool_fails_in_ci(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    plugins = ("conftest", "no:cacheprovider", "no:schemathesis", "no:hypothesispytest")
    options = [*(f"-p{each}" for each in plugins), "-c", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_it.py")],
        check=False,
        env=os.environ | {"CI": "true", "PYTHONPATH": f"{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
    )
    assert " 1 failed, 1 skipped, 1 xfailed, 1 error in " in done.stdout.splitlines()[-1], done.stdout
