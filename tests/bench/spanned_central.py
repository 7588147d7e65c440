"""The plain central system with one span of OpenTelemetry's SDK around each message, and nothing of Wattspan.

`opentelemetry-instrument python tests/bench/spanned_central.py PORT`: what a span a message costs by itself.
"""

import sys
from pathlib import Path
from typing import Any

import uvloop
from opentelemetry import trace

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.plain_central import PlainChargePoint, main

TRACER = trace.get_tracer("spanned_central")


class SpannedChargePoint(PlainChargePoint):
    """Handles each message inside a span with one attribute."""

    async def route_message(self, raw_msg: str) -> Any:
        with TRACER.start_as_current_span("message", kind=trace.SpanKind.SERVER, attributes={"cp_id": self.id}):
            return await super().route_message(raw_msg)  # type: ignore[no-untyped-call]  # the package ships no types


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), SpannedChargePoint))
