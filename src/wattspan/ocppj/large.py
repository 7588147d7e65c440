"""Parsing of large messages: off the event loop, one at a time, in parts, within a bound of memory.

`orjson` holds the interpreter's lock while it parses, so a thread alone would not help: a message of 16 MiB would stop
the event loop for as long. Its text is therefore split where it can be split, and parsed a part at a time. Equal
strings become one object, because meter values repeat the same dozen; that halves the memory.
"""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from wattspan.errors import FrameError
from wattspan.ocppj import frames
from wattspan.ocppj.frames import Frame, Framing

LARGE_BYTES = 256 << 10
"""A message that is longer is parsed here."""
PART_BYTES = 64 << 10
"""Text parsed without a break; a single string may be longer."""
MAX_PARSED_BYTES = 36 << 20
"""Memory that the parsed message may take: some 160,000 sampled values of five fields."""
MAX_STEPS = 500_000
"""Steps of splitting. A message of meter values takes two for each of their groups."""
MAX_ID_BYTES = 2_048
"""Bytes at the beginning of a CALL in which its message id is looked for."""
MAX_DEPTH = 12
"""Levels at which a message is split. OCPP needs five."""
LIST_BYTES, ITEM_BYTES, STRING_BYTES, NUMBER_BYTES = 72, 8, 49, 28
DICT_BYTES = ((5, 200), (10, 290))
"""(fields at most, bytes), as CPython allocates it. In a larger one, each field takes WIDE_DICT_FIELD_BYTES."""
WIDE_DICT_FIELD_BYTES = 120
MAX_SHARED, MAX_SHARED_LENGTH = 4_096, 64
LARGE_TEXT_BYTES = 1 << 20
"""A member that is longer holds a long text; its characters may take more memory than its bytes."""

Result = Frame | FrameError | list[bytes] | None
"""What a text is: a message, none, several (their texts), or one of a type that is ignored."""
Parsed = Callable[[Result], None]

_PLAIN = rb'[^{}\[\]"]++'
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL).match
_FLAT = rb"[{\[](?:%b|%b)*+[}\]]" % (_PLAIN, _STRING)
_NESTED = rb"[{\[](?:%b|%b|%b)*+[}\]]" % (_PLAIN, _STRING, _FLAT)
_MEMBER = rb"[{\[](?:%b|%b|%b)*+[}\]]" % (_PLAIN, _STRING, _NESTED)

