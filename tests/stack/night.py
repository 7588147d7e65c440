"""The place of the scripted night: a server on PostgreSQL, another that may be killed, and who watches and is notified.

It owns programs, ports and addresses. Which faults happen there it must not know (`stack.night_faults`).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from stack.alerting import Receivers, watching
from stack.process import LOOPBACK, eventually
from stack.servers import PLAIN, Prometheus, Target
from stack.test_exporters import exporter
from stack.wattspan_server import WattspanServer
from support.certificates import SERVER, TestAuthority, client_context
from support.chargers import Charger
from support.operators import PASSWORD, Operator
from support.postgres import USER, PostgresServer

FASTER = 30
"""Minutes become two seconds. At sixty times as fast, a server could not restart often enough within its half hour."""
NOTIFIED_S = 120.0
ADDRESSES = re.compile(
    r"^charge points +(ws://127\.0\.0\.1:\d+).+?^charge points +wss://127\.0\.0\.1:(\d+).+?^API +(http://127\.0\.0\.1:\d+)",
    re.MULTILINE | re.DOTALL,
)
DEAD_COLLECTOR = f"{LOOPBACK}:1"
PLUGIN = """
import asyncio
from wattspan import Plugin
from wattspan.events import ConnectorStatusChanged

class Hangs(Plugin):
    name = "hangs"
    events = (ConnectorStatusChanged,)

    async def on_event(self, event):
        if event.cp_id == "HANGS":
            await asyncio.sleep(3600)
"""
ENVIRONMENT = {
    "WATTSPAN_LOG_FORMAT": "json",
    "WATTSPAN_ADMIN_PASSWORD": PASSWORD,
    "WATTSPAN_COMMAND_TIMEOUT_S": "20",
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{DEAD_COLLECTOR}",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "500",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BSP_MAX_QUEUE_SIZE": "64",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "32",
    "OTEL_METRICS_EXPORTER": "none",
}


class Night:
    """What faults need to happen, and what a person on call has to find their causes."""

    def __init__(self, folder: Path, postgres: PostgresServer, authority: TestAuthority) -> None:
        self._folder = folder
        self.postgres = postgres
        self.authority = authority
        self.tls_port = 0
        self.url = ""
        """Where chargers connect without TLS, without the identity."""

    server: WattspanServer
    restarting: WattspanServer
    """The server that is killed again and again."""
    prometheus: Prometheus
    receivers: Receivers
    operator: Operator
    database: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path) -> AsyncIterator[Night]:
        """Everything, once Prometheus has read the servers for (hurried) ten minutes."""
        async with AsyncExitStack() as stack:
            postgres = stack.enter_context(PostgresServer.run())
            night = cls(folder, postgres, TestAuthority(folder, "site"))
            night.database = await asyncio.to_thread(postgres.create)
            await night._start(stack)
            await eventually(partial(night.prometheus.query, "ocpp_central_up offset 21s"))
            yield night

    async def _start(self, stack: AsyncExitStack) -> None:
        folder, enter = self._folder, stack.enter_async_context
        own, other = folder / "own", folder / "restarting"
        own.mkdir()
        other.mkdir()
        _install_plugin(own)
        pair = self.authority.pair("localhost", use=SERVER, alternative=("localhost", LOOPBACK))
        options = ["--database", self.database, "--tls-port", "0"]
        options += [
            "--tls-cert",
            str(pair.cert),
            "--tls-key",
            str(pair.key),
            "--tls-client-ca",
            str(self.authority.cert),
        ]
        environment = ENVIRONMENT | {"PYTHONPATH": str(own), "WATTSPAN_PLUGINS": "orphans,hangs"}
        self.server = await enter(WattspanServer.run(own, environment, options=options))
        self.url, tls_port, api = await eventually(self._addresses)
        self.tls_port = int(tls_port)
        plain = {"WATTSPAN_LOG_FORMAT": "json"}
        self.restarting = await enter(WattspanServer.run(other, plain))
        source = {"DATA_SOURCE_NAME": self.postgres.url("postgres") + "?sslmode=disable"}
        page = await enter(exporter("postgres-exporter", folder, [], source))
        statistics = Target(address=page.split("/")[2], job="postgres")
        servers = Target(address=self.server.metrics, others=(self.restarting.metrics,))
        self.prometheus, _, self.receivers = await enter(watching(folder, servers, statistics, faster=FASTER))
        http = await enter(httpx.AsyncClient(base_url=api, **PLAIN, timeout=60))
        self.operator = Operator(http)
        await self.operator.log_in("admin", PASSWORD)

    async def _addresses(self) -> Sequence[str]:
        """Return where the server listens, as it says: for chargers without TLS, the TLS port, and the API."""
        found = ADDRESSES.search(await asyncio.to_thread(self.server.program.log.read_text))
        return () if found is None else found.groups()

    def charger(self, cp_id: str, **options: Any) -> Charger:
        """A charge point that connects when entered."""
        return Charger(f"{self.url}/{cp_id}", **options)

    def secure_charger(self, cp_id: str) -> Charger:
        """One with a client certificate that ends tomorrow."""
        context: ssl.SSLContext = client_context(self.authority.cert, self.authority.pair(cp_id))
        return Charger(f"wss://localhost:{self.tls_port}/{cp_id}", ssl=context)

    def client(self, application: str) -> psycopg.Connection[Any]:
        """A connection to the server's database, by another program."""
        return psycopg.connect(self.database, application_name=application, user=USER)

    async def seen(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Return what Prometheus has of a query once it is something: what counts from there on is an increase."""
        return await eventually(partial(self.prometheus.query, query))

    async def notified(self, alert: str, labels: Mapping[str, str]) -> dict[str, Any]:
        """Return the alert in the first notification of it that came by webhook."""

        async def posted() -> dict[str, Any] | None:
            wanted = {"alertname": alert, **labels}.items()
            for post in list(self.receivers.posts):
                for each in post["alerts"]:
                    if each["status"] == "firing" and wanted <= each["labels"].items():
                        return dict(each)
            return None

        found = await eventually(posted, within_s=NOTIFIED_S)
        assert found is not None
        return found

    def logs_of(self, instance: str) -> Sequence[Path]:
        """Return the logs of the server at an address, or of the first server."""
        is_other = instance == self.restarting.metrics
        return sorted((self._folder / ("restarting" if is_other else "own")).glob("wattspan-*.log"))


def _install_plugin(folder: Path) -> None:
    """Install a plugin, as pip would, into a folder on the server's path."""
    (folder / "hangs.py").write_text(PLUGIN)
    about = folder / "hangs-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hangs\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[wattspan.plugins]\nhangs = hangs:Hangs\n")
