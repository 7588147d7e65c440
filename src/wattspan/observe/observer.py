"""`Observer`: the conversations of a fleet, and the state they share."""

import time
from collections.abc import Callable

from wattspan.domain import events as ev
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.observe.conversation import Conversation
from wattspan.observe.core import NS, Limits, ObserverCore, OnEvents
from wattspan.observe.role import Role
from wattspan.telemetry.connection import Address
from wattspan.telemetry.evidence import Disconnect
from wattspan.telemetry.recorder import Attributes, Recorder

MAX_CHARGE_POINTS = 10_000
DEFAULT_LIMITS = Limits()


class Observer:
    """Observes conversations: `connect` one for each WebSocket. For one thread. No method raises.

    `fleet` None: a new one, whose changes nobody stores. A fleet that is passed in must be made with
    `assigns_ids=False`, and whoever passes it empties its `changes`. `on_event` is called with the events of each
    message after they were applied. `closes_orphans`: close transactions whose stop was lost, as the server's plugin of
    that name does; not if that plugin runs on the same fleet. Charge points beyond `max_charge_points` are counted and
    not observed.
    """

    def __init__(  # noqa: PLR0913  all but the recorder have defaults
        self,
        fleet: Fleet | None = None,
        *,
        recorder: Recorder,
        counters: ServerCounters | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        on_event: OnEvents | None = None,
        max_charge_points: int = MAX_CHARGE_POINTS,
        limits: Limits = DEFAULT_LIMITS,
        closes_orphans: bool = True,
    ) -> None:
        self._clock_ns = clock_ns
        self._max_charge_points = max_charge_points
        self._live: dict[str, Conversation] = {}
        self._open: set[Conversation] = set()
        self._core = ObserverCore(
            fleet=Fleet(assigns_ids=False, keeps_readings=False) if fleet is None else fleet,
            recorder=recorder,
            counters=ServerCounters(started_ts=clock_ns() / NS) if counters is None else counters,
            on_event=on_event,
            keeps_changes=fleet is not None,
            limits=limits,
            closes_orphans=closes_orphans,
        )
        self._core.fleet.on_stopped.append(recorder.session_stopped)
        self._core.fleet.on_phase.append(recorder.phase_ended)

    @property
    def fleet(self) -> Fleet:
        """The state of the charge points."""
        return self._core.fleet

    @property
    def counters(self) -> ServerCounters:
        """The counters; `unobserved` has what exceeded a bound or failed."""
        return self._core.counters

    @property
    def recorder(self) -> Recorder:
        """What records spans and histograms."""
        return self._core.recorder

    def connect(
        self,
        cp_id: str,
        subprotocol: str | None,
        at_ns: int,
        attributes: Attributes | None = None,
        *,
        role: Role = Role.CENTRAL_SYSTEM,
        peer: Address | None = None,
        server: Address | None = None,
    ) -> Conversation:
        """Observe that a charge point connected, and return the conversation that follows. Never raises.

        `subprotocol` None, or one that is not known: the version is guessed from the messages. `attributes` are set on
        each span of the conversation. `peer` and `server` are the addresses of both ends, if known. The newest
        connection of a charge point replaces the one before.
        """
        core = self._core
        given = attributes or {}
        known = core.fleet.charge_points
        if cp_id not in known and len(known) >= self._max_charge_points:
            core.count_unobserved("charge_points")
            return Conversation(core, None, subprotocol, role=role, attributes=given, ended=self._ended)
        cp = core.fleet.charge_point(cp_id, at_ns / NS)
        conversation = Conversation(core, cp, subprotocol, role=role, attributes=given, ended=self._ended)
        conversation.opened(at_ns, peer, server)
        replaced = self._live.get(cp_id)
        self._live[cp_id] = conversation
        self._open.add(conversation)
        core.counters.sockets += 1
        version = None if conversation.version is None else conversation.version.subprotocol
        protocol = version if version is not None and version == subprotocol else ""
        try:
            core.apply([ev.ChargePointConnected(cp_id=cp_id, received_ts=at_ns / NS, protocol=protocol)], at_ns)
            core.recorder.evidence.connected(
                cp_id,
                conversation.connection,
                at_ns,
                protocol=protocol,
                replaced=None if replaced is None else replaced.connection,
            )
        except Exception:  # noqa: BLE001  as in `Conversation`
            core.failed()
        return conversation

    def keep_no_changes(self) -> None:
        """Keep no changes of the fleet any more: nobody will store them."""
        self._core.keep_no_changes()

    def failed(self) -> None:
        """Count and log the exception that is being handled, for callers whose own part must not raise either."""
        self._core.failed()

    def expire(self, now_ns: int | None = None) -> None:
        """End the CALLs that have had no answer within the time-out. None: now. Never raises.

        Later frames of the same conversation do it as well; this is for conversations that are quiet.
        """
        now_ns = self._clock_ns() if now_ns is None else now_ns
        for conversation in list(self._open):
            conversation.expire(now_ns)

    def close(self, at_ns: int | None = None) -> None:
        """End all conversations, as if their connections were lost. Never raises."""
        at_ns = self._clock_ns() if at_ns is None else at_ns
        for conversation in list(self._open):
            conversation.close(1006, "", at_ns)

    def _ended(self, conversation: Conversation, code: int, reason: str, at_ns: int) -> None:
        core, cp_id = self._core, conversation.cp_id
        if cp_id is None:
            return
        self._open.discard(conversation)
        if self._live.get(cp_id) is conversation:
            del self._live[cp_id]
        core.counters.sockets -= 1
        replaced = cp_id in self._live
        end = Disconnect(code, reason, conversation.began_ns, conversation.last_message, replaced)
        core.recorder.evidence.disconnected(cp_id, conversation.connection, end, at_ns)
        if cp_id in core.fleet.charge_points:
            core.apply(
                [ev.ChargePointDisconnected(cp_id=cp_id, received_ts=at_ns / NS, code=code, replaced=replaced)], at_ns
            )
