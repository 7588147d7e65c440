"""Causes are linked: a remote start and its session, a reset and its reboot, a plugin's work and its message."""

import asyncio
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.central import Csms
from support.chargers import BOOT
from support.waiting import eventually
from wattspan.csms.plugins.base import Plugin
from wattspan.domain.events import ChargePointBooted, Event
from wattspan.telemetry import catalogue

START = {"connectorId": 1, "idTag": "A1", "meterStart": 0, "timestamp": "2026-03-02T08:00:00Z"}


def kept(csms: Csms) -> InMemorySpanExporter:
    """Return what receives the spans of a server with its own provider."""
    exporter = InMemorySpanExporter()
    csms.central.telemetry.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))  # type: ignore[attr-defined]
    return exporter


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    return next(span for span in spans.get_finished_spans() if span.name == name)


async def status(charger: Any, word: str, at: str) -> None:
    payload = {"connectorId": 1, "status": word, "errorCode": "NoError", "timestamp": at}
    await charger.call("StatusNotification", payload)


async def test_a_remote_start_and_its_session_lead_to_each_other_and_phases_are_seen_while_it_runs(
    csms: Csms,
) -> None:
    spans = kept(csms)
    async with csms.charger("CP1") as charger:
        starting = asyncio.create_task(csms.central.remote_start("CP1", id_tag="A1", connector_id=1))
        await charger.reply(await charger.expect("RemoteStartTransaction"), {"status": "Accepted"})
        await starting
        started = await charger.call("StartTransaction", START)
        await status(charger, "Charging", "2026-03-02T08:00:10Z")
        await status(charger, "SuspendedEV", "2026-03-02T08:10:00Z")
        running = named(spans, "charging")  # the session has not ended
        unlocking = asyncio.create_task(csms.central.unlock("CP1", connector_id=1))
        await charger.reply(await charger.expect("UnlockConnector"), {"status": "Unlocked"})
        await unlocking
        stop = {"transactionId": started["transactionId"], "meterStop": 9000, "timestamp": "2026-03-02T08:20:00Z"}
        await charger.call("StopTransaction", stop)
    session, command = named(spans, catalogue.SESSION_SPAN), named(spans, "RemoteStartTransaction")
    began = named(spans, catalogue.SESSION_BEGAN_SPAN)
    assert [link.context.span_id for link in session.links] == [command.context.span_id]
    assert began.parent is not None
    assert began.parent.span_id == command.context.span_id
    assert [link.context.span_id for link in began.links] == [session.context.span_id]
    assert running.parent is not None
    assert (running.parent.span_id, running.context.trace_id) == (session.context.span_id, session.context.trace_id)
    phases = [
        span for span in spans.get_finished_spans() if span.parent and span.parent.span_id == session.context.span_id
    ]
    assert sorted(span.name for span in phases) == ["charging", "preparing", "suspended by EV"]
    unlock = named(spans, "UnlockConnector")
    events = {event.name: dict(event.attributes or {}) for event in session.events}
    assert events["command"]["ocpp.command.trace_id"] == f"{unlock.context.trace_id:032x}"
    assert events["command"]["ocpp.command.span_id"] == f"{unlock.context.span_id:016x}"


async def test_a_phase_that_was_emitted_is_not_emitted_again_after_a_restart(csms: Csms) -> None:
    async with csms.charger("CP1") as charger:
        spans = kept(csms)
        started = await charger.call("StartTransaction", START)
        await status(charger, "Charging", "2026-03-02T08:00:10Z")
        await status(charger, "SuspendedEV", "2026-03-02T08:10:00Z")
        before = named(spans, "charging")
    await csms.restart()
    spans = kept(csms)
    async with csms.charger("CP1") as charger:
        stop = {"transactionId": started["transactionId"], "meterStop": 9000, "timestamp": "2026-03-02T08:20:00Z"}
        await charger.call("StopTransaction", stop)
    session = named(spans, catalogue.SESSION_SPAN)
    assert before.parent is not None
    assert before.parent.span_id == session.context.span_id
    assert [span.name for span in spans.get_finished_spans() if span.parent] == ["suspended by EV"]


async def test_a_reset_and_the_reboot_after_it_lead_to_each_other(csms: Csms) -> None:
    spans = kept(csms)
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        resetting = asyncio.create_task(csms.central.reset("CP1"))
        await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
        await resetting
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await charger.call("BootNotification", BOOT)
    first, boot, later = (span for span in spans.get_finished_spans() if span.name == "BootNotification")
    command, reboot = named(spans, "Reset"), named(spans, catalogue.REBOOT_SPAN)
    assert [link.context.span_id for link in boot.links] == [command.context.span_id]
    assert (boot.attributes or {})["ocpp.cause"] == "Reset"
    assert not first.links
    assert not later.links
    assert reboot.parent is not None
    assert reboot.parent.span_id == command.context.span_id
    assert [link.context.span_id for link in reboot.links] == [boot.context.span_id]


class Tracing(Plugin):
    """A plugin that makes a span for each boot."""

    name = "tracing"
    events = (ChargePointBooted,)

    def __init__(self) -> None:
        self.parents: list[int] = []

    async def on_event(self, event: Event) -> None:
        self.parents.append(trace.get_current_span().get_span_context().span_id)


async def test_what_a_plugin_does_for_an_event_is_in_the_trace_of_its_message(make_csms: Callable[..., Any]) -> None:
    plugin = Tracing()
    csms: Csms = await make_csms(plugins=[plugin])
    spans = kept(csms)
    async with csms.charger("CP1") as charger:
        await charger.call("BootNotification", BOOT)
        await eventually(lambda: plugin.parents)
    assert plugin.parents == [named(spans, "BootNotification").context.span_id]
