"""Series, changes of state, sites and views in both databases."""

import zlib
from array import array
from math import nan

import orjson
import pytest

from support.databases import query
from support.fleet_events import connected, metered, started
from support.sites import NOW
from wattspan.domain import events as ev
from wattspan.errors import Stale
from wattspan.history.series import SeriesRecorder
from wattspan.history.timelines import TimelineRecorder
from wattspan.store.queries import exports as export_queries
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.queries import series as series_queries
from wattspan.store.queries import sites as site_queries
from wattspan.store.queries import timelines as timeline_queries
from wattspan.store.queries.sites import Place, SavedView, Site
from wattspan.store.queries.timelines import PlannedOutage, StateChange
from wattspan.store.records import IdTag
from wattspan.store.series.blocks import BLOCK_S, DAY_S, HOUR_S, MINUTE_S, QUARTER_S, WHOLE, Block, packed
from wattspan.store.series.ranges import Range

DAY_TS = int(NOW) // DAY_S * DAY_S


def hour_of(cp_id, start_ts, count=60, power_w=600.0):
    block = Block(cp_id, MINUTE_S, start_ts)
    for minute in range(count):
        sample = (power_w, power_w / 60, 1.0, 1.0, 0.0, power_w / 230)
        block.add(start_ts + minute * MINUTE_S, {WHOLE: sample, "1": sample})
    return block


async def total(site, step_s, from_ts, count, now_ts=NOW, unwritten=None, place=WHOLE):
    wanted = Range(from_ts=from_ts, step_s=step_s, count=count, channels=["power_w", "energy_wh"])
    groups = {"CP1": {place: ()}, "CP2": {place: ()}}
    await site.store.read(series_queries.add_range, wanted, groups, now_ts, unwritten or {})
    return wanted.totals[()]


async def test_a_days_energy_is_the_same_from_every_step_before_and_after_a_roll_up(site):
    store, recorder = site.store, SeriesRecorder(site.fleet, site.store, lambda: NOW)
    for hour_ts in range(DAY_TS, DAY_TS + DAY_S, HOUR_S):
        await store.do(series_queries.put_blocks, [hour_of("CP1", hour_ts), hour_of("CP2", hour_ts + 1800, 30)])
    expected = ([900.0] * 24, [900.0] * 24)
    for rolled in (0, 10, 24, 24):  # twice the same: nothing changes
        for hour in range(rolled):
            await recorder.roll_up(DAY_TS + hour * HOUR_S)
        for step_s in (MINUTE_S * 60, QUARTER_S * 4, DAY_S):
            count = DAY_S // step_s
            power_w, energy_wh = await total(site, step_s, DAY_TS, count, DAY_TS + DAY_S)
            assert sum(energy_wh) == pytest.approx(24 * 900.0)
            if step_s == HOUR_S:
                assert energy_wh == pytest.approx(expected[1])
                assert power_w == pytest.approx([1200.0] * 24)
    power_w, energy_wh = await total(site, HOUR_S, DAY_TS, 24, DAY_TS + 100 * DAY_S, place="1")
    assert energy_wh == pytest.approx(expected[1])


async def test_blocks_in_memory_and_those_of_another_start_complete_each_other(site):
    await site.store.do(series_queries.put_blocks, [hour_of("CP1", DAY_TS, 10)])
    unwritten = {"CP1": [hour_of("CP1", DAY_TS + 8 * MINUTE_S, 12, 1200.0)]}
    power_w, _ = await total(site, MINUTE_S, DAY_TS, 21, DAY_TS + HOUR_S, unwritten)
    assert power_w[:8] == [600.0] * 8
    assert power_w[8:20] == [1200.0] * 12
    assert power_w[20] != power_w[20]


async def test_a_block_written_again_replaces_itself_and_old_ones_go(site):
    store, old_ts = site.store, DAY_TS - 4 * DAY_S
    await store.do(series_queries.put_blocks, [hour_of("CP1", old_ts, 5)])
    await store.do(series_queries.put_blocks, [hour_of("CP1", old_ts)])
    assert query(site.path, "SELECT count(*) FROM series") == [(1,)]
    assert await store.do(series_queries.expire, NOW, 10) == 0  # it is not rolled up yet
    await SeriesRecorder(site.fleet, store, lambda: NOW).roll_up(old_ts)
    assert await store.do(series_queries.expire, NOW, 10) == 1
    assert query(site.path, "SELECT step_s FROM series") == [(QUARTER_S,)]
    assert await store.do(series_queries.expire, NOW + 62 * DAY_S, 10) == 1


