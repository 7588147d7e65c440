"""The real Collector, Jaeger and Prometheus of the end-to-end tests: started on free ports, asked by small queries.

Collector and Jaeger run the very files that are shipped; the rest of the stack is in `shipped.py`. Knows nothing of
Wattspan's code.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx

from stack.process import LOOPBACK, Program, on_free_ports
from stack.toolchain import ROOT, tool

COLLECTOR_CONFIG = ROOT / "otel-collector" / "config.yaml"
JAEGER_CONFIG = ROOT / "deploy" / "jaeger" / "config.yaml"
NOWHERE = f"{LOOPBACK}:1"
QUICK = {
    "OTELCOL_DECISION_WAIT": "2s",
    "OTELCOL_DECISION_WAIT_AFTER_ROOT": "100ms",
    "OTELCOL_SPAN_METRICS_INTERVAL": "500ms",
    "OTELCOL_RETRY_INTERVAL": "1s",
    "OTELCOL_BATCH_ITEMS": "1",
}
"""What a test would only wait for."""
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PLAIN: Any = {"verify": False}
"""For a client without TLS, which need not read the certificates of all authorities: that takes 50 ms each time."""


async def answers(url: str) -> bool:
    """Whether a GET gives a status below 300; refused connections are a no."""
    try:
        async with httpx.AsyncClient(timeout=2, **PLAIN) as client:
            return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


async def fetch(url: str, *, parameters: Mapping[str, str] | None = None, accept: str = "*/*") -> str:
    """The body of a GET; httpx.HTTPStatusError when the status is an error."""
    async with httpx.AsyncClient(timeout=30, **PLAIN) as client:
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
    fluent: str
    ports: Sequence[int]

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
    async def run(
        cls,
        folder: Path,
        *,
        jaeger: str = NOWHERE,
        logs: str = NOWHERE,
        kept_percent: int | None = 100,
        ports: Sequence[int] | None = None,
        more: Sequence[Path] = (),
        **environment: str,
    ) -> AsyncIterator[Collector]:
        """A healthy Collector that sends traces to `jaeger` and logs to `logs`; else they wait in its queue.

        `kept_percent`: None is as shipped. `more`: files that are read after the shipped one, and win over it.
        `ports`: those of one that ran in this folder before; what waited then is sent.
        """

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            grpc, http, page, health, telemetry, fluent = ports
            files = [argument for file in (COLLECTOR_CONFIG, *more) for argument in ("--config", file)]
            return [tool("otelcol"), *files], {
                **QUICK,
                "OTELCOL_OTLP_GRPC": f"{LOOPBACK}:{grpc}",
                "OTELCOL_OTLP_HTTP": f"{LOOPBACK}:{http}",
                "OTELCOL_PROMETHEUS": f"{LOOPBACK}:{page}",
                "OTELCOL_HEALTH": f"{LOOPBACK}:{health}",
                "OTELCOL_TELEMETRY_HOST": LOOPBACK,
                "OTELCOL_TELEMETRY_PORT": str(telemetry),
                "OTELCOL_FLUENT": f"{LOOPBACK}:{fluent}",
                "OTELCOL_JAEGER": jaeger,
                "OTELCOL_LOGS": f"http://{logs}/insert/opentelemetry",
                "OTELCOL_QUEUE": str(folder / "otelcol-queue"),
                **({} if kept_percent is None else {"OTELCOL_KEPT_PERCENT": str(kept_percent)}),
                **environment,
            }

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[3]}/")

        starting = on_free_ports("otelcol", launch, healthy, ports=6, folder=folder, fixed=ports)
        async with starting as (program, taken):
            grpc, http, page, _, telemetry, fluent = (f"{LOOPBACK}:{port}" for port in taken)
            yield cls(
                program=program,
                otlp_grpc=grpc,
                otlp_http=http,
                prometheus=page,
                telemetry=telemetry,
                fluent=fluent,
                ports=taken,
            )

    async def page(self, *, openmetrics: bool = False) -> str:
        """The page of the Prometheus exporter, as text 0.0.4 or as OpenMetrics."""
        return await fetch(f"http://{self.prometheus}/metrics", accept=OPENMETRICS if openmetrics else "text/plain")

    async def own_page(self) -> str:
        """The Collector's metrics about itself: what it received, sent, refused."""
        return await fetch(f"http://{self.telemetry}/metrics", accept="text/plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Jaeger:
    """A Jaeger with deploy/jaeger/config.yaml. Addresses are `127.0.0.1:port`."""

    program: Program
    otlp_grpc: str
    query: str
    telemetry: str
    ports: Sequence[int]

    @classmethod
    @asynccontextmanager
    async def run(
        cls, folder: Path, *, ports: Sequence[int] | None = None, prometheus: str = NOWHERE
    ) -> AsyncIterator[Jaeger]:
        """A healthy Jaeger, with what the last one in this folder kept. `ports`: that one's."""

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            names = ("JAEGER_OTLP", "JAEGER_QUERY", "JAEGER_QUERY_GRPC", "JAEGER_HEALTH")
            addresses = (f"{LOOPBACK}:{port}" for port in ports[:4])
            # Unasked it traces its own queries, sends them to localhost:4317, and waits for that when it stops.
            environment = {"OTEL_TRACES_SAMPLER": "always_off"} | dict(zip(names, addresses, strict=True))
            environment |= {"JAEGER_TELEMETRY_HOST": LOOPBACK, "JAEGER_TELEMETRY_PORT": str(ports[4])}
            environment |= {"JAEGER_DATA": str(folder / "jaeger"), "JAEGER_PROMETHEUS": f"http://{prometheus}"}
            return [tool("jaeger"), "--config", JAEGER_CONFIG], environment

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[3]}/status")

        starting = on_free_ports("jaeger", launch, healthy, ports=5, folder=folder, fixed=ports)
        async with starting as (program, taken):
            otlp, query, _, _, telemetry = (f"{LOOPBACK}:{port}" for port in taken)
            yield cls(program=program, otlp_grpc=otlp, query=query, telemetry=telemetry, ports=taken)

    async def traces(
        self, service: str, *, tags: Mapping[str, str] | None = None, operation: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Traces of a service in which some span has all `tags` (attributes as strings), as Jaeger tells them.

        Each has `traceID`, `spans` (with `spanID`, `operationName`, `references`, `startTime` and `duration` in µs,
        `tags` and `logs`) and `processes`. `operation` narrows to traces with a span of that name.
        """
        wanted = {"service": service, "limit": str(limit), "lookback": "48h"}
        wanted |= {"tags": json.dumps(tags)} if tags else {}
        if operation:
            wanted["operation"] = operation
        return list(json.loads(await fetch(f"http://{self.query}/api/traces", parameters=wanted))["data"])

    async def trace(self, trace_id: str) -> dict[str, Any] | None:
        """One trace by its id in hexadecimal; None while it has not arrived."""
        try:
            (told,) = json.loads(await fetch(f"http://{self.query}/api/traces/{trace_id}"))["data"]
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            return None
        return dict(told)

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
    others: Sequence[str] = ()
    """Further addresses of the same job."""

    def scrape_config(self) -> dict[str, Any]:
        """Its entry in Prometheus's configuration; labels that the page itself has are kept."""
        config: dict[str, Any] = {
            "job_name": self.job,
            "honor_labels": True,
            "static_configs": [{"targets": [self.address, *self.others]}],
        }
        if self.bearer_token is not None:
            config["authorization"] = {"credentials": self.bearer_token}
        return config


class Release(NamedTuple):
    """A Prometheus by its name among the tools, and further options of its command line."""

    tool: str
    options: Sequence[str] = ()


DEBIAN = Release("prometheus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A Prometheus that scrapes its targets every second and keeps exemplars. `address` is `127.0.0.1:port`."""

    program: Program
    address: str

    @classmethod
    @asynccontextmanager
    async def run(
        cls, folder: Path, targets: Sequence[Target], release: Release = DEBIAN, /, **more: Any
    ) -> AsyncIterator[Prometheus]:
        """A ready Prometheus with an empty database in `folder`; `more` goes to its configuration."""
        config = folder / "prometheus.json"
        scrape = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        config.write_text(
            json.dumps({"global": scrape, "scrape_configs": [target.scrape_config() for target in targets]} | more)
        )

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            return [
                tool(release.tool),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address={LOOPBACK}:{ports[0]}",
                "--enable-feature=exemplar-storage",
                *release.options,
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

    async def ever(self, expression: str, *, since_s: float, step_s: int = 1) -> bool:
        """Whether a query gave anything at some second since a Unix time, half an hour ago at most."""
        return bool(await self.over(expression, begin_s=since_s, end_s=time.time(), step_s=step_s))

    async def over(
        self, expression: str, *, begin_s: float, end_s: float, step_s: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Labels and points (Unix time, value) of every series of a range query, 11,000 points at most."""
        when = {"start": str(begin_s), "end": str(end_s), "step": str(step_s)}
        found = (await self._api("query_range", query=expression, **when))["result"]
        return [(each["metric"], [(float(at), float(value)) for at, value in each["values"]]) for each in found]

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
