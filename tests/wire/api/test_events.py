"""Server-sent events: as they happen, resumable, and never a brake."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from support.central import Csms
from support.chargers import START, energy, meter_values, status
from support.operators import PASSWORD, Operator, admin
from support.waiting import WITHIN_S, eventually
from wattspan.api import events
from wattspan.domain.events import ConnectorStatusChanged, NoticeReceived
from wattspan.store.queries import sites as site_queries


class Stream:
    """An open event stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self, wanted: str | None = None) -> tuple[str, str, dict[str, Any]]:
        """(id, event, data) of the next event that is no figure, or of the next `wanted`."""
        event_id = name = ""
        async with asyncio.timeout(WITHIN_S):
            while True:
                line = await anext(self._lines)
                field, _, value = line.partition(": ")
                if field == "id":
                    event_id = value
                elif field == "event":
                    name = value
                elif field == "data" and (name == wanted if wanted else name not in ("Figures", "Seen")):
                    return event_id, name, json.loads(value)
                elif not line:
                    event_id = ""


@asynccontextmanager
async def listening(operator: Operator, last_id: str = "", **query: str) -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with operator.http.stream("GET", "/api/v1/events", headers=headers, params=query) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer.aiter_lines())


async def test_what_happens_is_told_without_id_tokens(csms: Csms, operator: Operator) -> None:
    async with listening(operator) as stream, csms.charger("CP1") as charger:
        await charger.call("StartTransaction", START)
        assert (await stream.next())[1] == "ChargePointConnected"
        _, name, data = await stream.next()
    assert (name, data["cp_id"], data["connector_id"]) == ("TransactionStarted", "CP1", "1")
    assert "TAG1" not in str(data)
    assert data["received_at"].endswith("Z")


async def test_whoever_comes_back_is_told_what_came_meanwhile(csms: Csms, operator: Operator) -> None:
    async with csms.charger("CP1") as charger:
        async with listening(operator, cp_id="CP1") as stream:
            await charger.call("StatusNotification", status("Preparing"))
            last_id, *_ = await stream.next("ConnectorStatusChanged")
        for word in ("Charging", "Finishing"):
            await charger.call("StatusNotification", status(word))
        async with listening(operator, last_id, cp_id="CP1") as stream:
            seen = [(await stream.next())[2]["status"] for _ in range(2)]
    assert seen == ["Charging", "Finishing"]


async def test_a_place_that_an_operator_changes_is_sent_and_can_be_resumed(csms: Csms, operator: Operator) -> None:
    await operator.ask("PUT", "/sites/depot", json={"name": "Depot"})
    for cp_id in ("CP1", "CP2"):
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": cp_id, "credentials": False})
    changes = {"name": "Gate", "location": "Quai 7"}, {"site_id": "depot", "labels": {"owner": "city"}}
    async with listening(operator, cp_id="CP1") as stream:
        for cp_id, change in (("CP2", changes[0]), ("CP1", changes[0]), ("CP1", changes[1])):
            await operator.ask("PATCH", f"/charge-points/{cp_id}", json=change, headers={"If-Match": "*"})
        last_id, name, data = await stream.next()
        assert (name, data) == ("PlaceChanged", {"cp_id": "CP1", **changes[0], "site_id": None, "labels": {}})
    async with listening(operator, last_id, cp_id="CP1") as stream:
        assert (await stream.next())[2] == {"cp_id": "CP1", **changes[0], **changes[1]}