async def test_the_fleet_is_sampled_and_its_energy_counted_between_samples(site):
    site.apply(connected(), started())
    await site.commit()
    recorder = SeriesRecorder(site.fleet, site.store, lambda: NOW)
    await recorder.record(DAY_TS)
    site.fleet.charge_points["CP1"].transactions["1"].meter.energy_wh += 250.0
    await recorder.record(DAY_TS + 2 * MINUTE_S)  # one minute was missed
    await recorder.stop()
    _, energy_wh = await total(site, MINUTE_S, DAY_TS, 3, DAY_TS + HOUR_S)
    assert (energy_wh[0], energy_wh[2]) == (0.0, 250.0)
    assert energy_wh[1] != energy_wh[1]
    _, of_connector = await total(site, MINUTE_S, DAY_TS, 3, DAY_TS + HOUR_S, place="1")
    assert of_connector[2] == 250.0
    assert await site.store.read(series_queries.mark, series_queries.SAMPLED) == int(NOW) // 60 * 60 + MINUTE_S


def change(at_ts, state, kind="status", connector_id="1", is_edge=False, cp_id="CP1"):
    return StateChange(cp_id=cp_id, at_ts=at_ts, kind=kind, connector_id=connector_id, state=state, is_edge=is_edge)


async def test_changes_begin_with_the_state_before_the_range_and_edges_are_kept_longer(site):
    store = site.store
    changes = [change(NOW - 3, "Available"), change(NOW - 2, "Faulted", is_edge=True), change(NOW, "Available")]
    await store.do(timeline_queries.put_changes, changes)
    await store.do(timeline_queries.put_changes, changes)
    found = await store.read(timeline_queries.changes, ["CP1"], NOW - 1, NOW + 1, 10, ["status"])
    assert [each.state for each in found] == ["Faulted", "Available"]
    assert await store.do(timeline_queries.expire, NOW + 70 * DAY_S, 10) == 2
    assert await store.read(timeline_queries.edges, ["CP1"], NOW, NOW + 1) == [changes[1]]


async def test_the_time_in_which_the_server_did_not_run_is_recorded_at_the_next_start(site):
    site.apply(connected())
    await site.commit()
    store, now = site.store, [NOW]
    first = TimelineRecorder(site.fleet, store, lambda: now[0])
    first.put(connected())
    await first.write()
    await store.do(series_queries.put_mark, series_queries.SAMPLED, int(NOW) + 60)
    now[0] = NOW + 3600
    second = TimelineRecorder(site.fleet, store, lambda: now[0])
    await second.start()
    await second.write()
    found = await store.read(timeline_queries.changes, ["CP1"], 0, NOW + 7200, 10, ["connection"])
    assert [(each.state, each.at_ts) for each in found] == [
        ("connected", NOW),
        ("unknown", int(NOW) + 60),
        ("disconnected", NOW + 3600),
    ]


async def test_two_changes_of_status_at_the_same_time_are_both_kept(site):
    recorder = TimelineRecorder(site.fleet, site.store, lambda: NOW)
    for word in ("Available", "Preparing", "Charging"):
        event = ev.ConnectorStatusChanged(
            cp_id="CP1", received_ts=NOW, connector_id="1", status=word, error_code="NoError"
        )
        site.apply(event)
        recorder.put(event)
    await recorder.write()
    found = await site.store.read(timeline_queries.changes, ["CP1"], 0, NOW + 60, 10, ["status"])
    assert [each.state for each in found] == ["Available", "Preparing", "Charging"]


async def test_planned_outages_are_found_where_they_reach_into_the_range(site):
    outage = PlannedOutage(cp_id="CP1", from_ts=NOW, until_ts=NOW + 10, reason="works", created_by="admin")
    added = await site.store.do(timeline_queries.add_planned_outage, outage)
    assert await site.store.read(timeline_queries.planned_outages, ["CP1"], NOW + 9, NOW + 20) == [added]
    assert await site.store.read(timeline_queries.planned_outages, None, NOW + 10, NOW + 20) == []
    assert await site.store.do(timeline_queries.remove_planned_outage, added.id)
    assert not await site.store.do(timeline_queries.remove_planned_outage, added.id)


async def test_a_site_that_goes_leaves_its_charge_points_with_their_labels(site):
    store = site.store
    await store.add_charge_point("CP1", None)

    def unchecked(_stored):
        pass

    def stale(_stored):
        raise Stale("changed")

    version = await store.read(site_queries.version)
    depot = await store.do(site_queries.put_site, Site(site_id="depot", name="Depot", labels={"a": "b"}), unchecked)
    assert await store.read(site_queries.sites) == [depot]
    with pytest.raises(Stale):
        await store.do(site_queries.put_site, Site(site_id="depot", name="Other"), stale)
    assert not await store.do(site_queries.put_place, "CP1", "nowhere", None)
    assert await store.do(site_queries.put_place, "CP1", "depot", {"zone": "public"})
    place = Place(cp_id="CP1", site_id="depot", labels={"zone": "public"})
    assert await store.read(site_queries.places) == [place]
    await store.do(site_queries.remove_site, "depot", unchecked)
    assert await store.read(site_queries.places, ["CP1"]) == [Place(cp_id="CP1", labels={"zone": "public"})]
    assert await store.read(site_queries.version) > version


