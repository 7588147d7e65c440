"""docs/security.md: HAProxy, by the page's own lines, ends TLS before the server; and the file that is shipped."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from websockets.exceptions import InvalidStatus

from stack.process import LOOPBACK, on_free_ports
from stack.toolchain import ROOT, tool
from stack.wattspan_server import WattspanServer
from support.certificates import SERVER, Pair, TestAuthority, client_context
from support.chargers import Charger
from support.recipes import recipe

SHIPPED = ROOT / "deploy" / "haproxy" / "haproxy.cfg"


@asynccontextmanager
async def haproxy(folder: Path, server: WattspanServer, pair: Path, authority: Path) -> AsyncIterator[str]:
    """Where chargers connect, without the identity."""

    def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
        block = recipe(
            "haproxy",
            page="security.md",
            bind=f"bind {LOOPBACK}:{ports[0]}",
            pair=str(pair),
            authority=str(authority),
            node=f"{LOOPBACK}:{server.port}",
        )
        config = folder / "haproxy.cfg"
        config.write_text(
            f"global\n    log stderr format raw local0 warning\ndefaults\n    timeout connect 5s\n{block}"
        )
        return [tool("haproxy"), "-W", "-f", config], {}

    async def healthy(ports: Sequence[int]) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, ports[0])
            writer.close()
            return True
        return False

    async with on_free_ports("haproxy", launch, healthy, ports=1, folder=folder) as (_, ports):
        yield f"wss://{LOOPBACK}:{ports[0]}"


async def status(url: str, cp_id: str, servers: TestAuthority, pair: Pair | None) -> int:
    """The status of a handshake, 101 for one that is answered."""
    try:
        async with Charger(f"{url}/{cp_id}", ssl=client_context(servers.cert, pair)) as charger:
            await charger.call("Heartbeat")
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_the_load_balancer_reports_tls_and_the_certificate(tmp_path: Path) -> None:
    servers, fleet = TestAuthority(tmp_path, "servers"), TestAuthority(tmp_path, "fleet")
    front = servers.pair("127.0.0.1", use=SERVER, alternative=("127.0.0.1",), file="front")
    both = tmp_path / "front.pem"
    both.write_bytes(front.cert.read_bytes() + front.key.read_bytes())
    environment = {"WATTSPAN_PROXY_PROTOCOL_FROM": LOOPBACK, "WATTSPAN_MIN_SECURITY_PROFILE": "3"}
    async with (
        WattspanServer.run(tmp_path, environment) as server,
        haproxy(tmp_path, server, both, fleet.cert) as url,
    ):
        assert await status(url, "CP1", servers, fleet.pair("CP1")) == 101
        assert await status(url, "CP1", servers, fleet.pair("CP2")) == 403
        assert await status(url, "CP1", servers, None) == 403
        page = await server.lines("ocpp_central_handshakes_rejected_total")
        assert any('reason="certificate_of_another"' in line for line in page)


def test_the_shipped_configuration_is_valid(tmp_path: Path) -> None:
    """Its names are those of the compose file's network, so here they stand for this machine."""
    config = tmp_path / "haproxy.cfg"
    text = SHIPPED.read_text(encoding="utf-8")
    for name in ("wattspan-b:", "wattspan:"):
        text = text.replace(name, f"{LOOPBACK}:")
    config.write_text(text)
    done = subprocess.run([tool("haproxy"), "-c", "-f", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr
    config.write_text(text.replace("leastconn", "busiest"))
    assert subprocess.run([tool("haproxy"), "-c", "-f", config], capture_output=True, check=False).returncode != 0
