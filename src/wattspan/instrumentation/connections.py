"""`Connections`: which conversation belongs to which `ChargePoint` object, from its first message to its end.

Messages come from event loops, the ends of objects from wherever the garbage collector runs, and a thread looks after
quiet connections: so everything here holds a lock, and what a collector reports is kept until somebody holds it.
"""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from wattspan.instrumentation.roles import close_code_of, role_of_connection, role_of_message, subprotocol_of
from wattspan.observe import Conversation, Exchange, Observer, Role

ENDED_CODE = 1006
MAX_ID_LENGTH = 255


class Entry:
    """The connection of one `ChargePoint` object."""

    __slots__ = ("connected_ns", "conversation", "owner", "role")

    def __init__(self, owner: "weakref.ref[Any]", connected_ns: int) -> None:
        self.owner = owner
        self.connected_ns = connected_ns
        self.role: Role | None = None
        self.conversation: Conversation | None = None


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

    def __init__(self, observer: Observer, role: Role | None) -> None:
        self.lock = threading.RLock()
        self.observer = observer
        self._role = role
        self._entries: dict[int, Entry] = {}
        self._collected: deque[int] = deque()

    @never_raises
    def begin(self, charge_point: Any) -> None:
        """Observe that `start()` was called: the connection is open."""
        with self.lock:
            entry = self._entry(charge_point)
            role = self._role or role_of_connection(getattr(charge_point, "_connection", None))
            if role is not None:
                self._connect(entry, charge_point, role)

    def frame(self, charge_point: Any, data: str | bytes, *, sent: bool) -> Exchange | None:
        """Observe a message, and return the exchange that a CALL begins."""
        at_ns = time.time_ns()
        with self.lock:
            entry = self._entries.get(id(charge_point))
            if entry is None or entry.conversation is None or entry.owner() is not charge_point:
                entry = self._first(charge_point, data, sent=sent)
                if entry is None or entry.conversation is None:
                    return None
            return entry.conversation.frame(data, sent is (entry.role is Role.CHARGE_POINT), at_ns)

    @never_raises
    def _first(self, charge_point: Any, data: str | bytes, *, sent: bool) -> Entry:
        """Return the entry of an object whose first message this is, perhaps after `begin`."""
        entry = self._entry(charge_point)
        if entry.conversation is None:
            self._connect(entry, charge_point, self._role_of(charge_point, data, sent=sent))
        return entry

    @never_raises
    def abandon(self, charge_point: Any, exchange: Exchange, error: str) -> None:
        """Observe that a CALL gets no answer any more."""
        with self.lock:
            conversation = self._entry(charge_point).conversation
            if conversation is not None:
                conversation.abandon(exchange, error, time.time_ns())

    @never_raises
    def end(self, charge_point: Any, exc: BaseException | None) -> None:
        """Observe that `start()` ended, with this exception or without."""
        with self.lock:
            entry = self._entries.pop(id(charge_point), None)
            if entry is not None:
                _close(entry, close_code_of(getattr(charge_point, "_connection", None), exc))

    @never_raises
    def sweep(self) -> None:
        """End what ended unnoticed: objects that were collected, closed WebSockets, CALLs without an answer."""
        with self.lock:
            while self._collected:
                self._drop(self._collected.popleft(), ENDED_CODE)
            for key, entry in list(self._entries.items()):
                owner = entry.owner()
                code = ENDED_CODE if owner is None else getattr(getattr(owner, "_connection", None), "close_code", None)
                if isinstance(code, int):
                    self._drop(key, code)
            self.observer.expire(time.time_ns())

    def close(self) -> None:
        """End all conversations."""
        with self.lock:
            self._entries.clear()
            self.observer.close()

    def _entry(self, charge_point: Any) -> Entry:
        key = id(charge_point)
        entry = self._entries.get(key)
        if entry is not None and entry.owner() is charge_point:
            return entry
        if entry is not None:  # another object had this address
            _close(entry, ENDED_CODE)
        collected = self._collected
        entry = self._entries[key] = Entry(weakref.ref(charge_point, lambda _: collected.append(key)), time.time_ns())
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

    def _drop(self, key: int, code: int) -> None:
        """End the connection of an object, unless its address is that of a new object by now."""
        entry = self._entries.get(key)
        if entry is not None and (entry.owner() is None or code != ENDED_CODE):
            del self._entries[key]
            _close(entry, code)


def _close(entry: Entry, code: int) -> None:
    if entry.conversation is not None:
        entry.conversation.close(code, "", time.time_ns())
