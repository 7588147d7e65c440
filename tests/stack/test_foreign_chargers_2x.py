"""Charge points of OCPP 2.0.1 and 2.1 that nobody here wrote: the figures come out as from a 1.6 session."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ocpp.v21 import call
from ocpp.v21.datatypes import ComponentType, GetVariableDataType, VariableType

from stack import sessions_2x
from stack.ocpp_go import OcppGoStation
from stack.ocpp_rpc import RunOcppRpc, boot, meter, start, stop
from stack.process import eventually
from stack.toolchain import RECIPES
from stack.wattspan_server import WattspanServer
from support.central import Csms

TAG = "04E1C92B"
TOLD_BY_VERSION = ("ocpp_msg_handling_seconds", "ocpp_cp_info", "ocpp_central_", "ocpp_store_", "process_")
"""Message counts, and what is no charge point's."""
MOMENTS = "_ts"
"""The end of a name whose value is a time: it must be there, and is another."""
NEW = pytest.mark.parametrize(
    "protocol",
    [
        "ocpp2.0.1",
        pytest.param("ocpp2.1", marks=pytest.mark.skipif(RECIPES["ocpp-client"].left_out, reason="needs cargo")),
    ],
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WattspanServer]:
    async with WattspanServer.run(tmp_path) as server:
        yield server


def figures(page: str, cp_id: str) -> dict[str, str]:
    """The series of one charge point without its name; of a time, that it is there."""
    found = {}
    for line in page.splitlines():
        series, _, value = line.partition(" # ")[0].rpartition(" ")
        if f'cp_id="{cp_id}"' in series and not series.startswith(TOLD_BY_VERSION):
            name = series.partition("{")[0]
            found[series.replace(f'cp_id="{cp_id}"', "")] = "a time" if name.endswith(MOMENTS) else value
    return found


async def both(server: WattspanServer) -> tuple[dict[str, str], dict[str, str]]:
    page = await server.page()
    return figures(page, "NEW"), figures(page, "OLD")


@NEW
async def test_a_session_of_2x_gives_the_figures_of_a_16_session(
    server: WattspanServer, ocpp_rpc: RunOcppRpc, protocol: str
) -> None:
    """ocpp-rpc in strict mode speaks 1.6 and 2.0.1, ocpp-client 2.1; requirements: names, labels and values alike."""
    url = f"{server.url}/ws"
    async with (
        ocpp_rpc(url=url, identity="OLD") as old,
        ocpp_rpc(url=url, identity="NEW", protocol=protocol) as new,
    ):
        await boot(old)
        await sessions_2x.boot(new)
        transaction_id = await start(old, id_tag=TAG, meter_wh=1000)
        told = sessions_2x.Told(new, TAG)
        await told.start(1000)
        for energy_wh in (2000, 3000):
            await meter(old, transaction_id, [energy_wh])
            await told.meter(energy_wh)
        now, then = await both(server)
        assert now == then
        assert now['ocpp_tx_energy_wh{,connector_id="1"}'] == "2000.0"
        assert now['ocpp_cp_current_a{,connector_id="1"}'] == "16.0"
        await stop(old, transaction_id, id_tag=TAG, meter_wh=4000)
        await told.stop(4000)
        now, then = await both(server)
        assert now == then
        assert now["ocpp_cp_energy_total_wh{}"] == "3000.0"

    async def gone() -> bool:
        return not any([await server.value(f'ocpp_cp_connected{{cp_id="{each}"}}') for each in ("OLD", "NEW")])

    await eventually(gone)
    now, then = await both(server)
    assert now == then
    assert now["ocpp_cp_disconnects_total{}"] == "1"
    page = await server.page()
    assert re.search(rf'ocpp_cp_info{{cp_id="NEW".*protocol="{protocol}",site=""}} 1', page)
    for name in ("ocpp_cp_errors_total", "ocpp_cp_schema_faults_total"):
        assert await server.lines(name) == []


@NEW
async def test_a_command_of_2x_is_answered(tmp_path: Path, ocpp_rpc: RunOcppRpc, protocol: str) -> None:
    csms = Csms(tmp_path / "fleet.db")
    await csms.start()
    try:
        async with ocpp_rpc(url=csms.url("/ws"), identity="NEW", protocol=protocol) as charger:
            await sessions_2x.boot(charger)
            asked = GetVariableDataType(
                component=ComponentType(name="OCPPCommCtrlr"), variable=VariableType(name="HeartbeatInterval")
            )
            result = await csms.central.call("NEW", call.GetVariables(get_variable_data=[asked]))
            told = await charger.command("GetVariables")
            assert result.payload == told["answer"]
            assert told["payload"]["getVariableData"][0]["component"]["name"] == "OCPPCommCtrlr"
    finally:
        await csms.stop()


async def test_ocpp_gos_example_station_charges_by_itself(server: WattspanServer, tmp_path: Path) -> None:
    """It tells of export alone and ends without a meter value: a session, and no energy of ours."""
    cp, at = 'cp_id="GO1"', 'cp_id="GO1",connector_id="1"'

    async def is_through() -> bool:
        return bool(await server.value(f"ocpp_cp_last_tx_ts{{{cp}}}"))

    async with OcppGoStation.run(tmp_path, url=server.url, identity="GO1") as station:
        await station.program.until(is_through, "through with its session", within_s=90)
        assert station.program.exit_code is None
        for series, value in (
            (f"ocpp_cp_boots_total{{{cp}}}", 1),
            (f"ocpp_cp_status{{{cp}}}", 0),
            (f"ocpp_tx_total{{{cp}}}", 1),
            (f"ocpp_tx_active{{{at}}}", 0),
            (f"ocpp_cp_energy_total_wh{{{cp}}}", 0),
            (f'ocpp_msg_handling_seconds_count{{{cp},message_type="TransactionEvent"}}', 9),
        ):
            assert await server.value(series) == value, series
        assert await server.lines("ocpp_cp_errors_total") == []
    assert "error" not in station.program.log.read_text().lower()
