"""docs/backends.md where it needs real servers: the Collector with a second backend, and Prometheus by OTLP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from stack.process import LOOPBACK, eventually, on_free_ports
from stack.servers import Collector, Jaeger, Prometheus, answers
from stack.test_stack_troubles import SESSION, charge, counted, sessions
from stack.toolchain import tool
from stack.wattspan_server import SOON, WattspanServer, to_collector
from support.otlp import Receiver, receiver
from support.recipes import recipe, variables

KEY = "key-of-the-vendor"


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """vendor.yaml as it stands on the page, with the secret in this test's folder."""
    (tmp_path / "vendor_key").write_text(KEY)
    path = tmp_path / "vendor.yaml"
    path.write_text(recipe("vendor.yaml", secret=str(tmp_path / "vendor_key")))
    return path


def has_all(vendor: Receiver) -> bool:
    """The session's trace, the energy counter under its very name, a log line."""
    energy = [point for point in vendor.metric("ocpp_cp_energy_total_wh") if (point.as_double or point.as_int) == 7500]
    return SESSION in {span.name for span in vendor.spans()} and bool(energy) and bool(vendor.logs)


async def test_a_second_backend_gets_everything_and_the_first_goes_on(
    tmp_path: Path, jaeger: Jaeger, second: Path
) -> None:
    with receiver(wants={"Authorization": f"Bearer {KEY}"}) as vendor:
        run = partial(Collector.run, tmp_path, jaeger=jaeger.otlp_grpc, more=[second], VENDOR_OTLP=vendor.endpoint)
        async with run() as collector, WattspanServer.run(tmp_path, to_collector(collector)) as server:
            await charge(server, "CP1")

            async def told() -> bool:
                return has_all(vendor)

            await eventually(told)
            await eventually(partial(sessions, jaeger, "CP1"))
            assert "# TYPE ocpp_cp_energy_total_wh counter" in (await collector.page()).splitlines()
        assert vendor.refused == 0


async def test_a_second_backend_that_refuses_holds_up_nobody(tmp_path: Path, jaeger: Jaeger, second: Path) -> None:
    with receiver(wants={"Authorization": "Bearer another"}) as vendor:
        run = partial(Collector.run, tmp_path, jaeger=jaeger.otlp_grpc, more=[second], VENDOR_OTLP=vendor.endpoint)
        async with run() as collector, WattspanServer.run(tmp_path, to_collector(collector)) as server:
            await charge(server, "CP1")
            await eventually(partial(sessions, jaeger, "CP1"))

            async def refused() -> bool:
                return await counted(collector, "otelcol_exporter_send_failed_spans", "otlp_http/vendor") > 0

            await eventually(refused)
            assert await counted(collector, "otelcol_exporter_send_failed_spans", "otlp_grpc/jaeger") == 0
        assert vendor.refused > 0
        assert vendor.spans() == []


@pytest.fixture
async def prometheus_3(tmp_path: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus 3 that scrapes nothing and takes OTLP, by the page's own lines."""
    config = tmp_path / "prometheus.yml"
    config.write_text(recipe("prometheus.yml"))

    def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
        return [
            tool("prometheus-3"),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'prometheus'}",
            f"--web.listen-address={LOOPBACK}:{ports[0]}",
            "--web.enable-otlp-receiver",
            "--enable-feature=exemplar-storage",
        ], {}

    async def healthy(ports: Sequence[int]) -> bool:
        return await answers(f"http://{LOOPBACK}:{ports[0]}/-/ready")

    async with on_free_ports("prometheus", launch, healthy, ports=1, folder=tmp_path) as (program, ports):
        yield Prometheus(program=program, address=f"{LOOPBACK}:{ports[0]}")


async def test_prometheus_takes_otlp_under_the_same_names_with_exemplars(
    tmp_path: Path, collector: Collector, prometheus_3: Prometheus
) -> None:
    """Traces go elsewhere, or nothing would point to one."""
    began_s = time.time()
    metrics = variables(recipe("to prometheus", prometheus=f"http://{prometheus_3.address}"))
    environment = to_collector(collector) | metrics | SOON
    async with WattspanServer.run(tmp_path, environment) as server:
        await charge(server, "CP1")
        await eventually(partial(prometheus_3.query, "ocpp_cp_energy_total_wh == 7500"))

        async def page() -> set[str]:
            return {line.split()[2] for line in (await server.page()).splitlines() if line.startswith("# TYPE ")}

        async def exemplars() -> object:
            return await prometheus_3.exemplars(
                "ocpp_tx_duration_seconds_bucket", start_s=began_s - 5, end_s=time.time() + 5
            )

        await eventually(exemplars)

        async def families() -> set[str]:
            told = {labels["__name__"] for labels, _ in await prometheus_3.query('{job="wattspan"}')}
            return {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in told}

        async def has_all_families() -> bool:
            # Those without a series have no points to send.
            return {name async for name in with_series(server, await page())} <= await families()

        await eventually(has_all_families)
        assert await families() - {"target_info"} <= await page(), "target_info is OTLP's own"
        assert await prometheus_3.query("up") == []


async def with_series(server: WattspanServer, names: set[str]) -> AsyncIterator[str]:
    """Those of these metrics that have a sample on the page."""
    lines = (await server.page()).splitlines()
    for name in sorted(names):
        if any(line.startswith((f"{name}{{", f"{name} ", f"{name}_count")) for line in lines):
            yield name
