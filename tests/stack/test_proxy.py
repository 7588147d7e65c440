"""The proxy between charge points and central systems of others: both ends work as without it, and it shows both."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from stack.ocpp_go import OcppGoCentralSystem, OcppGoCharger, RunOcppGo
from stack.ocpp_package import OcppPackageServer
from stack.ocpp_rpc import RunOcppRpc, boot, charge
from stack.process import START_S, eventually, running
from stack.wattspan_proxy import WattspanProxy
from stack.wattspan_server import WattspanServer

TAG = "04E1C92B"
CENTRAL_SYSTEMS = ["wattspan", "ocpp", "ocpp-go"]


@asynccontextmanager
async def proxied(central: str, folder: Path) -> AsyncIterator[WattspanProxy]:
    """A proxy in front of a central system of this name."""
    if central == "wattspan":
        async with WattspanServer.run(folder) as ours, WattspanProxy.run(folder, f"{ours.url}/ws/{{cp_id}}") as proxy:
            yield proxy
    elif central == "ocpp":
        async with (
            OcppPackageServer.run(folder) as theirs,
            WattspanProxy.run(folder, f"{theirs.url}/{{cp_id}}") as proxy,
        ):
            yield proxy
    else:
        async with OcppGoCentralSystem.run(folder) as go, WattspanProxy.run(folder, f"{go.url}/{{cp_id}}") as proxy:
            yield proxy


async def assert_values(proxy: WattspanProxy, expected: dict[str, float]) -> None:
    for series, value in expected.items():

        async def shown(series: str = series, value: float = value) -> bool:
            return await proxy.value(series) == value

        await eventually(shown)


@pytest.mark.parametrize("central", CENTRAL_SYSTEMS)
async def test_ocpp_rpc_in_strict_mode_charges_through_the_proxy(
    tmp_path: Path, ocpp_rpc: RunOcppRpc, central: str
) -> None:
    async with proxied(central, tmp_path) as proxy, ocpp_rpc(url=f"{proxy.url}/any", identity="RPC1") as charger:
        await charge(charger, id_tag=TAG)
        await assert_values(
            proxy,
            {
                'ocpp_cp_connected{cp_id="RPC1"}': 1,
                'ocpp_cp_boots_total{cp_id="RPC1"}': 1,
                'ocpp_tx_total{cp_id="RPC1"}': 1,
                'ocpp_tx_active{cp_id="RPC1",connector_id="1"}': 0,
                'ocpp_cp_energy_total_wh{cp_id="RPC1"}': 3000,
                'ocpp_cp_disconnects_total{cp_id="RPC1"}': 0,
                'ocpp_proxy_upstream_seconds_count{message_type="MeterValues"}': 3,
            },
        )
        page = await proxy.page()
    for absent in ("ocpp_cp_schema_faults_total{", "ocpp_cp_errors_total{", "ocpp_proxy_unobserved_total{"):
        assert absent not in page


@pytest.mark.parametrize("central", CENTRAL_SYSTEMS)
async def test_ocpp_gos_example_charges_through_the_proxy(tmp_path: Path, ocpp_go: RunOcppGo, central: str) -> None:
    async with proxied(central, tmp_path) as proxy, ocpp_go(url=proxy.url, identity="GO1") as charger:

        async def is_through() -> bool:
            return await proxy.value('ocpp_cp_energy_total_wh{cp_id="GO1"}') == OcppGoCharger.ENERGY_WH

        await charger.program.until(is_through, "through with its session", within_s=120)
        assert charger.program.exit_code is None
        await assert_values(proxy, {'ocpp_tx_total{cp_id="GO1"}': 1, 'ocpp_cp_boots_total{cp_id="GO1"}': 1})


@pytest.mark.parametrize("central", ["wattspan", "ocpp"])
async def test_our_simulated_fleet_charges_through_the_proxy(tmp_path: Path, central: str) -> None:
    """The `ocpp` package's server speaks 1.6 only, so there all of the fleet does."""
    command = [sys.executable, "-m", "wattspan", "simulate", "--charge-points", "6", "--time-factor", "120"]
    command += ["--duration", "15", "--version", "1.6" if central == "ocpp" else "mix"]
    async with proxied(central, tmp_path) as proxy:
        async with running("simulate", [*command, "--url", proxy.url], folder=tmp_path) as fleet:
            async with asyncio.timeout(START_S + 60):
                await fleet.child.wait()
            assert fleet.exit_code == 0, fleet.log_tail()
        page = await proxy.page()
    samples = [line for line in page.splitlines() if line.startswith("ocpp_tx_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in samples) > 0
    assert "ocpp_proxy_unobserved_total{" not in page


async def test_a_central_system_that_is_frozen_and_goes_on_loses_and_doubles_nothing(
    tmp_path: Path, ocpp_rpc: RunOcppRpc
) -> None:
    async with (
        OcppPackageServer.run(tmp_path) as theirs,
        WattspanProxy.run(tmp_path, f"{theirs.url}/{{cp_id}}") as proxy,
        ocpp_rpc(url=proxy.url, identity="RPC1") as charger,
    ):
        await boot(charger)
        theirs.program.pause()
        heartbeat = asyncio.ensure_future(charger.call("Heartbeat"))
        await assert_values(proxy, {'ocpp_cp_connected{cp_id="RPC1"}': 1})  # the proxy itself goes on
        theirs.program.resume()
        assert "currentTime" in await heartbeat
        assert charger.disconnects == []


async def test_a_central_system_that_is_killed_is_back_for_the_charge_point_when_it_is_restarted(
    tmp_path: Path, ocpp_rpc: RunOcppRpc
) -> None:
    async with (
        WattspanServer.run(tmp_path) as server,
        WattspanProxy.run(tmp_path, f"{server.url}/{{cp_id}}") as proxy,
        ocpp_rpc(url=proxy.url, identity="RPC1") as charger,
    ):
        await boot(charger)
        await server.kill()
        await assert_values(proxy, {'ocpp_cp_connected{cp_id="RPC1"}': 0})
        await server.start()
        await charger.connected(2)
        await boot(charger)
        await assert_values(proxy, {'ocpp_cp_boots_total{cp_id="RPC1"}': 2, 'ocpp_cp_connected{cp_id="RPC1"}': 1})


async def all_answered(proxy: WattspanProxy) -> bool:
    """Whether the mirror has answered as many messages as the central system: its page shows one before it does."""
    page = await proxy.page()
    upstream = re.findall(r"^ocpp_proxy_upstream_seconds_count{.*} (\S+)$", page, re.MULTILINE)
    mirror = re.findall(r'^ocpp_proxy_mirror_messages_total{.*outcome="answered".*} (\S+)$', page, re.MULTILINE)
    return 0 < sum(map(float, upstream)) == sum(map(float, mirror))


async def test_a_migration_from_the_ocpp_packages_server_to_ours_is_tried_on_a_mirror(
    tmp_path: Path, ocpp_rpc: RunOcppRpc
) -> None:
    """The transaction ids of both differ: the package's server begins at 4711."""
    async with OcppPackageServer.run(tmp_path) as old, WattspanServer.run(tmp_path) as new:
        options = ("--mirror", f"{new.url}/ws/{{cp_id}}", "--compare")
        async with WattspanProxy.run(tmp_path, f"{old.url}/{{cp_id}}", *options) as proxy:
            async with ocpp_rpc(url=proxy.url, identity="RPC1") as charger:
                assert await charge(charger, id_tag=TAG) >= 4711

                async def mirrored() -> bool:
                    return await new.value('ocpp_cp_energy_total_wh{cp_id="RPC1"}') == 3000

                await eventually(mirrored)
                await assert_values(proxy, {'ocpp_cp_energy_total_wh{cp_id="RPC1"}': 3000})
                await eventually(partial(all_answered, proxy))
            assert await proxy.program.stop() == 0
            report = proxy.program.log.read_text()
        assert re.search(r"^127\.0\.0\.1:\d+ +StopTransaction +1 +0 +0 ", report, re.MULTILINE), report
        assert "Rejected" not in report
