"""Kept messages in both databases: a ring for each charge point, and how long."""

from support.databases import query
from support.sites import NOW
from wattspan.csms.plugins.audit import mask
from wattspan.domain.counters import ServerCounters
from wattspan.history.exchanges import exchanges
from wattspan.history.messages import BLOCK_S, TURN_BLOCKS, MessageLog
from wattspan.store.queries import messages as message_queries


def lines_of(first, count):
    return [(NOW + number, b'{"ts":%d,"frame":[]}' % number) for number in range(first, first + count)]


def block_of(lines):
    text = b"".join(line + b"\n" for _, line in lines)
    return message_queries.compressed("CP1", lines[0][0], lines[-1][0], len(lines), text)


async def test_lines_come_back_in_order_and_the_oldest_go_first(site):
    store = site.store
    blocks = [block_of(lines_of(first, 3)) for first in (0, 3, 6)]
    await store.do(message_queries.put_blocks, blocks)
    found = await store.read(message_queries.lines, "CP1", NOW + 3, NOW + 6)
    assert found == [line for _, line in lines_of(3, 3)]
    assert await store.read(message_queries.sizes) == {}
    assert await store.do(message_queries.trim, "CP1", len(blocks[0].lines) + 1) == 2
    assert await store.do(message_queries.expire, NOW + 8, 10) == 0
    assert await store.do(message_queries.expire, NOW + 9, 10) == 1
    assert query(site.path, "SELECT count(*) FROM message_blocks") == [(0,)]


async def test_messages_are_masked_shortened_and_kept_on_one_line(site):
    log = MessageLog(site.store, ServerCounters(started_ts=NOW), mask, lambda: int(NOW * 1e9), 3600.0)
    take = log.tap("CP1")
    take("in", b'[2,"1",\n"Authorize",{"idTag":"SECRET1"}]')
    take("in", b'[2,"2","Authorize",{"\\u0069dTag":"SECRET2"}]')
    take("in", b"not JSON SECRET3")
    take("in", b'[2,"3","DataTransfer",{"data":"' + b"x" * 30_000 + b'"}]')
    await log.process()
    await log.flush()
    lines = await log.lines("CP1", 0, NOW + 1)
    assert len(lines) == 4
    assert b"SECRET" not in b"".join(lines)
    assert [each.call for each in exchanges(lines)][2:] == [{"unreadable": 16}, {"bytes": 30_034}]


async def test_an_answer_belongs_to_the_call_of_the_other_side(site):
    log = MessageLog(site.store, ServerCounters(started_ts=NOW), mask, lambda: int(NOW * 1e9), 3600.0)
    take = log.tap("CP1")
    for direction, data in (
        ("in", b'[2,"1","Heartbeat",{}]'),
        ("out", b'[2,"1","Reset",{"type":"Soft"}]'),
        ("in", b'[3,"1",{"status":"Accepted"}]'),
        ("out", b'[3,"1",{"currentTime":"t"}]'),
        ("in", b'[3,"9",{}]'),
    ):
        take(direction, data)
    beat, reset, stray = exchanges(await log.lines("CP1", 0, NOW + 1))
    assert (beat.action, beat.answer) == ("Heartbeat", {"currentTime": "t"})
    assert (reset.action, reset.answer) == ("Reset", {"status": "Accepted"})
    assert (stray.action, stray.call) == ("", [3, "9", {}])


async def test_a_block_is_written_once_it_is_old_or_large(site):
    now = [NOW]
    log = MessageLog(site.store, ServerCounters(started_ts=NOW), mask, lambda: int(now[0] * 1e9), 3600.0)

    async def written():
        await log.process()
        return [row[0] for row in query(site.path, "SELECT cp_id FROM message_blocks ORDER BY cp_id")]

    long = b'[2,"1","DataTransfer",{"data":"' + b"x" * 19_000 + b'"}]'
    log.tap("CP1")("in", b'[2,"1","Heartbeat",{}]')
    now[0] += 1
    log.tap("CP2")("in", b'[2,"1","Heartbeat",{}]')
    for _ in range(4):
        log.tap("CP3")("in", long)
    assert await written() == ["CP3"]
    now[0] = NOW + BLOCK_S
    assert await written() == ["CP1", "CP3"]
    now[0] = NOW - 3600  # set back: nothing waits for an hour
    assert await written() == ["CP1", "CP2", "CP3"]
    assert len(await log.lines("CP3", 0, NOW + BLOCK_S)) == 4


async def test_the_blocks_of_a_fleet_that_came_at_once_are_written_in_turns(site):
    now = [NOW]
    log = MessageLog(site.store, ServerCounters(started_ts=NOW), mask, lambda: int(now[0] * 1e9), 3600.0)
    for number in range(TURN_BLOCKS + 1):
        log.tap(f"CP{number}")("in", b'[2,"1","Heartbeat",{}]')
    await log.process()
    now[0] += BLOCK_S
    for written in (TURN_BLOCKS, TURN_BLOCKS + 1):
        await log.process()
        assert query(site.path, "SELECT count(*) FROM message_blocks") == [(written,)]