async def test_a_user_saves_a_bounded_number_of_views(site):
    def view(view_id):
        return SavedView(
            view_id=view_id, user_key="admin", name="v", page="fleet", query={"q": [1]}, is_shared=False, created_ts=NOW
        )

    assert await site.store.do(site_queries.add_view, view("1"), 1)
    assert not await site.store.do(site_queries.add_view, view("2"), 1)
    assert await site.store.read(site_queries.views, "admin") == [view("1")]
    assert await site.store.read(site_queries.views, "other") == []
    assert await site.store.do(site_queries.remove_view, "admin", "1")


def test_a_block_of_a_longer_step_has_means_and_sums_of_what_is_there():
    block = Block("CP1", MINUTE_S, DAY_TS)
    for minute, power_w in enumerate([10.0, nan, 30.0] + [20.0] * 12):
        block.add(DAY_TS + minute * MINUTE_S, {WHOLE: (power_w, 1.0, 0.0, 1.0, 0.0, nan)})
    quarter = block.coarser(QUARTER_S).places[WHOLE]
    assert (quarter[0][0], quarter[1][0]) == (pytest.approx(280 / 14), 15.0)
    assert block.ends_ts - DAY_TS == BLOCK_S[MINUTE_S]


def packed_before_current(block):
    """Return the column of a block's whole as servers of version 1 wrote it: without `current_a`."""
    head = orjson.dumps([1, block.count, [WHOLE]])
    arrays = b"".join(channel.tobytes() for channel in block.places[WHOLE][:5])
    return zlib.compress(len(head).to_bytes(4, "little") + head + arrays)


async def test_blocks_written_before_there_was_current_have_power_and_no_current(site):
    old, new = hour_of("CP1", DAY_TS, 10), hour_of("CP1", DAY_TS + HOUR_S, 10, 1200.0)
    row = {**series_queries.row_of(old), "whole": packed_before_current(old)}
    await site.store.do(series_queries.put_rows, [row, series_queries.row_of(new)])
    await SeriesRecorder(site.fleet, site.store, lambda: NOW).roll_up(DAY_TS)
    await SeriesRecorder(site.fleet, site.store, lambda: NOW).roll_up(DAY_TS + HOUR_S)
    wanted = Range(from_ts=DAY_TS, step_s=HOUR_S, count=2, channels=["power_w", "current_a"])
    await site.store.read(series_queries.add_range, wanted, {"CP1": {WHOLE: ()}}, DAY_TS + 3 * DAY_S, {})
    power_w, current_a = wanted.totals[()]
    assert power_w == pytest.approx([600.0, 1200.0])
    assert current_a == pytest.approx([nan, 1200.0 / 230], nan_ok=True)


def test_a_server_from_before_current_reads_the_first_channels_of_a_new_block():
    block = hour_of("CP1", DAY_TS, 3)
    for place in ("1", "2"):
        block.places[place] = [array("f", [number] * 3) for number in range(6)]
    raw = zlib.decompress(packed(block)[1])
    first = 4 + int.from_bytes(raw[:4], "little")
    assert orjson.loads(raw[4:first])[1:] == [3, ["1", "2"]]
    before = array("f", raw[first : first + 2 * 5 * 3 * 4]).tolist()
    assert before == [number for _ in ("1", "2") for number in range(5) for _ in range(3)]


async def test_readings_are_exported_from_the_first_of_the_range_on(site):
    site.apply(connected(), started(), *(metered(1000.0 + minute, NOW + 60 * minute) for minute in range(9)))
    await site.commit()
    for first in (0, 4, 8):
        after = await site.store.read(export_queries.before_first_reading, NOW + 60 * first)
        rows = await site.store.read(export_queries.readings, after, NOW + 10_000, 100)
        assert [row["received_ts"] for row in rows] == [NOW + 60 * minute for minute in range(first, 9)]
    after = await site.store.read(export_queries.before_first_reading, NOW + 10_000)
    assert await site.store.read(export_queries.readings, after, NOW + 20_000, 100) == []


async def test_id_tags_have_groups_and_where_they_were_last_used(site):
    store = site.store
    await store.add_id_tag(IdTag(id_token="A1", tag_group="staff"))
    await store.add_id_tag(IdTag(id_token="a2", expiry_ts=NOW, status="Expired"))
    assert await store.read(id_tag_queries.groups) == [("", 1, 1), ("staff", 1, 0)]
    assert await store.read(id_tag_queries.groups_of_id_tags) == {"a1": "staff"}
    await store.do(id_tag_queries.put_uses, {"a1": (NOW, "CP1"), "unknown": (NOW, "CP1")})
    await store.add_id_tag(IdTag(id_token="A1", tag_group="guests"))  # replacing it keeps where it was used
    (used,) = await store.read(id_tag_queries.id_tags_of, ["a1"])
    assert (used.last_used_ts, used.last_used_cp_id, used.tag_group) == (NOW, "CP1", "guests")
    assert await store.do(id_tag_queries.set_status, ["A1", "x"], None, "Blocked") == 1
    assert await store.do(id_tag_queries.set_status, (), "", "Accepted") == 1
    found = await store.read(id_tag_queries.list_id_tags, "", 9, "", None, None, NOW + 1)
    assert [tag.id_token for tag in found] == ["a2"]
