"""The command line beside a central system, with a configuration folder of its own."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wattspan.cli import main

Run = Callable[..., Awaitable[Result]]
Basic = Callable[[str, str], dict[str, str]]


@pytest.fixture
def basic() -> Basic:
    """The headers of a charge point that has this identity and password."""
    return lambda cp_id, password: {
        "Authorization": "Basic " + base64.b64encode(f"{cp_id}:{password}".encode()).decode()
    }


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `wattspan` with these arguments in a thread, and check its exit code; `stdin` is its standard input."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    for name in ("WATTSPAN_TOKEN", "WATTSPAN_API_URL", "WATTSPAN_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    async def run(*words: Any, code: int = 0, stdin: str | bytes | None = None, **environment: str) -> Result:
        def invoke() -> Result:
            return CliRunner().invoke(main, [str(word) for word in words], input=stdin, env=environment)

        result = await asyncio.to_thread(invoke)
        assert result.exit_code == code, result.output
        return result

    return run
