"""`Connections`: which conversation belongs to which `ChargePoint` object, from its first message to its end.

Messages come from event loops, and a thread looks after quiet connections: so whatever is observed here holds a lock.
Requests of charge points and their answers may wait to be observed, see `deferred`; whatever else happens has them
observed first, so that all is observed in order.
"""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from wattspan.instrumentation.deferred import DeferredCall, DeferredMessages
from wattspan.instrumentation.roles import close_code_of, role_of_connection, role_of_message, subprotocol_of
from wattspan.observe import Conversation, Exchange, Observer, Role

ENDED_CODE = 1006
MAX_ID_LENGTH = 255
MAX_DEFERRED_LENGTH = 16_384
"""Characters; a longer message does not wait, so that those that wait take little memory."""


class Entry:
    """The connection of one `ChargePoint` object."""

    __slots__ = ("connected_ns", "conversation", "deferring", "owner", "role", "started")

    def __init__(self, owner: "weakref.ref[Any]", connected_ns: int) -> None:
        self.owner = owner
        self.connected_ns = connected_ns
        self.role: Role | None = None
        self.conversation: Conversation | None = None
        self.deferring: Conversation | None = None
        """The conversation if its messages may wait to be observed."""
        self.started = False
        """Whether `start()` runs, so that its end is that of the connection."""


P = ParamSpec("P")
R = TypeVar("R")


