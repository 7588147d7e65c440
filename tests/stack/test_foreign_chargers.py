"""Charge points that nobody here wrote, through whole sessions and commands, and what /metrics says afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from ocpp.v16 import call
from ocpp.v16.datatypes import ChargingProfile, ChargingSchedule, ChargingSchedulePeriod
from ocpp.v16.enums import (
    AvailabilityType,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    MessageTrigger,
    ResetType,
    UpdateType,
)

from stack.ocpp_go import OcppGoCharger, RunOcppGo
from stack.ocpp_rpc import RunOcppRpc, boot, meter, now, start, stop
from stack.process import eventually
from stack.wattspan_server import WattspanServer
from support.central import Csms
from wattspan.errors import CommandRefused

TAG = "04E1C92B"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[WattspanServer]:
    async with WattspanServer.run(tmp_path) as server:
        yield server


@pytest.fixture
async def csms(tmp_path: Path) -> AsyncIterator[Csms]:
    """In this process, for what has no command line yet: commands."""
    csms = Csms(tmp_path / "fleet.db")
    await csms.start()
    yield csms
    await csms.stop()


def typed(name: str, kind: str, labels: str, value: object) -> list[str]:
    """The lines of a metric with one series."""
    return [f"# TYPE {name} {kind}", f"{name}{{{labels}}} {value}"]


async def assert_lines(server: WattspanServer, *expected: tuple[str, str, str, object]) -> None:
    for name, kind, labels, value in expected:
        assert await server.lines(name) == typed(name, kind, labels, value)


async def test_ocpp_rpc_in_strict_mode_charges(server: WattspanServer, ocpp_rpc: RunOcppRpc) -> None:
    cp, at = 'cp_id="RPC1"', 'cp_id="RPC1",connector_id="1"'
    async with ocpp_rpc(url=f"{server.url}/ws", identity="RPC1") as charger:
        await boot(charger)
        transaction_id = await start(charger, id_tag=TAG, meter_wh=1000)
        await meter(charger, transaction_id, (2000, 3000))
        await assert_lines(
            server,
            ("ocpp_cp_connected", "gauge", cp, 1),
            ("ocpp_cp_boots_total", "counter", cp, 1),
            ("ocpp_cp_status", "gauge", cp, 2),
            ("ocpp_tx_active", "gauge", at, 1),
            ("ocpp_tx_total", "counter", cp, 1),
            ("ocpp_tx_energy_wh", "gauge", at, 2000.0),
            ("ocpp_cp_current_a", "gauge", at, 16.0),
            ("ocpp_cp_energy_total_wh", "counter", cp, 0.0),
        )
        await stop(charger, transaction_id, id_tag=TAG, meter_wh=4000)
        await assert_lines(
            server,
            ("ocpp_cp_status", "gauge", cp, 0),
            ("ocpp_tx_active", "gauge", at, 0),
            ("ocpp_tx_total", "counter", cp, 1),
            ("ocpp_tx_energy_wh", "gauge", at, 0.0),
            ("ocpp_cp_current_a", "gauge", at, 0.0),
            ("ocpp_cp_energy_total_wh", "counter", cp, 3000.0),
            ("ocpp_cp_disconnects_total", "counter", cp, 0),
            ("ocpp_cp_authorizations_total", "counter", f'{cp},status="Accepted"', 1),
            (
                "ocpp_cp_info",
                "gauge",
                f'{cp},vendor="npm",model="ocpp-rpc",firmware="2.2.1",protocol="ocpp1.6",site=""',
                1,
            ),
        )
        assert await handled(server, "RPC1") == {
            "Authorize": 1,
            "BootNotification": 1,
            "Heartbeat": 1,
            "MeterValues": 2,
            "StartTransaction": 1,
            "StatusNotification": 5,
            "StopTransaction": 1,
        }
        for name in ("ocpp_cp_errors_total", "ocpp_cp_schema_faults_total"):
            assert await server.lines(name) == []
        for name in ("ocpp_cp_last_heartbeat_ts", "ocpp_cp_last_msg_ts", "ocpp_cp_last_tx_ts"):
            assert await server.value(f"{name}{{{cp}}}")
    await eventually(lambda: is_gone(server, "RPC1"))
    await assert_lines(server, ("ocpp_cp_disconnects_total", "counter", cp, 1))


async def handled(server: WattspanServer, cp_id: str) -> dict[str, int]:
    """How many messages of each type the histogram has."""
    before = f'ocpp_msg_handling_seconds_count{{cp_id="{cp_id}",message_type="'
    lines = [line.removeprefix(before) for line in (await server.page()).splitlines() if line.startswith(before)]
    return {line.partition('"')[0]: int(line.rpartition(" ")[2]) for line in lines}


async def is_gone(server: WattspanServer, cp_id: str) -> bool:
    return await server.value(f'ocpp_cp_connected{{cp_id="{cp_id}"}}') == 0


async def test_ocpp_gos_example_charges_by_itself(server: WattspanServer, ocpp_go: RunOcppGo) -> None:
    """Its meter values name no transaction and export energy: only its meter stop says what was charged."""
    cp, at = 'cp_id="GO1"', 'cp_id="GO1",connector_id="1"'

    async def is_through() -> bool:
        return (await handled(server, "GO1")).get("StatusNotification", 0) == 5 and not await server.value(
            f"ocpp_tx_active{{{at}}}"
        )

    async with ocpp_go(url=server.url, identity="GO1") as charger:
        await charger.program.until(is_through, "through with its session", within_s=90)
        assert charger.program.exit_code is None
        await assert_lines(
            server,
            ("ocpp_cp_connected", "gauge", cp, 1),
            ("ocpp_cp_boots_total", "counter", cp, 1),
            ("ocpp_cp_status", "gauge", cp, 0),
            ("ocpp_tx_active", "gauge", at, 0),
            ("ocpp_tx_total", "counter", cp, 1),
            ("ocpp_tx_energy_wh", "gauge", at, 0.0),
            ("ocpp_cp_energy_total_wh", "counter", cp, float(OcppGoCharger.ENERGY_WH)),
        )
        assert await handled(server, "GO1") == {
            "Authorize": 1,
            "BootNotification": 1,
            "LogStatusNotification": 1,
            "MeterValues": 5,
            "SecurityEventNotification": 1,
            "SignCertificate": 1,
            "StartTransaction": 1,
            "StatusNotification": 5,
            "StopTransaction": 1,
        }
        assert await server.lines("ocpp_cp_errors_total") == []
    assert "error" not in charger.program.log.read_text().lower()


PROFILE = ChargingProfile(
    charging_profile_id=1,
    stack_level=0,
    charging_profile_purpose=ChargingProfilePurposeType.tx_default_profile,
    charging_profile_kind=ChargingProfileKindType.recurring,
    charging_schedule=ChargingSchedule(
        charging_rate_unit=ChargingRateUnitType.amps,
        charging_schedule_period=[ChargingSchedulePeriod(start_period=0, limit=16.0)],
    ),
)
COMMANDS: list[tuple[Any, str]] = [
    (call.CancelReservation(reservation_id=1), "Accepted"),
    (call.ChangeAvailability(connector_id=1, type=AvailabilityType.operative), "Accepted"),
    (call.ChangeConfiguration(key="HeartbeatInterval", value="60"), "Accepted"),
    (call.ClearCache(), "Accepted"),
    (call.ClearChargingProfile(id=1), "Accepted"),
    (call.DataTransfer(vendor_id="org.example", message_id="m", data="d"), "Accepted"),
    (call.GetConfiguration(key=["HeartbeatInterval", "Colour"]), ""),
    (call.GetDiagnostics(location="ftp://127.0.0.1/"), ""),
    (call.GetLocalListVersion(), ""),
    (call.RemoteStartTransaction(id_tag=TAG, connector_id=1), "Accepted"),
    (call.RemoteStopTransaction(transaction_id=1), "Accepted"),
    (call.ReserveNow(connector_id=1, expiry_date="2099-01-01T00:00:00Z", id_tag=TAG, reservation_id=1), "Accepted"),
    (call.Reset(type=ResetType.soft), "Accepted"),
    (call.SendLocalList(list_version=1, update_type=UpdateType.full), "Accepted"),
    (call.SetChargingProfile(connector_id=1, cs_charging_profiles=PROFILE), "Accepted"),
    (call.TriggerMessage(requested_message=MessageTrigger.heartbeat), "Accepted"),
    (call.UnlockConnector(connector_id=1), "Unlocked"),
    (call.UpdateFirmware(location="ftp://127.0.0.1/", retrieve_date="2099-01-01T00:00:00Z"), ""),
]


async def test_ocpp_rpc_in_strict_mode_takes_every_command(csms: Csms, ocpp_rpc: RunOcppRpc) -> None:
    async with ocpp_rpc(url=csms.url("/ocpp"), identity="RPC1") as charger:
        await boot(charger)
        for command, status in COMMANDS:
            result = await csms.central.call("RPC1", command)
            assert (result.status, result.accepted) == (status, True), command
            assert result.payload == (await charger.command(type(command).__name__))["answer"]
        assert [told["action"] for told in charger.commands] == [type(command).__name__ for command, _ in COMMANDS]
        asked = {told["action"]: told["payload"] for told in charger.commands}
    assert asked["RemoteStartTransaction"] == {"idTag": TAG, "connectorId": 1}
    assert asked["Reset"] == {"type": "Soft"}
    assert asked["GetConfiguration"] == {"key": ["HeartbeatInterval", "Colour"]}
    assert asked["SetChargingProfile"]["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 16.0}
    ]
    assert await csms.lines("ocpp_central_call_errors_total", "ocpp_central_call_rejected_total") == []


async def test_a_command_that_a_charger_does_not_know_is_an_error_that_counts(csms: Csms, ocpp_rpc: RunOcppRpc) -> None:
    async with ocpp_rpc(url=csms.url("/ws"), identity="RPC1"):
        with pytest.raises(CommandRefused):
            await csms.central.call("RPC1", call.GetCompositeSchedule(connector_id=1, duration=60))
    assert await csms.lines("ocpp_central_call_errors_total") == typed(
        "ocpp_central_call_errors_total",
        "counter",
        'cp_id="RPC1",action="GetCompositeSchedule",error_type="NotImplemented"',
        1,
    )


async def test_commands_and_messages_cross(csms: Csms, ocpp_rpc: RunOcppRpc) -> None:
    """Each direction has its one outstanding CALL (OCPP-J 1.6 §4.1.1); neither waits for the other."""
    async with ocpp_rpc(url=csms.url("/ws"), identity="RPC1") as charger:
        await boot(charger)
        transaction_id = await start(charger, id_tag=TAG)
        sending = csms.central._spawn(ten_resets(csms))
        await meter(charger, transaction_id, range(1000, 2000, 100))
        await sending
        await stop(charger, transaction_id, id_tag=TAG, meter_wh=2000)
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="RPC1") == 1000
    assert await csms.metric("ocpp_central_call_seconds_count", action="GetLocalListVersion") == 10


async def ten_resets(csms: Csms) -> None:
    for _ in range(10):
        await csms.central.call("RPC1", call.GetLocalListVersion())


async def test_ocpp_gos_example_takes_commands_and_hurries(csms: Csms, ocpp_go: RunOcppGo) -> None:
    async with ocpp_go(url=csms.url(""), identity="GO1") as charger:
        await eventually(lambda: booted(csms, "GO1"))
        faster = call.ChangeConfiguration(key="MeterValueSampleInterval", value="0")
        assert (await csms.central.call("GO1", faster)).status == "Accepted"
        configuration = await csms.central.call("GO1", call.GetConfiguration(key=["MeterValueSampleInterval"]))
        (key,) = configuration.payload["configurationKey"]
        assert key["value"] == "0"

        async def is_through() -> bool:
            return await csms.metric("ocpp_cp_energy_total_wh", cp_id="GO1") == OcppGoCharger.ENERGY_WH

        await charger.program.until(is_through, "through with its session")


async def booted(csms: Csms, cp_id: str) -> bool:
    return await csms.metric("ocpp_cp_boots_total", cp_id=cp_id) == 1


OTHER_PATHS: list[Callable[[WattspanServer], str]] = [
    lambda server: server.url,
    lambda server: f"{server.url}/ws",
    lambda server: f"{server.url}/ocpp",
]


@pytest.mark.parametrize("url", OTHER_PATHS, ids=["/", "/ws/", "/ocpp/"])
async def test_a_charger_is_let_in_by_every_path(
    server: WattspanServer, ocpp_rpc: RunOcppRpc, url: Callable[[WattspanServer], str]
) -> None:
    async with ocpp_rpc(url=url(server), identity="RDAM|123") as charger:
        before = now()
        assert (await charger.call("Heartbeat"))["currentTime"] >= before[:19]
    assert await server.value('ocpp_cp_last_heartbeat_ts{cp_id="RDAM|123"}')
