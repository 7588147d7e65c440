"""The API against its own OpenAPI document, as each role: no 5xx, and no answer that the document does not have."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.central import Csms
from support.chargers import START, Charger
from support.operators import anonymous, user_of_role

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

EXAMPLES = os.environ.get("WATTSPAN_EXAMPLES", "15")
"""Requests made up for each operation."""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# A charge point, a session and a user that are there, so that more than 404 is met; a token that is not, so that the
# one in use stays. Streams of events never end, and what is in them no schema of a string can tell.
CONFIGURATION = """\
[parameters]
cp_id = "CP1"
number = 1
name = "sam"
token_id = "0"
[[operations]]
include-path = "/api/v1/events"
enabled = false
[[operations]]
include-path = "/api/v1/charge-points/{cp_id}/messages"
enabled = false
"""


@asynccontextmanager
async def answering(csms: Csms) -> AsyncIterator[None]:
    """CP1, with a session, coming back whenever it is disconnected, that accepts whatever it is told."""

    async def accept(charger: Charger) -> None:
        with suppress(ConnectionClosed):
            while True:
                frame = await charger.expect()
                if frame[0] == 2:
                    await charger.reply(frame, {"status": "Accepted"})

    async def live() -> None:
        while True:
            try:
                async with csms.charger("CP1") as charger:
                    with suppress(ConnectionClosed, TimeoutError):
                        await charger.call("StartTransaction", START)
                        await accept(charger)
            except InvalidStatus:  # somebody made up a secret or a profile for it
                await csms.store.add_charge_point("CP1", None, security_profile=0)
                await asyncio.sleep(0.2)

    living = asyncio.create_task(live())
    try:
        await csms.becomes(1.0, "ocpp_tx_active", cp_id="CP1", connector_id="1")
        yield
    finally:
        living.cancel()
        with suppress(asyncio.CancelledError):
            await living


async def made_up(csms: Csms, folder: Path, *headers: str) -> tuple[int, str]:
    """Exit code and output of schemathesis."""
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    program = Path(sys.executable).with_name("schemathesis")
    address = f"http://127.0.0.1:{csms.central.api_port}/api/v1/openapi.json"
    options = ["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "-n", EXAMPLES, "--seed", "7", "--no-color"]
    credentials = [part for header in headers for part in ("-H", header)]
    child = await asyncio.create_subprocess_exec(
        str(program),
        "--config-file",
        str(configuration),
        "run",
        address,
        *options,
        *credentials,
        "--suppress-health-check=all",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    output, _ = await child.communicate()
    return child.returncode or 0, output.decode(errors="replace")


def faults(output: str) -> str:
    """What schemathesis found; the rest of what it says is longer."""
    return output[output.find(" FAILURES ") :][:8000]


@pytest.fixture
async def csms(tmp_path: Path) -> AsyncIterator[Csms]:
    found = Csms(tmp_path / "fleet.db", unknown_charge_points="accept", command_timeout_s=2.0, registration=True)
    await found.start()
    yield found
    await found.stop()


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_whatever_is_asked_as_each_role_the_answer_is_documented(csms: Csms, tmp_path: Path, role: str) -> None:
    async with user_of_role(csms, "viewer", "sam"), user_of_role(csms, role) as user, answering(csms):
        scopes = (await user.ask("GET", "/session"))["rights"]
        token = (await user.ask("POST", "/tokens", 201, json={"scopes": scopes}))["secret"]
        code, output = await made_up(csms, tmp_path, f"Authorization: Bearer {token}")
    assert code == 0, faults(output)
    assert "Authentication failed" not in output or role != "admin"


async def test_whatever_a_stranger_asks_the_answer_is_documented(csms: Csms, tmp_path: Path) -> None:
    async with anonymous(csms), answering(csms):
        code, output = await made_up(csms, tmp_path)
    assert code == 0, faults(output)
