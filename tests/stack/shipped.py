"""The rest of the stack from the files that are shipped: Loki, Prometheus, Alertmanager, and all of it together.

Addresses alone are changed: by environment variables where a program reads them, in Prometheus's file by replacing
`name:port` as it stands. Knows nothing of Wattspan's code.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.process import LOOPBACK, Program, free_ports, on_free_ports
from stack.servers import NOWHERE, Collector, Jaeger, Prometheus, answers, fetch
from stack.toolchain import ROOT, tool

LOKI_CONFIG = ROOT / "deploy" / "loki" / "config.yaml"
PROMETHEUS_CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yml"
ALERTMANAGER_CONFIG = ROOT / "alerts" / "alertmanager.yml"
RULES = ROOT / "alerts" / "rules"
LOKI_RULES = ROOT / "alerts" / "loki"
LOKI_SOON = ["-ingester.min-ready-duration=0s", "-frontend.scheduler-dns-lookup-period=1s"]
"""By itself Loki finds its own query scheduler after 10 s, and calls itself ready 15 s after it is."""
NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A log line as Loki tells it: its labels and structured metadata are one."""

    text: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loki:
    """A Loki with deploy/loki/config.yaml. `address` is `127.0.0.1:port`."""

    program: Program
    address: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, *, ports: Sequence[int] | None = None) -> AsyncIterator[Loki]:
        """A ready Loki, with what the last one in this folder kept. `ports`: that one's, HTTP and gRPC."""

        rules = folder / "loki-rules" / "fake"
        shutil.copytree(LOKI_RULES, rules, dirs_exist_ok=True)

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            http, grpc = ports
            return [tool("loki"), f"-config.file={LOKI_CONFIG}", "-config.expand-env=true", *LOKI_SOON], {
                "LOKI_HOST": LOOPBACK,
                "LOKI_PORT": str(http),
                "LOKI_GRPC_PORT": str(grpc),
                "LOKI_DATA": str(folder / "loki"),
                "LOKI_RULES": str(rules.parent),
            }

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[0]}/ready")

        async with on_free_ports("loki", launch, healthy, ports=2, folder=folder, fixed=ports) as (program, taken):
            yield cls(program=program, address=f"{LOOPBACK}:{taken[0]}")

    async def lines(self, query: str, *, last_s: float = 3600) -> list[Line]:
        """What a LogQL query finds, oldest first."""
        now_s = time.time()
        parameters = {"query": query, "limit": "5000", "direction": "forward"}
        parameters |= {"start": str(int((now_s - last_s) * NS)), "end": str(int((now_s + 60) * NS))}
        found = json.loads(await fetch(f"http://{self.address}/loki/api/v1/query_range", parameters=parameters))
        told = [
            (int(ts), Line(text=text, labels=stream["stream"]))
            for stream in found["data"]["result"]
            for ts, text, *_ in stream["values"]
        ]
        return [line for _, line in sorted(told, key=lambda each: each[0])]

    async def alerts(self) -> set[str]:
        """The names of the alerts that its ruler evaluates."""
        groups = json.loads(await fetch(f"http://{self.address}/prometheus/api/v1/rules"))["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"]}

    async def label_names(self) -> set[str]:
        """The index labels there are."""
        found = json.loads(await fetch(f"http://{self.address}/loki/api/v1/labels"))
        return set(found.get("data", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Alertmanager:
    """An Alertmanager with alerts/alertmanager.yml. `address` is `127.0.0.1:port`."""

    program: Program
    address: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, *, config: Path = ALERTMANAGER_CONFIG) -> AsyncIterator[Alertmanager]:
        """A ready one that gossips with nobody. `config`: the shipped file with other addresses in it."""

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            return [
                tool("alertmanager"),
                f"--config.file={config}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={LOOPBACK}:{ports[0]}",
                "--cluster.listen-address=",
            ], {}

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[0]}/-/ready")

        async with on_free_ports("alertmanager", launch, healthy, ports=1, folder=folder) as (program, ports):
            yield cls(program=program, address=f"{LOOPBACK}:{ports[0]}")

    async def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it holds, as its API tells them."""
        return list(json.loads(await fetch(f"http://{self.address}/api/v2/alerts")))


def prometheus_config(folder: Path, addresses: Mapping[str, str], token: str) -> Path:
    """The shipped file in a folder of its own, with rules and token where it looks; unknown addresses lead nowhere."""
    home = folder / "prometheus-config"
    (home / "secrets").mkdir(parents=True)
    (home / "secrets" / "metrics_token").write_text(token)
    shutil.copytree(RULES, home / "rules")
    text = PROMETHEUS_CONFIG.read_text(encoding="utf-8")
    for name in addresses.keys() | SHIPPED_ADDRESSES:
        text = text.replace(name, addresses.get(name, NOWHERE))
    (home / "prometheus.yml").write_text(text, encoding="utf-8")
    return home / "prometheus.yml"


SHIPPED_ADDRESSES = {
    "wattspan:8080",
    "wattspan:9090",
    "otelcol:8889",
    "otelcol:8888",
    "chargy:9000",
    "127.0.0.1:9090",
    "alertmanager:9093",
    "jaeger:8888",
    "loki:3100",
    "grafana:3000",
    "node-exporter:9100",
    "postgres-exporter:9187",
    "redis-exporter:9121",
}
"""Every `name:port` in the shipped Prometheus file."""


@asynccontextmanager
async def run_prometheus(folder: Path, config: Path, port: int) -> AsyncIterator[Prometheus]:
    """A ready Prometheus on a file of its own, with the flags that matter here."""

    def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
        return [
            tool("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={LOOPBACK}:{ports[0]}",
            "--enable-feature=exemplar-storage",
        ], {}

    async def healthy(ports: Sequence[int]) -> bool:
        return await answers(f"http://{LOOPBACK}:{ports[0]}/-/ready")

    async with on_free_ports("prometheus", launch, healthy, ports=1, folder=folder, fixed=[port]) as (program, _):
        yield Prometheus(program=program, address=f"{LOOPBACK}:{port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Everything that stands around Wattspan, running. Prometheus scrapes it on `metrics_port`, with `TOKEN`."""

    collector: Collector
    jaeger: Jaeger
    loki: Loki
    prometheus: Prometheus
    alertmanager: Alertmanager
    metrics_port: int
    api_port: int

    @classmethod
    @asynccontextmanager
    async def run(
        cls,
        folder: Path,
        *,
        metrics_port: int | None = None,
        others: Mapping[str, str] | None = None,
        alertmanager_config: Path = ALERTMANAGER_CONFIG,
    ) -> AsyncIterator[Stack]:
        """All of it from the shipped files, sampling as shipped.

        `others`: addresses of what else runs, by the `name:port` of Prometheus's file. Without a `metrics_port`, any.
        """
        any_port, api_port, prometheus_port = free_ports(3)
        metrics_port = metrics_port or any_port
        address = f"{LOOPBACK}:{prometheus_port}"
        async with AsyncExitStack() as up:
            jaeger = await up.enter_async_context(Jaeger.run(folder, prometheus=address))
            loki = await up.enter_async_context(Loki.run(folder))
            collector = await up.enter_async_context(
                Collector.run(folder, jaeger=jaeger.otlp_grpc, loki=loki.address, kept_percent=None)
            )
            alertmanager = await up.enter_async_context(Alertmanager.run(folder, config=alertmanager_config))
            addresses = {
                "wattspan:8080": f"{LOOPBACK}:{api_port}",
                "wattspan:9090": f"{LOOPBACK}:{metrics_port}",
                "otelcol:8889": collector.prometheus,
                "otelcol:8888": collector.telemetry,
                "127.0.0.1:9090": address,
                "jaeger:8888": jaeger.telemetry,
                "loki:3100": loki.address,
                "alertmanager:9093": alertmanager.address,
            } | dict(others or {})
            config = prometheus_config(folder, addresses, TOKEN)
            prometheus = await up.enter_async_context(run_prometheus(folder, config, prometheus_port))
            yield cls(
                collector=collector,
                jaeger=jaeger,
                loki=loki,
                prometheus=prometheus,
                alertmanager=alertmanager,
                metrics_port=metrics_port,
                api_port=api_port,
            )


TOKEN = "scrape-token"
"""For WATTSPAN_METRICS_TOKEN."""
