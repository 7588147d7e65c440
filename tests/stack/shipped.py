"""The rest of the stack from the files that are shipped, and all of it: VictoriaLogs, vmalert, Prometheus and so on.

Addresses and folders alone are changed: by environment variables where a program reads them, in Prometheus's file by
replacing `name:port` as it stands, in the command lines of compose.yaml by other values for the same flags. Loki, the
other log store of compose.yaml, is not built and does not run here: docs/adr/0011-victorialogs-in-tests.md. Knows
nothing of Wattspan's code.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stack.process import LOOPBACK, Program, free_ports, on_free_ports
from stack.servers import NOWHERE, Collector, Jaeger, Prometheus, answers, fetch
from stack.toolchain import ROOT, tool

COMPOSE = ROOT / "compose.yaml"
PROMETHEUS_CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yml"
ALERTMANAGER_CONFIG = ROOT / "alerts" / "alertmanager.yml"
RULES = ROOT / "alerts" / "rules"
LOG_RULES = ROOT / "alerts" / "vmalert"


def compose_flags(service: str, **changed: str) -> list[str]:
    """Return the command line of a service in compose.yaml, its variables at their defaults.

    `changed`: other values of flags that it has (`storageDataPath="/folder"`); ValueError for one that it has not.
    """
    command: list[str] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"][service]["command"]
    flags = {}
    for word in command:
        name, _, value = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word).lstrip("-").partition("=")
        flags[name] = value
    if unknown := changed.keys() - flags.keys():
        raise ValueError(f"{service} is started without {', '.join(sorted(unknown))}")
    return [f"-{name}={value}" for name, value in (flags | changed).items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A log record as VictoriaLogs returns it: its message, and all its other fields by name."""

    text: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VictoriaLogs:
    """A VictoriaLogs with the flags of compose.yaml. `address` is `127.0.0.1:port`."""

    program: Program
    address: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, *, port: int | None = None, **changed: str) -> AsyncIterator[VictoriaLogs]:
        """A ready one, with what the last one in this folder kept. `port`: that one's; `changed`: flags."""

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            own = {"httpListenAddr": f"{LOOPBACK}:{ports[0]}", "storageDataPath": str(folder / "victoria-logs")}
            return [tool("victoria-logs"), *compose_flags("victorialogs", **(own | changed))], {}

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[0]}/health")

        fixed = None if port is None else [port]
        async with on_free_ports("victoria-logs", launch, healthy, ports=1, folder=folder, fixed=fixed) as (
            program,
            taken,
        ):
            yield cls(program=program, address=f"{LOOPBACK}:{taken[0]}")

    async def lines(self, query: str, *, last_s: float = 3600) -> list[Line]:
        """Return what a LogsQL query finds, oldest first."""
        now_s = time.time()
        parameters = {"query": query, "start": str(int(now_s - last_s)), "end": str(int(now_s + 60))}
        found = await fetch(f"http://{self.address}/select/logsql/query", parameters=parameters)
        records = sorted((json.loads(line) for line in found.splitlines()), key=lambda record: record["_time"])
        return [
            Line(text=record.get("_msg", ""), fields={name: each for name, each in record.items() if name != "_msg"})
            for record in records
        ]

    async def stream_fields(self) -> set[str]:
        """Return the fields by which records are divided into streams."""
        url = f"http://{self.address}/select/logsql/stream_field_names"
        found = json.loads(await fetch(url, parameters={"query": "*"}))
        return {each["value"] for each in found["values"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vmalert:
    """A vmalert with the flags of compose.yaml, which evaluates the log rules. `address` is `127.0.0.1:port`."""

    program: Program
    address: str

    @classmethod
    @asynccontextmanager
    async def run(
        cls, folder: Path, *, logs: str, alertmanager: str, rules: Path = LOG_RULES
    ) -> AsyncIterator[Vmalert]:
        """A ready one that asks `logs`, a VictoriaLogs, and notifies `alertmanager`; `rules` is a folder."""

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            own = {
                "rule": f"{rules}/*.yml",
                "datasource.url": f"http://{logs}",
                "notifier.url": f"http://{alertmanager}",
                "httpListenAddr": f"{LOOPBACK}:{ports[0]}",
            }
            return [tool("vmalert"), *compose_flags("vmalert", **own)], {}

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[0]}/health")

        async with on_free_ports("vmalert", launch, healthy, ports=1, folder=folder) as (program, taken):
            yield cls(program=program, address=f"{LOOPBACK}:{taken[0]}")

    async def alerts(self) -> set[str]:
        """Return the names of the alerts that it evaluates; AssertionError when one of them cannot be evaluated."""
        groups = json.loads(await fetch(f"http://{self.address}/api/v1/rules"))["data"]["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        assert not [rule for rule in found if rule["lastError"]], found
        return {rule["name"] for rule in found}


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
    "victorialogs:9428",
    "vmalert:8880",
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
    logs: VictoriaLogs
    vmalert: Vmalert
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
            logs = await up.enter_async_context(VictoriaLogs.run(folder))
            collector = await up.enter_async_context(
                Collector.run(folder, jaeger=jaeger.otlp_grpc, logs=logs.address, kept_percent=None)
            )
            alertmanager = await up.enter_async_context(Alertmanager.run(folder, config=alertmanager_config))
            vmalert = await up.enter_async_context(
                Vmalert.run(folder, logs=logs.address, alertmanager=alertmanager.address)
            )
            addresses = {
                "wattspan:8080": f"{LOOPBACK}:{api_port}",
                "wattspan:9090": f"{LOOPBACK}:{metrics_port}",
                "otelcol:8889": collector.prometheus,
                "otelcol:8888": collector.telemetry,
                "127.0.0.1:9090": address,
                "jaeger:8888": jaeger.telemetry,
                "victorialogs:9428": logs.address,
                "vmalert:8880": vmalert.address,
                "alertmanager:9093": alertmanager.address,
            } | dict(others or {})
            config = prometheus_config(folder, addresses, TOKEN)
            prometheus = await up.enter_async_context(run_prometheus(folder, config, prometheus_port))
            yield cls(
                collector=collector,
                jaeger=jaeger,
                logs=logs,
                vmalert=vmalert,
                prometheus=prometheus,
                alertmanager=alertmanager,
                metrics_port=metrics_port,
                api_port=api_port,
            )


TOKEN = "scrape-token"
"""For WATTSPAN_METRICS_TOKEN."""
