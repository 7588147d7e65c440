"""Ways to break a frame: in its structure and in its bytes. Pure chance from a given Random."""

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

DEEP = "[" * 2_000 + "]" * 2_000
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**40, -(10**400), 0.1, 1e308, -1e-320, "", " ", "0", "-1",
    "NaN", "1e999", "2e+01", "1,5", "\0", "a\0b", "\ud800", "é", "😀" * 40, "x" * 300, "x" * 5_000,
    "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0000-00-00T00:00:00Z", "2026-02-30T00:00:00Z",
    "2026-11-21T10:00:00", "2026-11-21T10:00:00+99:00", [], {}, [[]], [{}], {"": {}}, {"$ref": "#"}, [None] * 50,
)  # fmt: skip
"""Values where others were: what no schema allows, and what one may and no program expects."""
KINDS: tuple[Any, ...] = (2, 3, 4, 5, 6, 7, 0, -1, 2.0, "2", True, None, [2], 2**70)
IDS: tuple[Any, ...] = ("", "x", "x" * 255, "x" * 256, 0, 19470, -1, 2**63, 1.5, None, True, ["1"], "\0", "\ud800", "é")

Frame = list[Any]


def mutated(rng: Random, frame: Frame) -> bytes:
    """The frame as text with one to three faults, some of them in its bytes."""
    for _ in range(rng.randint(1, 3)):
        if len(frame) < 4:
            break
        frame = rng.choice(_STRUCTURAL)(rng, frame)
    data = encoded(frame)
    return rng.choice(_BYTES)(rng, data) if rng.random() < 0.15 else data


def encoded(frame: Frame) -> bytes:
    """As a charger might write it: UTF-8, with lone surrogates as such."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _odd_value(rng: Random, frame: Frame) -> Frame:
    return _at_a_place(rng, frame, lambda _: _odd(rng))


def _odd(rng: Random) -> Any:
    """A copy: what is put into a frame may be broken further."""
    return deepcopy(rng.choice(ODD))


def _exchanged(rng: Random, frame: Frame) -> Frame:
    """A value of another place."""
    places = _places(frame[3:])
    return _at_a_place(rng, frame, lambda _: _pick(rng, places))


def _pick(rng: Random, places: list[tuple[Any, Any]]) -> Any:
    if not places:
        return None
    holder, key = rng.choice(places)
    return deepcopy(holder[key])


def _other_type(rng: Random, frame: Frame) -> Frame:
    return _at_a_place(rng, frame, lambda old: rng.choice((str(old), [old], {"value": old}, _as_number(old))))


def _as_number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return 1


def _nudged(rng: Random, frame: Frame) -> Frame:
    """A number a little or much higher or lower; a text shorter or doubled."""

    def nudge(old: Any) -> Any:
        if isinstance(old, int | float) and abs(old) < 1e300:
            return old + rng.choice((-1, 1, -1_000, 20_000, 10**9, 0.5))
        return old[: rng.randint(0, len(old))] or old * 2 if isinstance(old, str) else old

    return _at_a_place(rng, frame, nudge)


def _less(rng: Random, frame: Frame) -> Frame:
    """A field or an item is missing."""
    places = _places(frame[3:])
    if places:
        holder, key = rng.choice(places)
        del holder[key]
    return frame


def _more(rng: Random, frame: Frame) -> Frame:
    """A field nobody knows, or an item many times."""
    places = _places(frame[3:])
    if not places:
        return [*frame, _odd(rng)]
    holder, key = rng.choice(places)
    if isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice((1, 30)))
    else:
        holder[rng.choice(("customData", "vendor", key.upper(), key * 3))] = _odd(rng)
    return frame


def _other_kind(rng: Random, frame: Frame) -> Frame:
    return [rng.choice(KINDS), *frame[1:]]


def _other_id(rng: Random, frame: Frame) -> Frame:
    return [frame[0], rng.choice(IDS), *frame[2:]]


def _other_action(rng: Random, frame: Frame) -> Frame:
    """Another action, known or not, with this payload."""
    actions = ("StatusNotification", "MeterValues", "TransactionEvent", "StopTransaction", "Authorize", "NotifyEvent")
    return [*frame[:2], rng.choice((*actions, _odd(rng))), *frame[3:]]


def _other_length(rng: Random, frame: Frame) -> Frame:
    return rng.choice((frame[: rng.randint(0, len(frame))], [*frame, *frame], [*frame, None], [frame]))


def _at_a_place(rng: Random, frame: Frame, change: Callable[[Any], Any]) -> Frame:
    places = _places(frame[3:])
    if not places:
        return [*frame[:3], change(frame[3] if len(frame) > 3 else None)]
    holder, key = rng.choice(places)
    holder[key] = change(holder[key])
    return frame


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of everything below the payload."""
    found: list[tuple[Any, Any]] = []
    waiting = [each for each in value if isinstance(each, dict | list)]
    while waiting and len(found) < 500:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    return found


def _cut(rng: Random, data: bytes) -> bytes:
    return data[: rng.randint(0, len(data))]


def _flipped(rng: Random, data: bytes) -> bytes:
    made = bytearray(data or b"[")
    for _ in range(rng.randint(1, 8)):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def _with_nul(rng: Random, data: bytes) -> bytes:
    at = rng.choice((len(data), rng.randint(0, len(data))))
    return data[:at] + b"\0" * rng.randint(1, 3) + data[at:]


def _spliced(rng: Random, data: bytes) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice((DEEP.encode(), b"NaN", b"Infinity", b"{", b"]", b"\xff\xfe", b" " * 99)) + data[at:]


def _doubled(_rng: Random, data: bytes) -> bytes:
    return data + data


_STRUCTURAL = (
    _odd_value, _odd_value, _odd_value, _exchanged, _other_type, _nudged, _nudged, _less, _less, _more, _other_kind,
    _other_id, _other_action, _other_length,
)  # fmt: skip
_BYTES = (_cut, _flipped, _with_nul, _spliced, _doubled)