async def test_a_place_that_another_process_changes_is_sent_and_a_reset_if_there_are_many(
    csms: Csms, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_RESUMED", 1)
    for cp_id in ("CP1", "CP2"):
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": cp_id, "credentials": False})
    async with listening(operator) as stream:
        for cp_ids, wanted in ((["CP1"], "PlaceChanged"), (["CP1", "CP2"], "Reset"), (["CP2"], "PlaceChanged")):
            labels = {"changed": f"with {len(cp_ids)} before {wanted} of {cp_ids[-1]}"}
            await csms.store.do(_put_places, cp_ids, labels)  # at once: the server may look by itself in between
            await csms.central._directory.refresh()
            assert (await stream.next())[1] == wanted


def _put_places(connection: Connection, cp_ids: list[str], labels: dict[str, str]) -> None:
    for cp_id in cp_ids:
        site_queries.put_place(connection, cp_id, None, labels)


async def test_sites_that_are_added_changed_or_removed_are_told(csms: Csms, operator: Operator) -> None:
    any_version = {"If-Match": "*"}
    async with listening(operator) as stream:
        await operator.ask("PUT", "/sites/depot", json={"name": "Depot"})
        assert await stream.next() == ("", "SitesChanged", {})
        await operator.ask("PUT", "/sites/depot", json={"name": "Bus depot"}, headers=any_version)
        assert await stream.next() == ("", "SitesChanged", {})
        await operator.ask("DELETE", "/sites/depot", 204, headers=any_version)
        assert await stream.next() == ("", "SitesChanged", {})


async def test_an_id_of_another_life_gets_a_reset(csms: Csms, operator: Operator) -> None:
    for last_id in ("deadbeef-5", "nonsense", "-", "deadbeef-99999999999999999999999999"):
        async with listening(operator, last_id, cp_id="CP1") as stream:
            assert (await stream.next())[1] == "Reset"


async def test_figures_that_move_are_told_and_can_not_be_resumed_from(csms: Csms, operator: Operator) -> None:
    async with listening(operator) as stream, csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        await charger.call("MeterValues", meter_values(started["transactionId"], energy(1500)))
        while True:
            event_id, _, data = await stream.next("Figures")
            if data["energy_wh"] == 500.0:
                break
    assert event_id == ""


async def test_a_reader_that_does_not_read_is_dropped_and_nobody_waits(csms: Csms, operator: Operator) -> None:
    feed = csms.central._feed
    reader, writer = await asyncio.open_connection("127.0.0.1", csms.central.api_port, limit=1024)
    cookie = f"wattspan_session={operator.http.cookies['wattspan_session']}"
    writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await eventually(lambda: feed._listeners)
    async with csms.charger("CP1") as charger:

        async def dropped() -> bool:
            for _ in range(50):
                await charger.call("StatusNotification", status("Charging") | {"info": "x" * 50})
                event = feed._ring[-1]
                for _ in range(events.QUEUE):
                    feed._send([event])
            return not feed._listeners

        await eventually(dropped, within_s=30)
        await charger.call("Heartbeat")
    writer.transport.abort()


async def test_every_listener_is_told(csms: Csms, operator: Operator) -> None:
    async with listening(operator) as stream, listening(operator) as other, csms.charger("CP1"):
        assert (await stream.next())[1] == (await other.next())[1] == "ChargePointConnected"


async def test_who_missed_more_than_is_resumed_is_told_to_read_anew_and_nothing_is_skipped_in_silence(
    csms: Csms, operator: Operator
) -> None:
    feed = csms.central._feed
    async with csms.charger("CP1") as one, csms.charger("CP2") as other:
        async with listening(operator, cp_id="CP1") as stream:
            await one.call("StatusNotification", status("Preparing"))
            last_id, *_ = await stream.next("ConnectorStatusChanged")
        for _ in range(events.MAX_RESUMED + 1):
            feed.publish(ConnectorStatusChanged(cp_id="CP2", received_ts=0.0, connector_id="1", status="Available"))
        await one.call("StatusNotification", status("Charging"))
        await other.call("Heartbeat")
        async with listening(operator, last_id, cp_id="CP1") as stream:  # others' events do not count
            assert (await stream.next())[2]["status"] == "Charging"
        async with listening(operator, last_id) as stream:
            assert (await stream.next())[1] == "Reset"


async def test_a_stream_ends_with_the_log_in_however_busy_it_is(csms: Csms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattspan.api.routes.events.KEEPALIVE_S", 0.05)
    async with admin(csms) as leaver, csms.charger("CP1") as charger, listening(leaver) as stream:
        await charger.call("StatusNotification", status("Preparing"))
        await stream.next("ConnectorStatusChanged")
        async with admin(csms) as boss:
            await boss.ask("PATCH", "/users/admin", json={"password": PASSWORD}, headers={"If-Match": "*"})

        async def ended() -> bool:
            for _ in range(20):
                await charger.call("StatusNotification", status("Charging"))
            return not csms.central._feed._listeners

        await eventually(ended)


async def test_one_user_can_not_take_all_the_streams(csms: Csms, operator: Operator) -> None:
    feed = csms.central._feed
    taken = [feed.listen(None, None, "admin") for _ in range(csms.central.settings.max_streams_per_user)]
    problem = await operator.ask("GET", "/events", 429)
    assert problem["type"] == "urn:wattspan:limit"
    feed.leave(feed.listen(None, None, "somebody else"))
    for listener in taken:
        feed.leave(listener)


async def test_what_a_customer_is_told_is_not_told_to_viewers() -> None:
    notice = NoticeReceived(cp_id="CP1", received_ts=0.0, action="NotifyCustomerInformation", payload={"data": "Ada"})
    assert events.json_of(notice) == {
        "cp_id": "CP1",
        "received_at": "1970-01-01T00:00:00.000Z",
        "action": notice.action,
    }


async def test_who_sent_messages_is_listed_to_listeners_of_the_whole_fleet(
    csms: Csms, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "FIGURES_S", 0.01)
    monkeypatch.setattr(events, "SEEN_EVERY", 1)
    async with listening(operator) as stream, listening(operator, cp_id="CP1") as own, csms.charger("CP1") as charger:
        await charger.call("Heartbeat", {})
        _, _, seen = await stream.next("Seen")
        assert seen["cp_ids"] == ["CP1"]
        assert seen["at"].endswith("Z")
        await charger.call("StatusNotification", status("Faulted"))
        names = [(await own.next("ConnectorStatusChanged"))[1]]
    assert names == ["ConnectorStatusChanged"]


async def test_a_slow_listener_gets_the_newest_figures_of_each_connector_and_is_not_dropped() -> None:
    listener = events.Listener(None)
    for turn in range(3):
        for number in range(events.QUEUE + 200):
            place = ("CP1", str(number))
            listener.put_figures(place, events.Frame(0, "CP1", f"{number}:{turn}".encode()))
    listener.put(events.Frame(1, "CP1", b"event"))
    received: list[bytes] = []
    while not listener.queue.empty():
        received += await listener.next_chunks(64)
    assert not listener.dropped.is_set()
    assert sorted(received) == sorted([b"event", *(f"{number}:2".encode() for number in range(events.QUEUE + 200))])


async def test_figures_have_the_status_of_the_connector(csms: Csms, operator: Operator) -> None:
    async with listening(operator) as stream, csms.charger("CP1") as charger:
        await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
        _, _, figures = await stream.next("Figures")
    assert (figures["status"], figures["error_code"], figures["transaction"]) == ("Faulted", "GroundFailure", None)
    assert figures["status_at"].endswith("Z")
