"""Real nodes of one fleet behind a real HAProxy with the shipped configuration, its addresses replaced.

Knows nothing of Wattspan's code, nor of what chargers do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stack.process import LOOPBACK, Program, free_ports, on_free_ports
from stack.toolchain import ROOT, tool
from stack.wattspan_server import WattspanServer

SHIPPED = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
MAX_CONNECTIONS = 6_000
"""HAProxy refuses to start where it may not open two files for each."""
SERVERS = re.compile(r"(?:    server \S+ \S+:(9000|8080)\n)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Nodes that serve, and the balancer in front of them. Addresses are without the identity."""

    names: Sequence[str]
    nodes: Sequence[WattspanServer]
    balancer: Program
    url: str
    """Through the balancer to any node."""
    direct: Sequence[str]
    """Through the balancer to each of the nodes, whether it is ready or not."""
    api: str
    """API and console of any node."""

    @classmethod
    @asynccontextmanager
    async def run(
        cls,
        folder: Path,
        *,
        names: Sequence[str],
        database: str,
        redis: str,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Cluster]:
        """Nodes of these names on one database, and HAProxy; stopped at the end."""
        own = {"WATTSPAN_PROXY_PROTOCOL_FROM": LOOPBACK, **(environment or {})}
        async with AsyncExitStack() as stack:

            async def start(name: str, api_port: int) -> WattspanServer:
                (folder / name).mkdir()
                options = ["--database", database, "--redis", redis, "--node-name", name, "--drain-s", "1"]
                server = WattspanServer.run(folder / name, own, options=options, api_port=api_port)
                return await stack.enter_async_context(server)

            # One after the other: on a busy machine each takes most of its START_S.
            nodes = [await start(name, port) for name, port in zip(names, free_ports(len(names)), strict=True)]
            program, ports = await stack.enter_async_context(_haproxy(folder, nodes))
            chargers, api, *direct = (f"{LOOPBACK}:{port}" for port in ports)
            yield cls(
                names=names,
                nodes=nodes,
                balancer=program,
                url=f"ws://{chargers}",
                direct=[f"ws://{address}" for address in direct],
                api=f"http://{api}",
            )

    def logs(self) -> Mapping[Path, str]:
        """The logs of all starts of all nodes."""
        folders = {node.program.log.parent for node in self.nodes}
        return {log: log.read_text(errors="replace") for each in folders for log in sorted(each.glob("*.log"))}


def configuration(nodes: Sequence[WattspanServer], ports: Sequence[int]) -> str:
    """The shipped file for these nodes, and a way to each of them. `ports`: chargers, API, then one for each node."""

    def servers(found: re.Match[str]) -> str:
        return "".join(
            f"    server n{number} {LOOPBACK}:{node.port if found[1] == '9000' else node.api_port}"
            f" port {node.metrics_port}\n"
            for number, node in enumerate(nodes)
        )

    text, replaced = SERVERS.subn(servers, SHIPPED.read_text(encoding="utf-8"))
    assert replaced == 2, text
    text = (
        text.replace("maxconn 50000", f"maxconn {MAX_CONNECTIONS}")
        .replace("bind :9000", f"bind {LOOPBACK}:{ports[0]}")
        .replace("bind :8080", f"bind {LOOPBACK}:{ports[1]}")
    )
    for number, (node, port) in enumerate(zip(nodes, ports[2:], strict=True)):
        text += (
            f"\nlisten direct-{number}\n    mode tcp\n    bind {LOOPBACK}:{port}\n"
            f"    server it {LOOPBACK}:{node.port} send-proxy-v2\n"
        )
    return text


@asynccontextmanager
async def _haproxy(folder: Path, nodes: Sequence[WattspanServer]) -> AsyncIterator[tuple[Program, Sequence[int]]]:
    def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
        file = folder / "haproxy.cfg"
        file.write_text(configuration(nodes, ports))
        return [tool("haproxy"), "-db", "-f", file], {}

    async def healthy(ports: Sequence[int]) -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, ports[0])
            writer.close()
            return True
        return False

    async with on_free_ports("haproxy", launch, healthy, ports=2 + len(nodes), folder=folder) as found:
        yield found
