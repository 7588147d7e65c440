"""`wattspan demo` says where to go and how to get in, each time anew."""

import asyncio
import re
import sys
from pathlib import Path

import httpx
import pytest

START_S = 60.0
"""Far above what it takes; a machine at work on a build is slow."""
ENTRY = re.compile(r"^open (http://127\.0\.0\.1:\d+)/ and log in as admin, password (\S+)$", re.MULTILINE)


async def entered(folder: Path) -> str:
    """Start the demo, log in as it says, stop it; the password."""
    ports = [word for name in ("port", "metrics-port", "api-port") for word in (f"--{name}", "0")]
    command = [sys.executable, "-m", "wattspan", "demo", "--charge-points", "1", *ports]
    child = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    told = ""
    try:
        async with asyncio.timeout(START_S):
            while not (entry := ENTRY.search(told)):
                line = await child.stdout.readline()
                assert line, told
                told += line.decode()
        url, password = entry.groups()
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            answer = await http.post("/api/v1/session", json={"name": "admin", "password": password})
        assert answer.json()["role"] == "admin"
    finally:
        child.terminate()
        rest, _ = await child.communicate()
    assert child.returncode == 0
    assert (told + rest.decode()).count(password) == 1
    return password


@pytest.mark.timeout(180)
async def test_the_demo_tells_a_log_in_that_works_a_new_one_each_time(tmp_path: Path) -> None:
    assert await entered(tmp_path) != await entered(tmp_path)
