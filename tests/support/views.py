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
from wattspan.domain.model import ChargePoint, Connector, Transaction
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
        spans = [span for span in view.spans if not is_part_of_message(span)]
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


def is_part_of_message(span: ReadableSpan) -> bool:
    """Return whether it is the part of a message between proxy and central system, which only the proxy has."""
    return span.kind.name == "CLIENT" and span.parent is not None


ATTRIBUTES = {
    "ocpp.store_wait_s": "only the server's answers wait for a store",
    "csms.force_sample": "marks exemplars: at most ten a second, those that end first",
    "ocpp.id_token_hash": "each installation hashes with a key of its own",
}
OF_THE_SERVER = {
    "ocpp_store_": "an observer answers nothing, so no answer waits for its store",
    "database_": "the server checks its database",
    "system_": "the server checks its database",
}

OBSERVER = Exclusions(metrics=OF_THE_SERVER, attributes=ATTRIBUTES)
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
        "ocpp_central_telemetry_dropped_": "the exporters are the program's own",
    },
    attributes=ATTRIBUTES,
)
REPLAY = OBSERVER

NOT_PUBLISHED = (ev.ProtocolFaulted, ev.SchemaFaulted, ev.VersionMixed, ev.StatusRequested)
"""Events that the server applies, and does not pass to plugins; `on_event` of an observer receives all of them."""

NOT_COMPARED = {
    "number": "the store's",
    "clock_skew": "compared by the live figures that depend on it",
    "last_meter_values": "compared by the figures that depend on it",
}
"""Fields of the fleet's state."""


def state_of(value: Any) -> Any:
    """Return the state of a fleet as plain values."""
    if isinstance(value, ChargePoint | Connector | Transaction):
        names = [field.name for field in fields(value) if field.name not in NOT_COMPARED]
        if isinstance(value, Connector):
            names.remove("transaction")
        return {name: state_of(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {key: state_of(each) for key, each in value.items()}
    return repr(value)
