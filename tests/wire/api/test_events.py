"""Server-sent events: as they happen, resumable, and never a brake."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.central import Csms
from support.chargers import START, energy, meter_values, status
from support.operators import PASSWORD, Operator, admin
from support.waiting import WITHIN_S, eventually
from wattspan.api import events
from wattspan.domain.events import ConnectorStatusChanged, NoticeReceived


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
                elif field == "data" and (name == wanted if wanted else name != "Figures"):
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
