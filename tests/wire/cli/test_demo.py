"""`wattspan demo` prints the console's address and a login, with a new password each time."""

import asyncio
import re
import sys
from pathlib import Path

import httpx
import pytest

from support.waiting import eventually

START_S = 60.0
"""Far above what it takes, for a machine that is busy."""
LOGIN_LINE = re.compile(r"^open (http://127\.0\.0\.1:\d+)/ and log in as admin, password (\S+)$", re.MULTILINE)

LAST_LINE = re.compile(r"\d+ sessions, [\d.]+ kWh delivered; saved in \S+\.db$")
"""Without the number of those connected, which is 0 when all has ended."""


async def log_in(folder: Path) -> str:
    """Start the demo, log in with what it prints, stop it. Return the password."""
    ports = [word for name in ("port", "metrics-port", "api-port") for word in (f"--{name}", "0")]
    command = [sys.executable, "-m", "wattspan", "demo", "--charge-points", "1", *ports]
    child = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    output = ""
    try:
        async with asyncio.timeout(START_S):
            while not (match := LOGIN_LINE.search(output)):
                line = await child.stdout.readline()
                assert line, output
                output += line.decode()
        url, password = match.groups()
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            answer = await http.post("/api/v1/session", json={"name": "admin", "password": password})
            assert answer.json()["role"] == "admin"

            async def tag_is_used() -> bool:
                tags = (await http.get("/api/v1/id-tags")).json()["items"]
                return any(each["last_used_at"] for each in tags)

            await eventually(tag_is_used, within_s=START_S)  # in the past, and written every few seconds
    finally:
        child.terminate()
        rest, _ = await child.communicate()
    assert child.returncode == 0
    assert (output + rest.decode()).count(password) == 1
    assert LAST_LINE.match(rest.decode().splitlines()[-1])
    return password


@pytest.mark.timeout(180)
async def test_the_demo_prints_a_login_that_works_with_a_new_password_each_time(tmp_path: Path) -> None:
    assert await log_in(tmp_path) != await log_in(tmp_path)
