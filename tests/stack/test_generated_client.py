"""A Python client generated from the OpenAPI document by openapi-python-client: whole, and it works."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest

from support.central import Csms
from support.chargers import START
from support.operators import admin

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

PACKAGE = "wattspan_generated_client"


@pytest.fixture
async def csms(tmp_path: Path) -> AsyncIterator[Csms]:
    found = Csms(tmp_path / "fleet.db")
    await found.start()
    yield found
    await found.stop()


async def generate(document: Path, folder: Path) -> str:
    """The program's output; it writes a package without further files."""
    program = Path(sys.executable).with_name("openapi-python-client")
    child = await asyncio.create_subprocess_exec(
        str(program),
        *("generate", "--path", str(document), "--output-path", str(folder / PACKAGE), "--meta", "none"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    output, _ = await child.communicate()
    assert child.returncode == 0, output.decode(errors="replace")
    return output.decode(errors="replace")


async def test_a_generated_client_has_every_operation_and_typed_answers(
    csms: Csms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with admin(csms) as operator:
        token = (await operator.ask("POST", "/tokens", 201, json={"label": "t", "scopes": ["read", "write"]}))["secret"]
        document = tmp_path / "openapi.json"
        document.write_text((await operator.send("GET", "/openapi.json")).text)
    output = await generate(document, tmp_path)
    assert "will not be generated" not in output, output
    assert "will be omitted" not in output, output
    assert "Unable to process schema" not in output, output
    monkeypatch.syspath_prepend(str(tmp_path))

    def module(name: str):  # type: ignore[no-untyped-def]  # the package does not exist before the test
        return importlib.import_module(f"{PACKAGE}.{name}")

    url = f"http://127.0.0.1:{csms.central.api_port}"
    client = importlib.import_module(PACKAGE).AuthenticatedClient(base_url=url, token=token)
    async with csms.charger("CP1") as charger, client:
        await charger.call("StartTransaction", START)
        found = await module("api.charge_points.list_charge_points").asyncio(client=client, search="cp1")
        assert [(row.cp_id, row.connected, row.transactions) for row in found.items] == [("CP1", True, 1)]
        file = module("types").File(payload=BytesIO(b"id_tag,group\nA1,staff\n"))
        sync = module("api.id_tags.import_id_tags").sync  # httpx sends no file asynchronously
        imported = await asyncio.to_thread(sync, client=client, body=file)
        client.get_httpx_client().close()
        assert (imported.added, imported.changes) == (1, [])
        series = await module("api.history.read_series").asyncio(client=client)
        assert series.step_s == 300
        sessions = await module("api.transactions.list_transactions").asyncio(client=client)
        assert sessions.items[0].id_tag == "TAG1"
