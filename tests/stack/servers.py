"""The real Collector, Jaeger and Prometheus of the end-to-end tests: started on free ports, asked by small queries.

The Collector runs the very file that is shipped. Knows nothing of Wattspan's code.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from stack.process import LOOPBACK, Program, on_free_ports
from stack.toolchain import HERE, ROOT, tool

COLLECTOR_CONFIG = ROOT / "otel-collector" / "config.yaml"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def answers(url: str) -> bool:
    """Whether a GET gives a status below 300; refused connections are a no."""
    try:
        async with httpx.AsyncClient(timeout=2) as client:
            return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


async def fetch(url: str, *, parameters: Mapping[str, str] | None = None, accept: str = "*/*") -> str:
    """The body of a GET; httpx.HTTPStatusError when the status is an error."""
    async with httpx.AsyncClient(timeout=10) as client:
        response = await client.get(url, params=parameters, headers={"Accept": accept})
        return response.raise_for_status().text


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """An OpenTelemetry Collector with otel-collector/config.yaml. Addresses are `127.0.0.1:port`."""

    program: Program
    otlp_grpc: str
    otlp_http: str
    prometheus: str
    telemetry: str

    @property
    def grpc_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with protocol grpc."""
        return f"http://{self.otlp_grpc}"

    @property
    def http_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with protocol http/protobuf."""
        return f"http://{self.otlp_http}"

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, *, jaeger: str = f"{LOOPBACK}:1") -> AsyncIterator[Collector]:
        """A healthy Collector that sends traces to `jaeger` (OTLP/gRPC); without one they wait in its queue."""

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            grpc, http, page, health, telemetry = ports
            return [tool("otelcol"), "--config", COLLECTOR_CONFIG], {
                "OTELCOL_OTLP_GRPC": f"{LOOPBACK}:{grpc}",
                "OTELCOL_OTLP_HTTP": f"{LOOPBACK}:{http}",
                "OTELCOL_PROMETHEUS": f"{LOOPBACK}:{page}",
                "OTELCOL_HEALTH": f"{LOOPBACK}:{health}",
                "OTELCOL_TELEMETRY_HOST": LOOPBACK,
                "OTELCOL_TELEMETRY_PORT": str(telemetry),
                "OTELCOL_JAEGER": jaeger,
            }

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[3]}/")

        async with on_free_ports("otelcol", launch, healthy, ports=5, folder=folder) as (program, ports):
            grpc, http, page, _, telemetry = (f"{LOOPBACK}:{port}" for port in ports)
            yield cls(program=program, otlp_grpc=grpc, otlp_http=http, prometheus=page, telemetry=telemetry)

    async def page(self, *, openmetrics: bool = False) -> str:
        """The page of the Prometheus exporter, as text 0.0.4 or as OpenMetrics."""
        return await fetch(f"http://{self.prometheus}/metrics", accept=OPENMETRICS if openmetrics else "text/plain")

    async def own_page(self) -> str:
        """The Collector's metrics about itself: what it received, sent, refused."""
        return await fetch(f"http://{self.telemetry}/metrics", accept="text/plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Jaeger:
    """A Jaeger that keeps traces in memory. Addresses are `127.0.0.1:port`."""

    program: Program
    otlp_grpc: str
    query: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path) -> AsyncIterator[Jaeger]:
        """A healthy, empty Jaeger."""

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            names = ("JAEGER_OTLP", "JAEGER_QUERY", "JAEGER_QUERY_GRPC", "JAEGER_HEALTH")
            addresses = (f"{LOOPBACK}:{port}" for port in ports)
            # Unasked it traces its own queries, sends them to localhost:4317, and waits for that when it stops.
            environment = {"OTEL_TRACES_SAMPLER": "always_off"} | dict(zip(names, addresses, strict=True))
            return [tool("jaeger"), "--config", HERE / "jaeger.yaml"], environment

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[3]}/status")

        async with on_free_ports("jaeger", launch, healthy, ports=4, folder=folder) as (program, ports):
            otlp, query, *_ = (f"{LOOPBACK}:{port}" for port in ports)
            yield cls(program=program, otlp_grpc=otlp, query=query)

    async def traces(
        self, service: str, *, tags: Mapping[str, str] | None = None, operation: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Traces of a service in which some span has all `tags` (attributes as strings), as Jaeger tells them.

        Each has `traceID`, `spans` (with `spanID`, `operationName`, `references`, `startTime` and `duration` in µs,
        `tags` and `logs`) and `processes`. `operation` narrows to traces with a span of that name.
        """
        wanted = {"service": service, "limit": str(limit), "lookback": "48h"}
        if tags:
            wanted["tags"] = json.dumps(tags)
        if operation:
            wanted["operation"] = operation
        found: list[dict[str, Any]] = json.loads(
            await fetch(f"http://{self.query}/api/traces", parameters=wanted),
        )["data"]
        return found

    async def trace(self, trace_id: str) -> dict[str, Any] | None:
        """One trace by its id in hexadecimal; None while it has not arrived."""
        try:
            (found,) = json.loads(await fetch(f"http://{self.query}/api/traces/{trace_id}"))["data"]
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            return None
        told: dict[str, Any] = found
        return told

    async def services(self) -> list[str]:
        """The names of all services that sent a span."""
        return list(json.loads(await fetch(f"http://{self.query}/api/services"))["data"] or [])


def attributes(span: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span (or the fields of one of its `logs`) as Jaeger tells it, by name."""
    return {tag["key"]: tag["value"] for tag in span.get("tags", span.get("fields", ()))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What Prometheus scrapes: `address` is `host:port`."""

    address: str
    job: str = "wattspan"
    bearer_token: str | None = None

    def scrape_config(self) -> dict[str, Any]:
        """Its entry in Prometheus's configuration; labels that the page itself has are kept."""
        config: dict[str, Any] = {
            "job_name": self.job,
            "honor_labels": True,
            "static_configs": [{"targets": [self.address]}],
        }
        if self.bearer_token is not None:
            config["authorization"] = {"credentials": self.bearer_token}
        return config


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A Prometheus that scrapes its targets every second and keeps exemplars. `address` is `127.0.0.1:port`."""

    program: Program
    address: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, targets: Sequence[Target], **more: Any) -> AsyncIterator[Prometheus]:
        """A ready Prometheus with an empty database in `folder`; `more` goes to its configuration."""
        config = folder / "prometheus.json"
        scrape = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        config.write_text(
            json.dumps({"global": scrape, "scrape_configs": [target.scrape_config() for target in targets]} | more)
        )

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

        async with on_free_ports("prometheus", launch, healthy, ports=1, folder=folder) as (program, ports):
            yield cls(program=program, address=f"{LOOPBACK}:{ports[0]}")

    async def query(self, expression: str, *, at_s: float | None = None) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series that an instant query gives, now or at `at_s`; a scalar has no labels."""
        when = {} if at_s is None else {"time": str(at_s)}
        result = await self._api("query", query=expression, **when)
        if result["resultType"] == "scalar":
            return [({}, float(result["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in result["result"]]

    async def exemplars(self, expression: str, *, start_s: float, end_s: float) -> list[dict[str, Any]]:
        """The exemplars of a selector between two Unix times: `seriesLabels` and a list of `exemplars` each."""
        found = await self._api("query_exemplars", query=expression, start=str(start_s), end=str(end_s))
        return list(found)

    async def targets(self) -> list[dict[str, Any]]:
        """Active targets as Prometheus tells them: `health` is `up`, `down` or `unknown`, `lastError` says why."""
        return list((await self._api("targets"))["activeTargets"])

    async def _api(self, path: str, **parameters: str) -> Any:
        return json.loads(await fetch(f"http://{self.address}/api/v1/{path}", parameters=parameters))["data"]


class RunPrometheus(Protocol):
    """Starts a Prometheus, as `Prometheus.run` does, in a test's own folder."""

    def __call__(self, targets: Sequence[Target]) -> AbstractAsyncContextManager[Prometheus]: ...


def promtool() -> Path:
    """Prometheus's own checker, which comes with it."""
    return tool("prometheus").with_name("promtool")
