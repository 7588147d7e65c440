"""What passed a central system of a test: frames and connections with their times, to be shown to others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from support.central import Csms
from wattspan.observe import Conversation, Observer
from wattspan.versions.base import Version


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A message; or with `subprotocol` the begin of a connection, or with `code` its end."""

    connection: Any
    at_ns: int
    data: bytes = b""
    from_charge_point: bool = False
    subprotocol: str | None = None
    code: int | None = None


def record_steps(csms: Csms, clock: Callable[[], int]) -> list[RecordedStep]:
    """Return a list that grows by each message and connection of a central system from now on."""
    gateway: Any = csms.central._gateway
    entering, leaving = gateway._enter, gateway._leave
    steps: list[RecordedStep] = []

    def enter(connection: Any, cp_id: str, version: Version) -> Any:
        steps.append(RecordedStep(connection, clock(), subprotocol=version.subprotocol))
        live = entering(connection, cp_id, version)
        connection.tap = lambda direction, data: tap(connection, direction, data)
        return live

    def tap(connection: Any, direction: str, data: bytes) -> None:
        steps.append(RecordedStep(connection, clock(), data, direction == "in"))

    def leave(cp_id: str, live: Any) -> None:
        leaving(cp_id, live)
        steps.append(RecordedStep(live.connection, clock(), code=live.connection.close_code or 1006))

    gateway._enter, gateway._leave = enter, leave
    return steps


def observe(observer: Observer, steps: list[RecordedStep], cp_id: str) -> None:
    """Give an observer everything, in the order in which it happened."""
    conversations: dict[Any, Conversation] = {}
    for step in steps:
        if step.subprotocol is not None:
            conversations[step.connection] = observer.connect(cp_id, step.subprotocol, step.at_ns)
        elif step.code is not None:
            conversations[step.connection].close(step.code, "", step.at_ns)
        else:
            conversations[step.connection].frame(step.data, step.from_charge_point, step.at_ns)