_GAP = re.compile(rb'[^{}\[\]",]*+').match
_TOKEN = re.compile(rb"%b|%b|[{}\[\],]" % (_STRING, _MEMBER), re.DOTALL).match
"""A string, a container with up to two levels of containers in it, or a single character."""
_KEY = re.compile(rb"\s*(%b)\s*:\s*" % _STRING, re.DOTALL).fullmatch
_SPACE = re.compile(rb"\s*").match
_END = re.compile(rb"[ \t\r\n\0]*").match
_ID = re.compile(rb"[\s\0]*\[\s*2\s*,\s*(%b|-?\d{1,18})\s*," % _STRING, re.DOTALL).match
"""The beginning of a CALL up to its message id."""
_JOINT = re.compile(rb"[\s,\0]*(?=\[[\s\0]*[2-6][\s\0]*,)").match
_NEXT = re.compile(rb"\s*([,}\]])").match
_WIDEST = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]").search
"""A character beyond U+FFFF, as it is or as an escaped surrogate."""
_COMMA, _CLOSING = ord(","), {ord("["): ord("]"), ord("{"): ord("}")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How the members of long lists are packed while a CALL is parsed, so that it never takes memory as a whole."""

    actions: frozenset[str]
    lists: frozenset[str]
    """Fields of the payload whose members are packed."""
    packer: Callable[[], Callable[[list[Any]], None]]
    """Return a function for one message, which packs members in place. It is called in a thread."""


class LargeMessages:
    """Parses the large messages of all connections of a server. Belongs to the event loop's thread."""

    def __init__(self, packing: Packing | None = None) -> None:
        self._packing = packing
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wattspan-large")

    def parse(self, data: bytes, framing: Framing, done: Parsed) -> None:
        """Parse `data` as `frames.parse` does, after those before it, and call `done` on the event loop's thread."""
        loop = asyncio.get_running_loop()

        def finished(future: Future[Result]) -> None:
            if not future.cancelled() and not loop.is_closed():
                broken = future.exception() is not None  # a fault of ours must not leave the connection waiting
                unparsed = FrameError(framing.unreadable, "the message can't be parsed")
                loop.call_soon_threadsafe(done, unparsed if broken else future.result())

        self._thread.submit(parse, data, framing, self._packing).add_done_callback(finished)

    def close(self) -> None:
        """Discard what waits. What is being parsed ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def parse(data: bytes, framing: Framing, packing: Packing | None = None) -> Result:
    """Return what `frames.parse` returns or raises for the message in `data`, or the texts of several messages."""
    try:
        splitter = _Splitter(data, framing, packing)
        value, end = splitter.value(0)
        if not splitter.is_end(end):
            return splitter.messages(end)
        return frames.interpret(value, framing)
    except FrameError as fault:
        return fault
    except RecursionError:
        return FrameError(framing.unreadable, "nested too deeply")


def _width(text: bytes) -> int:
    """Return the most bytes that a character of the text may take in memory: all take as many as the widest."""
    if text.isascii() and b"\\u" not in text:
        return 1
    parts = range(0, len(text), PART_BYTES)  # they overlap by the length of an escaped character
    return 4 if any(_WIDEST(text, at, at + PART_BYTES + 6) for at in parts) else 2


class _Splitter:
    """Parses one JSON text in parts."""

    def __init__(self, text: bytes, framing: Framing, packing: Packing | None) -> None:
        self._text = text
        self._framing = framing
        self._packing = packing
        self._pack = None if packing is None else packing.packer()
        self._packed_lists: frozenset[str] = frozenset()
        """Of the payload that is being parsed."""
        self._shared: dict[str, str] = {}
        self._bytes = 0
        self._steps = 0

    def value(self, at: int) -> tuple[Any, int]:
        """Return the next value of the text, which must be a container, and where it ends. Raises FrameError."""
        begin = _SPACE(self._text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if self._text[begin : begin + 1] not in (b"[", b"{"):
            raise self._fault()
        return self._container(begin, 0, packs=False)

    def is_end(self, at: int) -> bool:
        """Return whether nothing follows."""
        return _END(self._text, at).end() == len(self._text)  # type: ignore[union-attr]

    def messages(self, first_end: int) -> list[bytes]:
        """Return the texts of several messages, the first of which ends there. Raises FrameError."""
        text, ends = self._text, [0, first_end]
        if text[first_end - 1 : first_end] != b"]":
            raise self._fault()
        while not self.is_end(ends[-1]):
            begin = _JOINT(text, ends[-1])
            if begin is None or len(ends) > frames.MAX_JOINED or self._framing.strict:
                raise self._fault()
            self._bytes = 0  # none of the values is kept
            ends.append(self.value(begin.end())[1])
        return [text[begin:end].lstrip(b" \t\r\n\0,") for begin, end in pairwise(ends)]

    def _container(self, begin: int, depth: int, *, packs: bool) -> tuple[Any, int]:
        """Return the container that begins at `begin`, and where it ends: large members one by one, others in runs."""
        text, closing = self._text, _CLOSING[self._text[begin]]
        if depth >= MAX_DEPTH:
            raise self._fault("nested too deeply")
        found: Any = [] if closing == _CLOSING[ord("[")] else {}
        run = member = at = begin + 1
        while True:
            at, end = self._token(at)
            first = text[at]
            if end - at > 1:
                at = end
            elif first == _COMMA:
                if at - run > PART_BYTES:
                    self._extend(found, text[run:at], packs=packs)
                    run = end
                member = at = end
            elif first in _CLOSING:
                if member > run:
                    self._extend(found, text[run : member - 1], packs=packs)
                run = member = at = self._add(found, member, at, depth, packs=packs)
                if text[at - 1] != _COMMA:
                    return found, self._closed(at, closing)
            else:
                if found or text[run:at].strip():
                    self._extend(found, text[run:at], packs=packs)
                return found, self._closed(end, closing)

    def _token(self, at: int) -> tuple[int, int]:
        """Return where the next token at or after `at` begins and ends."""
        text, size = self._text, len(self._text)
        while True:
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise self._too_large(f"the message has more than {MAX_STEPS:,} values")
            until = min(at + PART_BYTES, size)
            at = _GAP(text, at, until).end()  # type: ignore[union-attr]  # it matches nothing, too
            if at == size:
                raise self._fault()
            if at == until:
                continue
            token = _TOKEN(text, at, min(at + PART_BYTES, size))
            if token is not None:
                return at, token.end()
            return at, self._string_end(at)

    def _string_end(self, begin: int) -> int:
        """Return the end of a string that is longer than a part."""
        text, at = self._text, begin + 1
        while True:
            self._steps += 1
            end = _INSIDE(text, at, min(at + PART_BYTES, len(text))).end()  # type: ignore[union-attr]
            if text[end : end + 1] == b'"':
                return end + 1
            if end in (at, len(text)) or self._steps > MAX_STEPS:
                raise self._fault()
            at = end

    def _add(self, found: Any, member: int, begin: int, depth: int, *, packs: bool) -> int:
        """Add the member whose container begins at `begin`, and return the end of the comma or bracket after it."""
        before = self._text[member:begin]
        key = _KEY(before) if type(found) is dict else None
        if (before.strip() and type(found) is list) or (key is None and type(found) is dict):
            raise self._fault()
        name = None if key is None else frames.decode(key[1], self._framing)
        if depth == 0:
            self._packed_lists = self._lists_of(found)
        value, end = self._container(begin, depth + 1, packs=depth == 1 and name in self._packed_lists)
        if key is None:
            found.append(value)
            if packs and self._pack is not None:
                self._pack([value])
        else:
            found[name] = value
        follows = _NEXT(self._text, end)
        if follows is None:
            raise self._fault()
        return follows.end()

    def _lists_of(self, frame: Any) -> frozenset[str]:
        """Return which lists of the payload that follows are packed."""
        packing = self._packing
        is_call = (
            packing is not None and type(frame) is list and len(frame) == frames.PAYLOAD and frame[0] == frames.CALL
        )
        if packing is None or not is_call or type(frame[2]) is not str or frame[2] not in packing.actions:
            return frozenset()
        return packing.lists

    def _extend(self, found: Any, run: bytes, *, packs: bool) -> None:
        """Add the members of `run`, of which there must be one at least."""
        members = self._decode((b"[%b]" if type(found) is list else b"{%b}") % run)
        if not members:
            raise self._fault()
        if packs and type(members) is list and self._pack is not None:
            self._pack(members)
        if type(found) is list:
            found.extend(members)
        else:
            found.update(members)

    def _closed(self, end: int, closing: int) -> int:
        if self._text[end - 1] != closing:
            raise self._fault()
        return end

    def _fault(self, description: str = "not JSON") -> FrameError:
        return FrameError(self._framing.unreadable, description)

    def _too_large(self, description: str) -> FrameError:
        """Return a fault with the message's own id, so that the charge point knows which message was not stored."""
        found = _ID(self._text, 0, MAX_ID_BYTES)
        if found is None:
            return self._fault(description)
        message_id = frames.readable_id(frames.decode(found[1], self._framing))
        return FrameError(self._framing.unreadable, description, message_id)

    def _decode(self, text: bytes) -> Any:
        if len(text) > LARGE_TEXT_BYTES and len(text) * _width(text) > MAX_PARSED_BYTES:
            self._take(len(text) * _width(text))
        value = frames.decode(text, self._framing)
        self._take(self._share(value))
        return value

    def _take(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MAX_PARSED_BYTES:
            limit = MAX_PARSED_BYTES >> 20
            raise self._too_large(f"the message needs more than {limit} MiB of memory when it is parsed")

    def _share(self, value: Any) -> int:
        """Replace equal short strings below `value` by one object each; return the bytes that are not shared."""
        shared = self._shared
        if type(value) is dict:
            fields = len(value)
            size = next((size for limit, size in DICT_BYTES if fields <= limit), fields * WIDE_DICT_FIELD_BYTES)
            members: Any = value.items()
        elif type(value) is list:
            size = LIST_BYTES + ITEM_BYTES * len(value)
            members = enumerate(value)
        else:
            return STRING_BYTES + len(value) if type(value) is str else NUMBER_BYTES
        for key, each in members:
            kind = type(each)
            if kind is str:
                if len(each) <= MAX_SHARED_LENGTH and (each in shared or len(shared) < MAX_SHARED):
                    value[key] = shared.setdefault(each, each)  # replaces a value only, so that the iteration holds
                else:
                    size += STRING_BYTES + len(each)
            elif kind is dict or kind is list:
                size += self._share(each)
            else:
                size += NUMBER_BYTES
        return size
