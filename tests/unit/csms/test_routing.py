"""Commands to charge points of other nodes. The other node is a fake: it answers, fails or is silent."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from opentelemetry.trace import NoOpTracer

from wattspan.csms.commands import CommandResult
from wattspan.csms.operations import parameters as op
from wattspan.csms.routing import Router, _adapter
from wattspan.domain.counters import ServerCounters
from wattspan.errors import (
    CommandTimeout,
    ConnectionLost,
    NodeSilent,
    NodeUnreachable,
    NotConnected,
    RedisUnavailable,
)

RESULT = CommandResult(
    action="Reset",
    status="Accepted",
    accepted=True,
    payload={"status": "Accepted"},
    duration_s=0.1,
    trace_id="00",
    cp_id="CP1",
)
AT = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)
OPERATIONS: list[op.Operation] = [
    op.RemoteStart(id_tag="A1", connector_id=1),
    op.RemoteStop(),
    op.Unlock(evse_connector_id=2),
    op.Reset(hard=True),
    op.Reserve(id_tag="A1", expires_at=AT),
    op.CancelReservation(reservation_id=3),
    op.SetLimit(periods=[op.LimitPeriod(start_s=0, limit=16), op.LimitPeriod(start_s=60, limit=8, phases=1)]),
    op.ClearLimit(stack_level=1),
    op.SetAvailability(operative=False),
    op.Trigger(message="BootNotification"),
    op.SendLocalList(update="Differential", id_tags=["A1"], remove=("B2",)),
    op.GetLocalListVersion(),
    op.GetLogs(kind="security", from_at=AT),
    op.UpdateFirmware(location="https://files.example/1.bin", install_at=AT),
    op.GetConfiguration(keys=["HeartbeatInterval"]),
    op.ChangeConfiguration(key="HeartbeatInterval", value="60"),
    op.SetPassword(secret="a secret of twenty b"),
    op.RequestCertificateRenewal(),
]


def as_lists(operation: op.Operation) -> Any:
    return orjson.loads(orjson.dumps(operation))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: type(operation).__name__)
def test_an_operation_is_the_same_on_the_other_node(operation: op.Operation) -> None:
    adapter = _adapter(type(operation).__name__)
    again = adapter.validate_python(orjson.loads(orjson.dumps(adapter.dump_python(operation, mode="json"))))
    assert type(again) is type(operation)
    assert as_lists(again) == as_lists(operation)


def test_every_operation_is_tried_here() -> None:
    assert {type(each).__name__ for each in OPERATIONS} == {each.__name__ for each in op.Operation.__subclasses__()}


def test_only_operations_can_be_asked_for() -> None:
    for name in ("Operation", "datetime", "LimitPeriod", "nothing"):
        with pytest.raises(KeyError):
            _adapter(name)


class Nodes:
    """The other nodes: each answers by a function of the request, and what was sent is kept."""

    def __init__(self, **nodes: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self.nodes = nodes
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.execute: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]

    async def request(self, node: str, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.sent.append((node, orjson.loads(orjson.dumps(body))))
        return self.nodes[node](body)

    def serve(self, kind: str, execute: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]) -> None:
        self.execute = execute


def answers(_body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: getattr(RESULT, name) for name in RESULT.__slots__}


def raises(error: Exception) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    def fail(_body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise error

    return fail


def router(nodes: Nodes, *places: str | Exception | None) -> Router:
    """One whose charge points are at these places, the next at each look."""
    left = list(places)

    async def locate(_cp_id: str, *, without: str | None = None) -> str | None:
        place = left.pop(0)
        if isinstance(place, Exception):
            raise place
        assert place is None or place != without
        return place

    async def owner(_cp_id: str) -> str | None:
        return places[0] if isinstance(places[0], str) else None

    recorder = SimpleNamespace(took=lambda *_more: None)
    core: Any = SimpleNamespace(counters=ServerCounters(started_ts=0), recorder=recorder)
    unused: Any = None
    return Router(
        core=core,
        nodes=nodes,
        locate=locate,
        owner=owner,
        tracer=NoOpTracer(),
        commands=unused,
        operations=unused,
        rotation=unused,
        enrolments=unused,
    )


async def test_a_command_goes_to_the_node_with_the_connection() -> None:
    nodes = Nodes(north=answers)
    routed = router(nodes, "north")
    assert await routed.send_payload("CP1", "Reset", {"type": "Soft"}, timeout_s=3) == RESULT
    ((node, body),) = nodes.sent
    assert node == "north"
    assert (body["cp_id"], body["action"], body["payload"], body["timeout_s"]) == ("CP1", "Reset", {"type": "Soft"}, 3)
    assert routed.core.counters.routed_commands == {"answered": 1}


async def test_a_charge_point_that_has_moved_is_looked_for_once_more() -> None:
    nodes = Nodes(north=raises(NotConnected("CP1", "Reset")), south=answers)
    assert await router(nodes, "north", "south").perform("CP1", op.Reset()) == RESULT
    assert [node for node, _ in nodes.sent] == ["north", "south"]
    with pytest.raises(NotConnected):
        await router(nodes, "north", None).perform("CP1", op.Reset())


@pytest.mark.parametrize(
    ("fault", "expected", "outcome"),
    [
        (RedisUnavailable("Redis does not answer"), NodeUnreachable, "unreachable"),
        (NodeSilent("north", confirmed=False), NodeUnreachable, "unreachable"),
        (NodeSilent("north", confirmed=True), ConnectionLost, "lost"),
        (CommandTimeout("CP1", "Reset", 30.0), CommandTimeout, "failed"),
    ],
)
async def test_a_fault_is_reported_as_what_it_means_for_the_command(
    fault: Exception, expected: type[Exception], outcome: str
) -> None:
    routed = router(Nodes(north=raises(fault)), "north")
    with pytest.raises(expected):
        await routed.perform("CP1", op.Reset())
    assert routed.core.counters.routed_commands == {outcome: 1}


async def test_nothing_is_sent_when_the_node_is_not_known_or_there_is_none() -> None:
    nodes = Nodes()
    with pytest.raises(NodeUnreachable, match="Redis is away"):
        await router(nodes, RedisUnavailable("Redis is away")).perform("CP1", op.Reset())
    with pytest.raises(NotConnected):
        await router(nodes, None).perform("CP1", op.Reset())
    assert nodes.sent == []
