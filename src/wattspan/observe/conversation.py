"""`Conversation`: the frames of one connection, in both directions, paired and recorded. Bounded; never raises."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from wattspan.domain import events as ev
from wattspan.domain.model import ChargePoint
from wattspan.domain.status import bounded_call_error
from wattspan.errors import FrameError
from wattspan.observe.core import NS, ObserverCore
from wattspan.observe.exchanges import CommandExchange, Exchange, RequestExchange, Side, record_send
from wattspan.observe.guess import VersionGuess
from wattspan.observe.outstanding import Outstanding
from wattspan.observe.role import Role
from wattspan.ocppj import frames
from wattspan.ocppj.frames import Call, CallError, CallResult, Frame, ResultError, Send
from wattspan.telemetry.connection import UNKNOWN_CONNECTION, Address, ConnectionAttributes
from wattspan.telemetry.recorder import Attributes
from wattspan.versions import VERSIONS
from wattspan.versions.base import Payload, Version

R = TypeVar("R")

MAX_DESCRIPTION = 255
"""Characters of a CALLERROR's description that OCPP allows."""
MANY_BYTES = 16 << 10
"""A shorter message can't have too many readings."""
TIMEOUT, CONNECTION_LOST = "Timeout", "ConnectionLost"

Ended = Callable[["Conversation", int, str, int], None]
"""(conversation, close code, reason, Unix nanoseconds)."""


