import sqlite3
from contextlib import closing

import pytest

from support.databases import query
from support.fleet_events import NOW, connected, metered, samples, started, stopped
from wattspan.domain import events as ev
from wattspan.domain.transactions.common import stop_key
from wattspan.store.queries import audit as audit_queries
from wattspan.store.records import AuditEntry
from wattspan.store.store import IdTag


async def test_id_tags_are_the_same_in_either_case(site):
    tag = IdTag(id_token="Abc", status="Blocked", expiry_ts=NOW, parent="P", max_active_transactions=2)
    await site.store.add_id_tag(tag)
    assert await site.store.id_tag("aBC") == tag
    await site.store.add_id_tag(IdTag(id_token="ABC"))
    assert await site.store.id_tags() == [IdTag(id_token="ABC")]
    assert await site.store.remove_id_tag("abc")
    assert not await site.store.remove_id_tag("abc")
    assert await site.store.id_tag("ABC") is None


async def test_a_charge_point_is_registered_once_and_its_secret_never_shown(site):
    assert await site.store.add_charge_point("CP1", "hashed")
    assert not await site.store.add_charge_point("CP1", "other")
    found = await site.store.credential("CP1")
    assert (found.secret, found.registered_ts) == ("other", NOW)
    assert "other" not in repr(found)
    assert await site.store.credential("CP2") is None


async def test_what_turned_up_by_itself_is_not_registered_and_journaling_leaves_the_secret(site):
    await site.store.add_charge_point("CP1", "hashed")
    site.apply(connected("CP1"), connected("CP2"))
    await site.journal.flush()
    assert [(r.cp_id, r.secret, r.registered_ts) for r in await site.store.charge_points()] == [
        ("CP1", "hashed", NOW),
        ("CP2", None, None),
    ]


async def test_a_removed_charge_point_is_told_to_the_server_until_the_fleet_let_it_go(site, open_site):
    site.apply(connected("CP1"))
    await site.commit()
    command_line = await open_site()
    assert await command_line.store.remove_charge_point("CP1")
    assert not await command_line.store.remove_charge_point("CP1")
    assert await site.store.credential("CP1") is None
    assert await site.store.removed_charge_points() == ["CP1"]
    site.apply(ev.ChargePointDecommissioned(cp_id="CP1", received_ts=NOW))
    await site.commit()
    assert await site.store.removed_charge_points() == []


async def test_a_stale_figure_does_not_bring_a_decommissioned_charge_point_back(site):
    site.apply(connected(), metered(1.0, NOW, transaction_id=None))
    site.apply(ev.ChargePointDecommissioned(cp_id="CP1", received_ts=NOW))
    await site.journal.flush()
    for table in ("charge_points", "connectors"):
        assert query(site.path, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608


async def test_starts_and_stops_are_found_by_what_they_hold(site):
    stop = ev.TransactionStopped(cp_id="CP1", received_ts=NOW, transaction_id="-1", meter_stop_wh=5.0, stopped_ts=NOW)
    site.apply(connected(), started(), stopped(), stop)
    await site.commit()
    store = site.store
    assert (await store.find_start("CP1", "start 1")).reason == "Local"
    assert await store.find_start("CP2", "start 1") is None
    assert (await store.find_stop("CP1", "1", "another key")).number == 1
    assert (await store.find_stop("CP1", "-1", stop_key(stop))).number == 2
    assert await store.find_stop("CP1", "-1", "another offline session") is None


async def test_a_transaction_keeps_its_readings_apart_from_its_neighbours(site):
    site.apply(connected(), connected("CP2"), started(), started("CP2", "2"))
    await site.commit()
    for n in range(5):
        site.apply(metered(2000.0 + n, NOW + n), metered(9.0, NOW + n, "CP2", "2"))
        await site.commit()
    site.apply(stopped())
    await site.commit()
    site.apply(metered(1.0, NOW + 99))
    await site.commit()
    read = await site.store.readings(1)
    assert [reading.register_wh for reading in read] == [2000.0, 2001.0, 2002.0, 2003.0, 2004.0]
    assert read[0].samples == samples(2000.0)
    assert await site.store.readings(77) == []


async def test_transactions_come_newest_first_in_pages(site):
    site.apply(connected(), *(started("CP1", str(n), str(n)) for n in range(1, 6)))
    await site.commit()
    first = await site.store.transactions(limit=2)
    then = await site.store.transactions(cp_id="CP1", before_number=first[-1].number, limit=2)
    assert [t.number for t in (*first, *then)] == [5, 4, 3, 2]


async def test_a_reservation_is_open_until_used_cancelled_or_expired(site):
    def made(number, **fields):
        return ev.ReservationMade(
            **{
                "cp_id": "CP1",
                "received_ts": NOW - 60,
                "reservation_id": number,
                "connector_id": "1",
                "id_token": "T",
                "parent_id_token": None,
                "expires_ts": NOW + 60,
                **fields,
            }
        )

    used = ev.TransactionStarted(
        cp_id="CP1",
        received_ts=NOW,
        connector_id="1",
        transaction_id="1",
        key="k",
        id_token="T",
        meter_start_wh=0.0,
        started_ts=NOW,
        reservation_id=2,
    )
    cancelled = ev.ReservationCancelled(cp_id="CP1", received_ts=NOW, reservation_id=3)
    site.apply(
        connected(), made(1), made(2), made(3), made(4, expires_ts=NOW - 1), made(5, expires_ts=None), used, cancelled
    )
    await site.commit()
    assert [r.reservation_id for r in await site.store.open_reservations("CP1")] == [1, 5]
    site.apply(cancelled, made(3))
    await site.commit()
    assert [r.reservation_id for r in await site.store.open_reservations("CP1")] == [1, 3, 5]


async def test_old_readings_expire_oldest_first_and_ids_go_on(site):
    site.apply(connected(), *(metered(float(n), NOW + n, transaction_id=None) for n in range(2000)))
    await site.commit()
    assert await site.store.expire_readings(NOW + 1200, 700) == 700
    assert await site.store.expire_readings(NOW + 1200, 10_000) == 500
    assert await site.store.expire_readings(NOW + 9999, 10_000) == 799
    assert query(site.path, "SELECT id FROM meter_readings") == [(2000,)]


async def test_old_rows_of_the_audit_log_expire_oldest_first_and_the_newest_stays(site):
    for number in range(6):
        row = AuditEntry(at_ts=NOW + number, who="a", auth_method="", action="x", target="/", status=200, trace_id="")
        await site.store.do(audit_queries.add_entry, row)
    assert await site.store.do(audit_queries.expire_entries, NOW + 4, 2) == 2
    assert await site.store.do(audit_queries.expire_entries, NOW + 4, 100) == 2
    assert await site.store.do(audit_queries.expire_entries, NOW + 99, 100) == 1
    assert [row.at_ts for row in await site.store.read(audit_queries.list_entries, None, None, None, 10)] == [NOW + 5]
    assert await site.store.do(audit_queries.expire_entries, NOW + 99, 100) == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_expiry_does_not_search_the_table(site):
    with closing(sqlite3.connect(site.path)) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN DELETE FROM meter_readings WHERE id <= 5 AND received_ts < 1 "
            "AND id < (SELECT max(id) FROM meter_readings)"
        ).fetchall()
    assert any("USING INTEGER PRIMARY KEY (rowid<?)" in step[3] for step in plan)


async def test_a_ping_is_a_write(site):
    await site.store.ping()
