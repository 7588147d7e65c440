"""A small central system that checks every frame against the schemas of its version and keeps its own records."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from support.schema_files import call_faults, result_faults
from wattspan.simulator import ArrivalPattern, Clock, Simulation

SUBPROTOCOLS = [Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1"), Subprotocol("ocpp2.1")]
NO_CARS = ArrivalPattern(sessions_per_day=0.0, busy_at_start=0.0)


@dataclass(eq=False)
class Central:
    """A central system that is idempotent by content, as Wattspan is."""

    url: str = ""
    id_tag_status: str = "Accepted"
    refuse: Callable[[str, dict[str, Any]], bool] = lambda *_: False
    """Returns whether a CALL gets a CALLERROR."""
    boots: list[str] = field(default_factory=lambda: ["Accepted"])
    """Statuses of the next BootNotifications; the last one is repeated."""
    sockets: dict[str, ServerConnection] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    connections: int = 0
    disconnects: int = 0
    starts: dict[str, int] = field(default_factory=dict)
    open: dict[Any, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """TransactionEvents in the order of their seqNo, by transaction."""
    stopped_wh: dict[Any, int] = field(default_factory=dict)
    answered: dict[str, asyncio.Future[Any]] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    close_codes: list[int | None] = field(default_factory=list)
    """Close codes of connections that were closed with a close frame."""
    headers: list[Any] = field(default_factory=list)

    async def serve(self, socket: ServerConnection) -> None:
        cp_id = socket.request.path.rsplit("/", 1)[-1]
        self.headers.append(socket.request.headers)
        self.sockets[cp_id] = socket
        self.connections += 1
        try:
            async for text in socket:
                await self._take(socket, cp_id, json.loads(text))
                async with self.changed:
                    self.changed.notify_all()
            self.close_codes.append(socket.close_code)
        except Exception as exc:  # noqa: BLE001 (the fixture reports it at the end)
            if type(exc).__name__ != "ConnectionClosedError":
                self.faults.append(repr(exc))
        finally:
            self.disconnects += 1
            async with self.changed:
                self.changed.notify_all()

    async def _take(self, socket: ServerConnection, cp_id: str, frame: list[Any]) -> None:
        kind, message_id, *rest = frame
        if kind != 2:
            self.answered.pop(message_id).set_result(frame)
            return
        action, payload = rest
        version = socket.subprotocol
        assert version is not None
        self.faults += [f"{version} {action}: {fault}" for fault in call_faults(version, action, payload)]
        self.calls.append((cp_id, action, payload))
        if self.refuse(action, payload):
            await socket.send(json.dumps([4, message_id, "InternalError", "", {}]))
            return
        answer = getattr(self, f"_{action}", lambda *_: {})(cp_id, payload)
        self.faults += [f"{version} {action}, answer: {fault}" for fault in result_faults(version, action, answer)]
        await socket.send(json.dumps([3, message_id, answer]))

    def _BootNotification(self, _cp_id: str, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        status = self.boots.pop(0) if len(self.boots) > 1 else self.boots[0]
        return {"status": status, "currentTime": datetime.now(UTC).isoformat(), "interval": 100}

    def _Heartbeat(self, *_: Any) -> dict[str, Any]:  # noqa: N802
        return {"currentTime": datetime.now(UTC).isoformat()}

    def _Authorize(self, _: str, call: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"idTokenInfo" if "idToken" in call else "idTagInfo": {"status": self.id_tag_status}}

    def _DataTransfer(self, *_: Any) -> dict[str, Any]:  # noqa: N802
        return {"status": "UnknownVendorId"}

    def _SignCertificate(self, *_: Any) -> dict[str, Any]:  # noqa: N802
        return {"status": "Accepted"}

    def _StartTransaction(self, cp_id: str, call: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        key = f"{cp_id} {json.dumps(call, sort_keys=True)}"
        number = self.starts.setdefault(key, len(self.starts) + 1)
        if number not in self.stopped_wh:
            self.open[number] = (cp_id, call)
        return {"transactionId": number, "idTagInfo": {"status": self.id_tag_status}}

    def _StopTransaction(self, _: str, call: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        number = call["transactionId"]
        if number in self.open:
            _, start = self.open.pop(number)
            self.stopped_wh[number] = call["meterStop"] - start["meterStart"]
        elif number not in self.stopped_wh:
            self.faults.append(f"stop of {number}, which was never started")
        return {}

    def _TransactionEvent(self, cp_id: str, call: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name, kind, number = call["transactionInfo"]["transactionId"], call["eventType"], call["seqNo"]
        events = self.events.setdefault(name, [])
        if number < len(events):
            self.faults += [] if events[number] == call else [f"{name}: another event {number}"]
        elif number > len(events) or (number == 0) != (kind == "Started"):
            self.faults.append(f"{name}: {kind} as event {number} after {len(events)}")
        else:
            events.append(call)
        if kind == "Started" and name not in self.stopped_wh:
            self.open[name] = (cp_id, call)
            self.starts[name] = len(self.starts) + 1
        elif kind == "Ended" and name in self.open:
            self.open.pop(name)
            self.stopped_wh[name] = register(events[-1]) - register(events[0])
        return {"idTokenInfo": {"status": self.id_tag_status}} if "idToken" in call else {}

    async def command(self, action: str, payload: dict[str, Any], cp_id: str = "SIM0001") -> dict[str, Any]:
        """Send a command and return its result; a CALLERROR as {"error": code}."""
        version = self.sockets[cp_id].subprotocol
        assert version is not None
        assert not call_faults(version, action, payload)
        frame = await self.raw_command(action, payload, cp_id)
        if frame[0] == 4:
            return {"error": frame[2]}
        assert not result_faults(version, action, frame[2]), (action, frame[2])
        return frame[2]

    async def raw_command(self, action: str, payload: Any, cp_id: str = "SIM0001") -> list[Any]:
        message_id = f"c{len(self.calls)}-{action}"
        future = self.answered[message_id] = asyncio.get_running_loop().create_future()
        await self.sockets[cp_id].send(json.dumps([2, message_id, action, payload]))
        async with asyncio.timeout(10):
            return await future

    async def until(self, claim: Callable[[], object]) -> None:
        """Wait until `claim()` is true; it is checked after every frame."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(claim)

    def of(self, action: str) -> list[dict[str, Any]]:
        return [payload for _, called, payload in self.calls if called == action]

    def statuses(self, connector_id: int) -> list[str]:
        """Return every reported status of a connector (2.x: of an EVSE)."""
        return [
            call.get("status") or call["connectorStatus"]
            for call in self.of("StatusNotification")
            if call.get("evseId", call["connectorId"]) == connector_id
        ]

    def transaction_events(self, kind: str, trigger: str | None = None) -> list[dict[str, Any]]:
        """Return the TransactionEvents of this type and trigger reason; None: any."""
        found = [call for call in self.of("TransactionEvent") if call["eventType"] == kind]
        return [call for call in found if trigger in {None, call["triggerReason"]}]

    def distinct(self, action: str) -> dict[str, int]:
        """Return how many different messages of an action each charge point sent."""
        seen: defaultdict[str, set[str]] = defaultdict(set)
        for cp_id, called, payload in self.calls:
            if called == action:
                seen[cp_id].add(json.dumps(payload, sort_keys=True))
        return {cp_id: len(payloads) for cp_id, payloads in seen.items()}

    def counted(self) -> Counter[str]:
        return Counter(action for _, action, _ in self.calls)


def register(event: dict[str, Any]) -> int:
    """Return the energy register of a TransactionEvent, in Wh."""
    (value,) = event["meterValue"]
    return next(s["value"] for s in value["sampledValue"] if s["measurand"] == "Energy.Active.Import.Register")


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    central = Central()
    async with serve(central.serve, "127.0.0.1", 0, subprotocols=SUBPROTOCOLS, close_timeout=1) as server:
        central.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        yield central
    assert central.faults == []


@pytest.fixture
def running(central: Central) -> Any:
    """Return a context manager that runs a simulation: `async with running(...) as simulation`."""

    @asynccontextmanager
    async def run(*, time_factor: float = 2_000, **options: Any) -> AsyncIterator[Simulation]:
        options.setdefault("charge_points", 1)
        options.setdefault("versions", ("1.6",))
        options.setdefault("arrivals", NO_CARS)
        clock = Clock(time_factor=time_factor, protocol_factor=1_000)
        simulation = Simulation(url=central.url, clock=clock, **options)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(simulation.run())
            await central.until(lambda: all(central.statuses(number) for number in range(1, simulation.connectors + 1)))
            yield simulation
            simulation.finish()

    return run
