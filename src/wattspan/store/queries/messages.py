"""Kept messages: blocks of lines, a bounded ring for each charge point."""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from wattspan.domain.erased_token import ErasedToken
from wattspan.store.schema import tables as t

MAX_RING_BYTES = 2 << 20
"""What is kept of one charge point, compressed."""

SLICE = 100
"""Blocks read at once to search them: some MB of lines."""

_M = t.message_blocks.c
_ENCODED = re.compile(rb"igned|\\")
"""What a line contains whose values may be encoded: SignedData, signedMeterData, or an escape of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBlock:
    """Messages of one charge point: JSON lines, compressed."""

    cp_id: str
    first_ts: float
    last_ts: float
    messages: int
    lines: bytes


def compressed(cp_id: str, first_ts: float, last_ts: float, messages: int, lines: bytes | bytearray) -> MessageBlock:
    """Return a block of lines, each with a line break."""
    return MessageBlock(
        cp_id=cp_id, first_ts=first_ts, last_ts=last_ts, messages=messages, lines=zlib.compress(lines, 1)
    )


def put_blocks(connection: sa.Connection, blocks: Sequence[MessageBlock]) -> None:
    """Write blocks."""
    rows = [
        {
            "cp_id": each.cp_id,
            "first_ts": each.first_ts,
            "last_ts": each.last_ts,
            "messages": each.messages,
            "size_bytes": len(each.lines),
            "lines": each.lines,
        }
        for each in blocks
    ]
    if rows:
        connection.execute(sa.insert(t.message_blocks), rows)


def lines(connection: sa.Connection, cp_id: str, from_ts: float, until_ts: float) -> list[bytes]:
    """Return the lines of a charge point's blocks that reach into the range, oldest first."""
    query = (
        sa.select(_M.lines)
        .where(_M.cp_id == cp_id, _M.last_ts >= from_ts, _M.first_ts < until_ts)
        .order_by(_M.first_ts, _M.id)
    )
    return [line for block in connection.execute(query).scalars() for line in zlib.decompress(block).splitlines()]


def without_token(text: bytes | bytearray, token: ErasedToken) -> bytes:
    """Return lines with an id token replaced in their frames."""
    found = bytes(text)
    if not _may_hold(found, token):
        return found
    return b"".join(_line_without(line, token) if _may_hold(line, token) else line for line in found.splitlines(True))


def _line_without(line: bytes, token: ErasedToken) -> bytes:
    entry = orjson.loads(line)
    replaced = {**entry, "frame": token.in_json(entry["frame"], keep_numbers=True)} if "frame" in entry else entry
    return line if replaced == entry else orjson.dumps(replaced) + b"\n"


def _may_hold(text: bytes, token: ErasedToken) -> bool:
    """Return False if the token is not in the text, neither as it is nor encoded, as signed values are."""
    return token.is_searched and (_ENCODED.search(text) is not None or token.found_in(text))


def spans(connection: sa.Connection) -> list[tuple[int, int]]:
    """Return the ranges of ids in which to read the blocks."""
    first, last = connection.execute(sa.select(sa.func.min(_M.id), sa.func.max(_M.id))).one()
    return [] if first is None else [(number, number + SLICE) for number in range(first, last + 1, SLICE)]


def find_token(connection: sa.Connection, token: ErasedToken, within: tuple[int, int]) -> list[tuple[int, bytes]]:
    """Return the id and the changed, compressed lines of the blocks that contain an id token."""
    changed = []
    query = sa.select(_M.id, _M.lines).where(_M.id >= within[0], _M.id < within[1])
    for row in connection.execute(query):
        former = zlib.decompress(row.lines)
        replaced = without_token(former, token)
        if replaced != former:
            changed.append((row.id, zlib.compress(replaced, 1)))
    return changed


def replace_lines(connection: sa.Connection, changed: Sequence[tuple[int, bytes]]) -> int:
    """Replace the lines of blocks. Return how many were still there."""
    return sum(
        connection.execute(
            sa.update(t.message_blocks).where(_M.id == number).values(lines=lines, size_bytes=len(lines))
        ).rowcount
        for number, lines in changed
    )


def expire(connection: sa.Connection, before_ts: float, limit: int) -> int:
    """Delete up to `limit` blocks whose messages are all older; return how many."""
    old = list(
        connection.execute(sa.select(_M.id).where(_M.last_ts < before_ts).order_by(_M.last_ts).limit(limit)).scalars()
    )
    if old:
        connection.execute(sa.delete(t.message_blocks).where(_M.id.in_(old)))
    return len(old)


def sizes(connection: sa.Connection) -> Mapping[str, int]:
    """Return the bytes that are kept of each charge point that has more than its ring holds."""
    total = sa.func.sum(_M.size_bytes)
    query = sa.select(_M.cp_id, total).group_by(_M.cp_id).having(total > MAX_RING_BYTES)
    return {cp_id: int(size) for cp_id, size in connection.execute(query)}


def trim(connection: sa.Connection, cp_id: str, excess_bytes: int) -> int:
    """Delete a charge point's oldest blocks with at least so many bytes; return how many blocks."""
    oldest = sa.select(_M.id, _M.size_bytes).where(_M.cp_id == cp_id).order_by(_M.first_ts, _M.id)
    gone: list[int] = []
    for row in connection.execute(oldest):
        if excess_bytes <= 0:
            break
        gone.append(row.id)
        excess_bytes -= row.size_bytes
    for number in gone:
        connection.execute(sa.delete(t.message_blocks).where(_M.id == number))
    return len(gone)