class Conversation:
    """The observation of one connection, from `Observer.connect` to `close`. Times are Unix nanoseconds.

    Callers that have frames use `frame`. Callers that have parsed the messages already, and know which answer belongs
    to which CALL, use `begin` and `begin_command`. One that is not observed ignores everything.
    """

    __slots__ = ("_addresses", "_closed", "_commands", "_core", "_ended", "_guess", "_requests", "_side", "began_ns")

    def __init__(
        self,
        core: ObserverCore,
        cp: ChargePoint | None,
        subprotocol: str | None,
        *,
        role: Role,
        attributes: Attributes,
        ended: Ended,
    ) -> None:
        """`cp` None: it is not observed, because there are too many charge points."""
        self._core = core
        self._ended = ended
        known = VERSIONS.get(subprotocol or "")
        self._guess = VersionGuess() if known is None else None
        version = known or next(iter(VERSIONS.values()))
        self._side = None if cp is None else Side(core, cp, version, role, attributes)
        self._requests = Outstanding()
        self._commands = Outstanding()
        self._closed = cp is None
        self._addresses: tuple[Address | None, Address | None] = (None, None)
        self.began_ns = 0

    def opened(self, at_ns: int, peer: Address | None, server: Address | None) -> None:
        """Set when it began, and the addresses of both ends if they are known."""
        self.began_ns = at_ns
        self._addresses = (peer, server)
        self._describe()

    @property
    def connection(self) -> ConnectionAttributes:
        """What all spans of this conversation share."""
        return UNKNOWN_CONNECTION if self._side is None else self._side.connection

    @property
    def last_message(self) -> str:
        """The action of the charge point's last request, as a label; "" before the first."""
        return "" if self._side is None else self._side.last_message

    @property
    def observed(self) -> bool:
        """Whether this conversation is observed: it has not ended, and there were not too many charge points."""
        return not self._closed

    @property
    def cp_id(self) -> str | None:
        """The charge point, or None if it is not observed."""
        return None if self._side is None else self._side.cp.cp_id

    @property
    def version(self) -> Version | None:
        """The OCPP version, which may still be a guess; None if it is not observed."""
        return None if self._side is None else self._side.version

    def frame(self, data: str | bytes, from_charge_point: bool, at_ns: int) -> Exchange | None:
        """Observe one text as it is on the wire, after it was sent or forwarded. Never raises.

        Returns the exchange that a CALL begins, for callers that make its span current; None for any other message.
        Of a text of several messages, which OCPP-J does not allow, that is the first CALL.
        """
        if self._closed:
            return None
        try:
            return self._frame(data, from_charge_point, at_ns)
        except Exception:  # noqa: BLE001  as in `_guarded`, which costs more
            self._core.failed()
            return None

    def decoded(self, message: list[Any], from_charge_point: bool, at_ns: int) -> Exchange | None:
        """Observe one message whose JSON the caller has decoded; otherwise as `frame`. Never raises."""
        if self._closed:
            return None
        try:
            requests, commands = self._requests.entries, self._commands.entries
            before_ns = at_ns - self._core.answer_timeout_ns
            if (requests and requests[0][1].at_ns < before_ns) or (commands and commands[0][1].at_ns < before_ns):
                self._expire(at_ns)
            try:
                frame = frames.interpret(message, self._side.version.framing)  # type: ignore[union-attr]  # not closed
            except FrameError as fault:
                self._fault(fault, from_charge_point, at_ns)
                return None
            return self._message(frame, from_charge_point, at_ns)
        except Exception:  # noqa: BLE001  as in `_guarded`, which costs more
            self._core.failed()
            return None

    def binary(self, at_ns: int) -> None:
        """Count that the charge point's next message is a binary one, which OCPP-J does not allow. Never raises."""
        if not self._closed:
            code = self._require_side().version.codes.formation
            self._guarded(self._protocol_fault, code, "a binary frame", at_ns)

    def begin(self, action: str, payload: Payload, at_ns: int) -> Exchange | None:
        """Observe a CALL of the charge point, and return what its answer is to be passed to. Never raises.

        None: it is not observed.
        """
        return None if self._closed else self._guarded(self._begin, Call("", action, payload), at_ns)

    def begin_command(self, action: str, payload: Payload, at_ns: int) -> Exchange | None:
        """Observe a CALL of the central system, and return what its answer is to be passed to. Never raises.

        None: it is not observed.
        """
        return None if self._closed else self._guarded(self._begin_command, Call("", action, payload), at_ns)

    def answered(self, exchange: Exchange, answer: Payload, at_ns: int) -> None:
        """Observe the CALLRESULT to a CALL from `begin` or `begin_command`. Never raises."""
        self._guarded(exchange.answered, answer, at_ns)

    def failed(self, exchange: Exchange, error: str, at_ns: int, *, refused: bool = False) -> None:
        """Observe that a CALL from `begin` or `begin_command` gets no CALLRESULT: `Exchange.failed`. Never raises."""
        self._guarded(lambda: exchange.failed(error, at_ns, refused=refused))

    def abandon(self, exchange: Exchange, error: str, at_ns: int) -> None:
        """Observe that the CALL of an exchange from `frame` gets no answer any more. Never raises.

        `error` is the reason as an error type. Does nothing if it was answered. A later answer is unexpected.
        """
        self._requests.discard(exchange)
        self._commands.discard(exchange)
        self._guarded(exchange.failed, error, at_ns)

    def unreadable(self, code: str, at_ns: int) -> None:
        """Observe a message of the charge point that is no OCPP-J message; `code` is a CALLERROR code. Never raises."""
        if not self._closed:
            self._guarded(self._unreadable, code, "unreadable frame", at_ns)

    def expire(self, now_ns: int) -> None:
        """End the CALLs that have had no answer within the time-out. Never raises."""
        if not self._closed and (self._requests.entries or self._commands.entries):
            self._guarded(self._expire, now_ns)

    def close(self, code: int, reason: str, at_ns: int) -> None:
        """Observe the end of the connection. CALLs without an answer end. Never raises."""
        if not self._closed:
            self._closed = True
            self._guarded(self._close, code, reason, at_ns)

    # Below, everything may raise.

    def _guarded(self, step: Callable[..., R], *args: Any) -> R | None:
        try:
            return step(*args)
        except Exception:  # noqa: BLE001  whatever is wrong here must not harm the conversation itself
            self._core.failed()
            return None

    def _require_side(self) -> Side:
        assert self._side is not None  # noqa: S101  else it is closed from the start
        return self._side

    def _frame(self, data: str | bytes, from_charge_point: bool, at_ns: int) -> Exchange | None:
        core, side = self._core, self._require_side()
        requests, commands = self._requests.entries, self._commands.entries
        before_ns = at_ns - core.answer_timeout_ns
        if (requests and requests[0][1].at_ns < before_ns) or (commands and commands[0][1].at_ns < before_ns):
            self._expire(at_ns)
        if len(data) > core.limits.max_frame_bytes:
            core.count_unobserved("frame_size")
            return None
        raw = data.encode(errors="replace") if isinstance(data, str) else data
        framing = side.version.framing
        try:
            frame = frames.parse(raw, framing)
        except FrameError as fault:
            joined = frames.split(raw, framing)
            if joined is not None:
                return self._joined(joined, from_charge_point, at_ns)
            self._fault(fault, from_charge_point, at_ns)
            return None
        if data is raw:
            _measure(frame, raw)
        if len(raw) > MANY_BYTES and type(frame) is Call and _readings(frame.payload) > core.limits.max_readings:
            core.count_unobserved("readings")
            return None
        return self._message(frame, from_charge_point, at_ns)

    def _joined(self, messages: Sequence[bytes], from_charge_point: bool, at_ns: int) -> Exchange | None:
        """Observe a text of several messages in order; one of the charge point is a fault of the protocol."""
        if from_charge_point:
            text = f"{len(messages)} messages in one frame"
            self._protocol_fault(self._require_side().version.framing.malformed, text, at_ns)
        first: Exchange | None = None
        for each in messages:
            try:
                frame = frames.parse(each, self._require_side().version.framing)
            except FrameError as fault:
                self._fault(fault, from_charge_point, at_ns)
                continue
            _measure(frame, each)
            exchange = self._message(frame, from_charge_point, at_ns)
            first = first or exchange
        return first

    def _fault(self, fault: FrameError, from_charge_point: bool, at_ns: int) -> None:
        if from_charge_point:
            self._unreadable(fault.code, f"unreadable frame: {fault.description}", at_ns)
        else:
            self._core.counters.unreadable_frames += 1

    def _message(self, frame: Frame | None, from_charge_point: bool, at_ns: int) -> Exchange | None:
        if type(frame) is Call:
            guess = self._guess
            fits = guess is not None and self._refine_version(guess, frame, from_charge_point=from_charge_point)
            side: Side = self._side  # type: ignore[assignment]  # it is not closed
            exchange: Exchange
            if from_charge_point:
                outstanding, exchange = self._requests, RequestExchange(side, frame, at_ns, fits=fits)
            else:
                outstanding, exchange = self._commands, CommandExchange(side, frame, at_ns)
            if len(outstanding.entries) >= self._core.limits.max_outstanding:
                self._core.count_unobserved("outstanding")
                outstanding.pop_oldest().failed(TIMEOUT, at_ns)
            outstanding.add(frame.message_id, exchange)
            return exchange
        if from_charge_point:
            self._from_charge_point(frame, at_ns)
        elif type(frame) is CallResult:
            answered = self._requests.pop(frame.message_id)
            if answered is None:
                self._core.count_unobserved("unmatched_answer")
            else:
                answered.answered(frame.payload, at_ns, size=frame.size)
        elif type(frame) is CallError:  # without a CALL it is no fault: it may answer a frame that was not readable
            self._match(self._requests, frame, at_ns)
        return None

    def _from_charge_point(self, frame: Frame | None, at_ns: int) -> None:
        if type(frame) is Send:
            record_send(self._require_side(), frame, at_ns)
        elif type(frame) is ResultError:
            self._seen(at_ns)
            counts, code = self._core.counters.result_errors, bounded_call_error(frame.code)
            counts[code] = counts.get(code, 0) + 1
        elif not (
            (type(frame) is CallResult or type(frame) is CallError) and self._match(self._commands, frame, at_ns)
        ):
            self._core.counters.unexpected_results += 1
            self._seen(at_ns)

    def _begin(self, call: Call, at_ns: int) -> Exchange:
        if self._guess is not None:
            self._refine_version(self._guess, call, from_charge_point=True)
        return RequestExchange(self._require_side(), call, at_ns)

    def _begin_command(self, call: Call, at_ns: int) -> Exchange:
        if self._guess is not None:
            self._refine_version(self._guess, call, from_charge_point=False)
        return CommandExchange(self._require_side(), call, at_ns)

    def _match(self, outstanding: Outstanding, result: CallResult | CallError, at_ns: int) -> bool:
        """Record an answer, and return whether there is a CALL that it belongs to."""
        exchange = outstanding.pop(result.message_id)
        if exchange is None:
            return False
        if type(result) is CallError:
            description = result.description[:MAX_DESCRIPTION]
            exchange.failed(result.code, at_ns, refused=True, description=description, size=result.size)
        elif type(result) is CallResult:
            exchange.answered(result.payload, at_ns, size=result.size)
        return True

    def _refine_version(self, guess: VersionGuess, call: Call, *, from_charge_point: bool) -> bool:
        """Set the version that all CALLs fit, and return whether this one does."""
        fits = guess.add(call, from_charge_point=from_charge_point)
        side = self._require_side()
        if side.version is not guess.version:
            side.version = guess.version
            self._describe()
        if side.cp.protocol != side.version.subprotocol:
            side.cp.protocol = side.version.subprotocol
            self._core.fleet.changes.charge_points[side.cp.cp_id] = side.cp
        if guess.certain:
            self._guess = None
        return fits

    def _describe(self) -> None:
        """Prepare what the spans of this conversation share."""
        if self._side is not None:
            peer, server = self._addresses
            self._side.connection = ConnectionAttributes(
                self._side.version.name, peer=peer, server=server, more=self._side.attributes
            )

    def _seen(self, at_ns: int) -> None:
        self._core.fleet.seen(self._require_side().cp, at_ns / NS)

    def _unreadable(self, code: str, text: str, at_ns: int) -> None:
        self._core.counters.unreadable_frames += 1
        self._seen(at_ns)
        self._protocol_fault(code, text, at_ns)

    def _protocol_fault(self, code: str, text: str, at_ns: int) -> None:
        cp_id, code = self._require_side().cp.cp_id, bounded_call_error(code)
        self._core.apply([ev.ProtocolFaulted(cp_id=cp_id, received_ts=at_ns / NS, code=code)], at_ns)
        self._core.recorder.evidence.protocol_fault(cp_id, self.connection, code, text, at_ns)

    def _expire(self, now_ns: int) -> None:
        before_ns = now_ns - self._core.answer_timeout_ns
        for outstanding in (self._requests, self._commands):
            for exchange in outstanding.pop_expired(before_ns):
                exchange.failed(TIMEOUT, now_ns)

    def _close(self, code: int, reason: str, at_ns: int) -> None:
        try:
            for outstanding in (self._requests, self._commands):
                for exchange in outstanding.pop_all():
                    self._guarded(exchange.failed, CONNECTION_LOST, at_ns)
        finally:
            self._ended(self, code, reason, at_ns)


def _measure(frame: Frame | None, raw: bytes) -> None:
    """Set the size of a message that came as bytes. The text of a log or of a program need not be what was sent."""
    if isinstance(frame, Call | CallResult | CallError):
        frame.size = len(raw)


def _readings(payload: Payload) -> int:
    """Return the number of MeterValues of a message, or that of their samples if it is higher."""
    found = payload.get("meterValue") or payload.get("transactionData")
    if not isinstance(found, list):
        return 0
    sampled = [each.get("sampledValue") for each in found if isinstance(each, dict)]
    return max(len(found), sum(len(each) for each in sampled if isinstance(each, list)))
