"""Two weeks of history and the stack as shipped around a central system: what the test of the fortnight stands on.

One Prometheus runs on the shipped file and reads `/metrics`; a second, with the same rules and the same past, reads the
Collector's page instead. Owns what runs where; what should be seen there it must not know.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stack.alerting import Receivers, receiving
from stack.backfill import backfill, backfill_rules
from stack.fleet_history import DAY_S, STEP_S, History
from stack.process import LOOPBACK
from stack.servers import Prometheus, Target
from stack.shipped import ALERTMANAGER_CONFIG, RULES, TOKEN, Stack
from stack.test_dashboards import chargy, node_exporter
from stack.wattspan_server import to_collector
from support.central import Csms

DAYS = 14


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """How long parts took, in seconds."""

    took: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        since_s = time.monotonic()
        try:
            yield
        finally:
            self.took[part] = round(time.monotonic() - since_s, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fortnight:
    """Everything that runs. `pages`: both Prometheis by what they read; `began_s`: Unix time of the first scrape."""

    stack: Stack
    csms: Csms
    receivers: Receivers
    pages: Mapping[str, Prometheus]
    history_begin_s: int
    history_end_s: int
    began_s: float

    @classmethod
    @asynccontextmanager
    async def run(
        cls, folder: Path, cp_ids: list[str], setenv: Callable[[str, str], None], watch: Stopwatch
    ) -> AsyncIterator[Fortnight]:
        """A past for these charge points, then the stack and a central system that they can connect to.

        `setenv` is given what the central system reads of OpenTelemetry's variables.
        """
        async with AsyncExitStack() as up:
            # Held until the server takes it: it stands in the history, and any connection could get it meanwhile.
            held = up.enter_context(socket.socket())
            held.bind((LOOPBACK, 0))
            metrics_port = held.getsockname()[1]
            instance = f"{LOOPBACK}:{metrics_port}"
            begin_s, end_s = await _past(folder, cp_ids, instance, watch)
            receivers = up.enter_context(receiving())
            others = {
                "node-exporter:9100": await up.enter_async_context(node_exporter(folder)),
                "chargy:9000": await up.enter_async_context(chargy(folder)),
            }
            second = folder / "otlp"
            shutil.copytree(folder / "prometheus", second / "prometheus", copy_function=os.link, ignore=_no_head)
            stack = await up.enter_async_context(
                Stack.run(
                    folder,
                    metrics_port=metrics_port,
                    others=others,
                    alertmanager_config=_to(receivers, folder / "alertmanager.yml"),
                )
            )
            # As in the past, and as the page is scraped: job and instance are the same on both ways.
            resource = {"OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={instance}"}
            for name, value in (to_collector(stack.collector) | resource).items():
                setenv(name, value)
            held.close()
            began_s = time.time()
            csms = Csms(
                folder / "fleet.db",
                metrics_port=metrics_port,
                api_port=stack.api_port,
                metrics_token=TOKEN,
                command_timeout_s=1.0,
            )
            await csms.start()
            up.push_async_callback(csms.stop)
            by_otlp = await up.enter_async_context(_second_prometheus(second, stack, others))
            yield cls(
                stack=stack,
                csms=csms,
                receivers=receivers,
                pages={"/metrics": stack.prometheus, "the Collector's page": by_otlp},
                history_begin_s=begin_s,
                history_end_s=end_s,
                began_s=began_s,
            )


async def _past(folder: Path, cp_ids: list[str], instance: str, watch: Stopwatch) -> tuple[int, int]:
    """Writes the database of a Prometheus that has watched for two weeks; from when until when."""
    end_s = int(time.time()) // STEP_S * STEP_S
    begin_s = end_s - DAYS * DAY_S
    history = History(cp_ids, instance=instance, begin_s=begin_s, end_s=end_s)
    with watch.on("to write history"):
        await backfill(history, folder / "prometheus", folder / "text", begin_s=begin_s, end_s=end_s)
    with watch.on("to record its rules"):
        await backfill_rules(folder, begin_s=begin_s, end_s=end_s)
    return begin_s, end_s


def _to(receivers: Receivers, path: Path) -> Path:
    """The shipped Alertmanager file with the addresses of these receivers."""
    text = ALERTMANAGER_CONFIG.read_text(encoding="utf-8")
    text = text.replace("mail.wattspan.internal:587", f"{LOOPBACK}:{receivers.smtp_port}")
    text = text.replace("smtp_require_tls: true", "smtp_require_tls: false")
    path.write_text(
        text.replace("webhook.wattspan.internal:8080", f"{LOOPBACK}:{receivers.http_port}"), encoding="utf-8"
    )
    return path


def _no_head(_folder: str, names: list[str]) -> set[str]:
    """Blocks are never changed and so may be shared; what the last reader of them left is not."""
    return {"wal", "chunks_head", "queries.active", "lock"} & set(names)


@asynccontextmanager
async def _second_prometheus(folder: Path, stack: Stack, others: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    targets = [
        Target(address=stack.collector.prometheus),
        Target(address=stack.collector.telemetry, job="otelcol"),
        Target(address=stack.jaeger.telemetry, job="jaeger"),
        Target(address=stack.logs.address, job="victorialogs"),
        Target(address=stack.vmalert.address, job="vmalert"),
        Target(address=stack.prometheus.address, job="prometheus"),
        Target(address=stack.alertmanager.address, job="alertmanager"),
        Target(address=others["node-exporter:9100"], job="node"),
        Target(address=others["chargy:9000"], job="chargy"),
    ]
    times = {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "15s"}
    more = {"global": times, "rule_files": [f"{RULES}/*.yml"]}
    async with Prometheus.run(folder, targets, **more) as prometheus:
        yield prometheus
