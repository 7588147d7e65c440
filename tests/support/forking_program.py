"""A central system that forks after it was instrumented with a state file, as servers that load a program first do.

Both processes print what they recorded, as JSON: first the child, which ends as the exit of a program does.
"""

import asyncio
import json
import os
import sys
import threading
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from support.ocpp_programs import Adapter, Central16
from wattspan.instrumentation import OcppInstrumentor


async def converse(cp_id: str) -> None:
    """Let a charge point say that it is there."""
    charge_point: Any = Central16(cp_id, Adapter())
    await charge_point.route_message('[2, "1", "Heartbeat", {}]')


def report(reader: InMemoryMetricReader) -> None:
    """Print how many messages were counted and how many threads look after quiet connections."""
    data = reader.get_metrics_data()
    points = [
        point
        for resource in ([] if data is None else data.resource_metrics)
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if metric.name == "ocpp_central_messages_total"
    ]
    threads = sum(each.name == "wattspan-ocpp" and each.is_alive() for each in threading.enumerate())
    found = {"heartbeats": sum(getattr(point, "value", 0) for point in points), "threads": threads}
    sys.stdout.write(f"{json.dumps(found)}\n")
    sys.stdout.flush()


def main() -> None:
    """Fork, and observe messages before and after it."""
    reader = InMemoryMetricReader()
    OcppInstrumentor().instrument(
        tracer_provider=TracerProvider(), meter_provider=MeterProvider([reader]), state=sys.argv[1]
    )
    asyncio.run(converse("PARENT"))
    child = os.fork()
    if child == 0:
        asyncio.run(converse("CHILD1"))
        asyncio.run(converse("CHILD2"))
        report(reader)
        return
    assert os.waitpid(child, 0)[1] == 0
    asyncio.run(converse("PARENT"))
    report(reader)


if __name__ == "__main__":
    main()
