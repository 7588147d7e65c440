"""docs/scaling.md: nginx, by the page's own lines, before two instances that know nothing of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from stack.process import LOOPBACK, eventually, on_free_ports
from stack.servers import RunPrometheus, Target
from stack.toolchain import tool
from stack.wattspan_server import WattspanServer
from support.chargers import BOOT, START, Charger, stop
from support.recipes import recipe

FLEET = [f"CP{number}" for number in range(12)]
PATHS = ("/ws", "/ocpp", "")


@asynccontextmanager
async def nginx(folder: Path, first: WattspanServer, second: WattspanServer) -> AsyncIterator[str]:
    """Where chargers connect, without the identity."""
    instances = [f"{LOOPBACK}:{server.port}" for server in (first, second)]

    def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
        block = recipe(
            "nginx", page="scaling.md", first=instances[0], second=instances[1], front=f"{LOOPBACK}:{ports[0]}"
        )
        config = folder / "nginx.conf"
        own = "daemon off; master_process off; pid nginx.pid; error_log stderr; events {}"
        places = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config.write_text(f"{own}\nhttp {{ access_log off; {places}\n{block}}}\n")
        return [tool("nginx"), "-p", folder, "-c", config], {}

    async def healthy(ports: Sequence[int]) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, ports[0])
            writer.close()
            return True
        return False

    async with on_free_ports("nginx", launch, healthy, ports=1, folder=folder) as (_, ports):
        yield f"ws://{LOOPBACK}:{ports[0]}"


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[WattspanServer]]:
    async with AsyncExitStack() as stack:
        servers = []
        for name in ("north", "south"):
            (tmp_path / name).mkdir()
            servers.append(await stack.enter_async_context(WattspanServer.run(tmp_path / name)))
        yield servers


async def known(server: WattspanServer) -> set[str]:
    """Who was ever connected there."""
    return {line.split('"')[1] for line in await server.lines("ocpp_cp_connected") if not line.startswith("#")}


async def test_a_charger_always_reaches_its_own_instance_and_sums_are_of_all(
    tmp_path: Path, pair: list[WattspanServer], prometheus: RunPrometheus
) -> None:
    north, south = pair
    targets = [Target(address=server.metrics, job=f"wattspan-{number}") for number, server in enumerate(pair)]
    async with nginx(tmp_path, north, south) as url, prometheus(targets) as watching, AsyncExitStack() as chargers:
        for path in PATHS:
            for cp_id in FLEET:
                await chargers.enter_async_context(Charger(f"{url}{path}/{cp_id}"))
        mine, theirs = await known(north), await known(south)
        assert sorted([*mine, *theirs]) == sorted(FLEET)
        assert mine
        assert theirs
        await eventually(partial(watching.query, f"sum(ocpp_cp_connected) == {len(FLEET)}"))


async def test_a_charger_whose_instance_is_away_waits_for_it_and_is_nowhere_else(
    tmp_path: Path, pair: list[WattspanServer]
) -> None:
    async with nginx(tmp_path, *pair) as url:
        async with Charger(f"{url}/CP1") as charger:
            await charger.call("BootNotification", BOOT)
            transaction_id = (await charger.call("StartTransaction", START))["transactionId"]
        (own,) = [server for server in pair if await known(server)]
        (other,) = [server for server in pair if server is not own]
        await own.kill()
        with pytest.raises(InvalidStatus) as refused:
            await Charger(f"{url}/CP1").__aenter__()
        assert refused.value.response.status_code == 502
        await own.start()
        async with Charger(f"{url}/CP1") as charger:
            await charger.call("StopTransaction", stop(transaction_id))
        assert await own.value('ocpp_cp_energy_total_wh{cp_id="CP1"}') == 7500
        assert await known(other) == set()
