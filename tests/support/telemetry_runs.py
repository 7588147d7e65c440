"""The telemetry of a central system without the rest of it, under the `OTEL_*` variables of a test."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.waiting import WITHIN_S
from wattspan.domain.apply import apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.events import ChargePointBooted
from wattspan.domain.fleet import Fleet
from wattspan.telemetry.recorder import MessageSpan
from wattspan.telemetry.setup import Telemetry, setup_telemetry


class Run:
    """A central system's telemetry, and what it is made of."""

    def __init__(self, telemetry: Telemetry, fleet: Fleet, counters: ServerCounters) -> None:
        self.telemetry, self.fleet, self.counters = telemetry, fleet, counters
        self.shutdown_s = WITHIN_S
        """How long the last export may take: short where a Collector hangs."""

    def begin(self, action: str = "Heartbeat", cp_id: str = "CP1") -> MessageSpan:
        """Receive a message and return its span, which is for `end`."""
        return self.telemetry.recorder.message(cp_id, action, time.time_ns())

    def end(self, span: MessageSpan) -> int:
        """Answer the message of a span; its trace id."""
        self.telemetry.recorder.answered(span, connector_id=None, session=None, error=None, store_wait_s=0.0)
        return span.trace_id

    def message(self, action: str = "Heartbeat", cp_id: str = "CP1") -> int:
        """Receive and answer a message; its trace id."""
        return self.end(self.begin(action, cp_id))


@asynccontextmanager
async def start(**variables: str) -> AsyncIterator[Run]:
    """A run under these variables and no other `OTEL_*` variable, shut down at the end.

    They are set in the process's environment: the stock exporters read it.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("OTEL_"):
                patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        fleet, counters = Fleet(), ServerCounters(started_ts=1.0)
        apply(fleet, ChargePointBooted(cp_id="CP1", received_ts=1_700_000_000.0))
        telemetry = await setup_telemetry(fleet, counters, os.environ)
        run = Run(telemetry, fleet, counters)
        try:
            yield run
        finally:
            await telemetry.shutdown(run.shutdown_s)