def never_raises(method: "Callable[Concatenate[Connections, P], R]") -> "Callable[Concatenate[Connections, P], Any]":
    """Have the observer count and log what `method` raises: whatever is wrong here must not reach the program."""

    @wraps(method)
    def guarded(self: "Connections", /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return method(self, *args, **kwargs)
        except Exception:  # noqa: BLE001  see above
            self.observer.failed()
            return None

    return guarded


class Connections:
    """The observed connections. May be used on any thread; no method raises."""

    def __init__(self, observer: Observer, role: Role | None, may_defer: Callable[[], bool] = lambda: False) -> None:
        """`may_defer`: whether nobody sees if a span begins and ends a moment late; asked whenever nothing waits."""
        self.lock = threading.RLock()
        self.observer = observer
        self.deferred = DeferredMessages(self.lock, may_defer)
        self.on_connected: Callable[[Any], None] = lambda _charge_point: None
        """Called with each object whose messages are observed from now on."""
        self._role = role
        self._entries: dict[int, Entry] = {}

    @never_raises
    def begin(self, charge_point: Any) -> Entry:
        """Observe that `start()` was called: the connection is open. Return it, for `end`.

        If an earlier `start()` of the object still runs, its connection was replaced.
        """
        with self._up_to_date():
            entry = self._entry(charge_point)
            replaced: Entry | None = None
            if entry.started:
                replaced = self._entries.pop(id(charge_point))
                entry = self._entry(charge_point)
            entry.started = True
            role = self._role or role_of_connection(getattr(charge_point, "_connection", None))
            if role is None and replaced is not None:
                role = replaced.role
            if role is not None and entry.conversation is None:
                self._connect(entry, charge_point, role)
            if replaced is not None:
                _close(replaced, ENDED_CODE)
            return entry

    def received(self, charge_point: Any, data: Any) -> Exchange | DeferredCall | None:
        """Observe a message that arrived, perhaps later, and return what a CALL begins."""
        if type(data) is str and data.startswith("[2") and len(data) <= MAX_DEFERRED_LENGTH:
            entry = self._entries.get(id(charge_point))
            if entry is not None and (conversation := entry.deferring) is not None and entry.owner() is charge_point:
                call = self.deferred.call(conversation, data)
                if call is not None:
                    return call
        return self.frame(charge_point, text_of(data), sent=False)

    def answered(self, charge_point: Any, data: str | bytes) -> None:
        """Observe an answer that was sent, perhaps later."""
        if type(data) is str and len(data) <= MAX_DEFERRED_LENGTH:
            entry = self._entries.get(id(charge_point))
            if (
                entry is not None
                and (conversation := entry.deferring) is not None
                and entry.owner() is charge_point
                and self.deferred.answer(conversation, data)
            ):
                return
        self.frame(charge_point, data, sent=True)

    def frame(self, charge_point: Any, data: str | bytes, *, sent: bool) -> Exchange | None:
        """Observe a message now, and return the exchange that a CALL begins."""
        at_ns = time.time_ns()
        with self._up_to_date():
            entry = self._entries.get(id(charge_point))
            if entry is None or entry.conversation is None or entry.owner() is not charge_point:
                entry = self._first(charge_point, data, sent=sent)
                if entry is None or entry.conversation is None:
                    return None
            return entry.conversation.frame(data, sent is (entry.role is Role.CHARGE_POINT), at_ns)

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        """Hold the lock, with nothing that waits to be observed."""
        with self.lock:
            self.deferred.observe()
            yield

    @never_raises
    def _first(self, charge_point: Any, data: str | bytes, *, sent: bool) -> Entry:
        """Return the entry of an object whose first message this is, perhaps after `begin`."""
        entry = self._entry(charge_point)
        if entry.conversation is None:
            self._connect(entry, charge_point, self._role_of(charge_point, data, sent=sent))
        return entry

    @never_raises
    def abandon(self, charge_point: Any, call: Exchange | DeferredCall, error: str) -> None:
        """Observe that a CALL gets no answer any more."""
        with self._up_to_date():
            exchange = call.exchange if isinstance(call, DeferredCall) else call
            conversation = self._entry(charge_point).conversation
            if conversation is not None and exchange is not None:
                conversation.abandon(exchange, error, time.time_ns())

    @never_raises
    def end(self, charge_point: Any, started: Entry | None, exc: BaseException | None) -> None:
        """Observe that the `start()` ended that began a connection, with this exception or without."""
        with self._up_to_date():
            if started is not None and self._entries.get(id(charge_point)) is started:
                del self._entries[id(charge_point)]
                _close(started, close_code_of(getattr(charge_point, "_connection", None), exc))

    @never_raises
    def sweep(self) -> None:
        """End what ended unnoticed: objects that were collected, closed WebSockets, CALLs without an answer."""
        with self._up_to_date():
            for key, entry in list(self._entries.items()):
                owner = entry.owner()
                code = ENDED_CODE if owner is None else getattr(getattr(owner, "_connection", None), "close_code", None)
                if isinstance(code, int):
                    del self._entries[key]
                    _close(entry, code)
            self.observer.expire(time.time_ns())

    def close(self) -> None:
        """End all conversations."""
        with self._up_to_date():
            self._entries.clear()
            self.observer.close()

    def _entry(self, charge_point: Any) -> Entry:
        key = id(charge_point)
        entry = self._entries.get(key)
        if entry is not None and entry.owner() is charge_point:
            return entry
        if entry is not None:  # another object had this address
            _close(entry, ENDED_CODE)
        entry = self._entries[key] = Entry(weakref.ref(charge_point), time.time_ns())
        return entry

    def _role_of(self, charge_point: Any, data: str | bytes, *, sent: bool) -> Role:
        return (
            self._role
            or role_of_connection(getattr(charge_point, "_connection", None))
            or role_of_message(data, sent=sent)
            or Role.CENTRAL_SYSTEM
        )

    def _connect(self, entry: Entry, charge_point: Any, role: Role) -> None:
        entry.role = role
        cp_id = str(getattr(charge_point, "id", ""))[:MAX_ID_LENGTH]
        entry.conversation = self.observer.connect(cp_id, subprotocol_of(charge_point), entry.connected_ns, role=role)
        if role is Role.CENTRAL_SYSTEM:
            entry.deferring = entry.conversation
        self.on_connected(charge_point)


def _close(entry: Entry, code: int) -> None:
    if entry.conversation is not None:
        entry.conversation.close(code, "", time.time_ns())


def text_of(data: Any) -> str | bytes:
    """Return a message as the program passed it, as text if it is neither text nor bytes."""
    return data if type(data) is str or isinstance(data, bytes) else str(data)
