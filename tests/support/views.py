"""What each way to Wattspan's telemetry shows of one conversation, what is compared, and what is not, with its reason.

The server answers the messages itself. The proxy, an instrumented program and a replay observe them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from support.observing import described, samples
from wattspan.domain import events as ev
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import ChargePoint, Connector, TimelineEntry, Transaction
from wattspan.telemetry.families import State

Samples = dict[tuple[str, tuple[str, ...]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one way shows. Session traces are among the spans."""

    samples: Samples
    spans: tuple[ReadableSpan, ...]
    fleet: Fleet

    @classmethod
    def of(cls, state: State, spans: Iterable[ReadableSpan]) -> "View":
        """Return what the metrics page would show of `state`, and these spans."""
        return cls(samples=samples(state), spans=tuple(spans), fleet=state.fleet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """What is not compared with the server, each with its reason. Metrics are prefixes of sample names."""

    metrics: Mapping[str, str]
    attributes: Mapping[str, str]

    def compared(self, view: View) -> tuple[Samples, list[dict[str, Any]], Any]:
        """Return what is compared of a view: samples, spans and state."""
        without = tuple(self.metrics)
        kept = {sample: value for sample, value in view.samples.items() if not sample[0].startswith(without)}
        names = {span.context.span_id: span.name for span in view.spans if span.context is not None}
        spans = [span for span in view.spans if not is_part_of_message(span, names)]
        return kept, described(spans, without=self.attributes), state_of(view.fleet.charge_points)

    def check(self, view: View, server: View) -> None:
        """Raise AssertionError if the view differs from the server's."""
        (shown, spans, state), (expected, expected_spans, expected_state) = self.compared(view), self.compared(server)
        names = shown.keys() | expected.keys()
        differing = {
            name: (shown.get(name), expected.get(name)) for name in names if shown.get(name) != expected.get(name)
        }
        assert not differing, f"samples, as (shown, the server's): {differing}"
        additional = [span for span in spans if span not in expected_spans]
        missing = [span for span in expected_spans if span not in spans]
        assert spans == expected_spans, f"spans: {additional} instead of {missing}"
        assert state == expected_state, f"state: {state} instead of {expected_state}"


def is_part_of_message(span: ReadableSpan, names: Mapping[int, str]) -> bool:
    """Return whether it is the part of a message between proxy and central system, which only the proxy has.

    It has the name of its parent. A command that the server's plugins send for a message is its child as well.
    """
    return span.kind.name == "CLIENT" and span.parent is not None and names.get(span.parent.span_id) == span.name


ATTRIBUTES = {
    "ocpp.store_wait_s": "only the server's answers wait for a store",
    "csms.force_sample": "marks exemplars: at most ten a second, those that end first",
    "ocpp.id_token_hash": "each installation hashes with a key of its own",
    "network.peer.port": "each connection has a port of its own",
    "ocpp.command.trace_id": "trace ids are random",
    "ocpp.command.span_id": "span ids are random",
    "server.port": "each installation has a port of its own",
    "ocpp.connection.duration_s": "the ends of the connection are observed at slightly different times",
}
WITHOUT_SOCKET = ATTRIBUTES | {
    "network.peer.address": "only the server and the proxy hold the WebSocket",
    "server.address": "only the server and the proxy hold the WebSocket",
    "ocpp.request.size": "only the server and the proxy have the bytes of a message",
    "ocpp.response.size": "only the server and the proxy have the bytes of a message",
    "ws.close_reason": "only the server and the proxy hold the WebSocket",
}
OF_THE_SERVER = {
    "ocpp_store_": "an observer answers nothing, so no answer waits for its store",
    "database_": "the server checks its database",
    "system_": "the server checks its database",
}

OBSERVER = Exclusions(metrics=OF_THE_SERVER, attributes=WITHOUT_SOCKET)
PROXY = Exclusions(metrics=OF_THE_SERVER | {"ocpp_proxy_": "the relay's own"}, attributes=ATTRIBUTES)
PROGRAM = Exclusions(
    metrics=OF_THE_SERVER
    | {
        "user_": "users of the server's HTTP API",
        "successful_": "users of the server's HTTP API",
        "failed_logins_": "users of the server's HTTP API",
        "account_lockouts_": "users of the server's HTTP API",
        "registration_conflicts_": "users of the server's HTTP API",
        "ocpp_central_pending_": "only the server has charge points that wait for admission",
        "wattspan_": "the program is not Wattspan",
        "ocpp_central_telemetry_dropped_": "the exporters are the program's own",
    },
    attributes=WITHOUT_SOCKET,
)
REPLAY = OBSERVER

NOT_PUBLISHED = (ev.ProtocolFaulted, ev.SchemaFaulted, ev.VersionMixed, ev.StatusRequested)
"""Events that the server applies, and does not pass to plugins; `on_event` of an observer receives all of them."""

NOT_COMPARED = {
    "number": "the store's",
    "clock_skew": "compared by the live figures that depend on it",
    "sampled": "each installation asks its own sampler",
    "last_meter_values": "compared by the figures that depend on it",
}
"""Fields of the fleet's state."""


IDS = {
    "ocpp.command.trace_id": "trace ids are random",
    "ocpp.command.span_id": "span ids are random",
    "exported": "span ids are random where the provider is not ours",
}
"""Attributes of timeline entries."""


def _without_ids(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if key not in IDS}


def state_of(value: Any) -> Any:
    """Return the state of a fleet as plain values."""
    if isinstance(value, ChargePoint | Connector | Transaction):
        names = [field.name for field in fields(value) if field.name not in NOT_COMPARED]
        if isinstance(value, Connector):
            names.remove("transaction")
        return {name: state_of(getattr(value, name)) for name in names}
    if isinstance(value, list) and value and isinstance(value[0], TimelineEntry):
        return [(each.ts, each.name, each.phase, _without_ids(each.attributes)) for each in value]
    if isinstance(value, dict):
        return {key: state_of(each) for key, each in value.items()}
    return repr(value)
