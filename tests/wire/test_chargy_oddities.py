"""Every oddity that a feed was promised to survive, served one after the other to one exporter."""

import asyncio
import threading

import pytest

from support.feeds import connector, device, kml, placemark, plain, says
from support.waiting import eventually
from wattspan.chargy import network
from wattspan.chargy.source import Source
from wire.test_chargy import MAX_BYTES, exporting, slow

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY e0 "ha">'
    + b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><kml><Placemark><name>&e9;</name></Placemark></kml>"
)
"""Two thousand million characters, if anybody unfolded it."""
ODD = kml(
    placemark("Park", device("D", connector("D-1", "AVAILABLE"), connector("D-2", "CHARGING"))),
    placemark("Bad", "{no json"),
    "<Placemark><name> </name></Placemark>",
    placemark("Park", device("D", connector("D-1", "OFFLINE"), connector("D-2", "CHARGING"))),
    placemark("Inn", device("E", connector("E-1", "ON_HOLIDAY"))),
)
RIGHT = {("Park", "D-1", "available"), ("Park", "D-2", "charging"), ("Inn", "E-1", "unavailable")}
TROUBLES = [
    ("entity bomb", says(BOMB), "malformed"),
    ("truncated", says(ODD[:-60]), "malformed"),
    ("500", says(b"oh no", 500), "status"),
    ("slow bytes", slow, "timeout"),
    ("50 MB", says(b" " * 50_000_000), "too_large"),
]


def shown(page: dict[str, float]) -> set[tuple[str, str, str]]:
    """Station, connector and state of the series that are 1."""
    found = set()
    for series, value in page.items():
        name, _, rest = series.partition("{")
        if name == "chargy_connector_state" and value == 1:
            labels = dict(pair.split("=", 1) for pair in rest.rstrip("}").split(","))
            found.add(tuple(labels[key].strip('"') for key in ("station", "connector", "chargy_connector_state")))
    return found  # type: ignore[return-value]


async def test_odd_stations_cost_themselves_and_bad_answers_nothing():
    async with exporting(says(ODD)) as exporter:
        assert await exporter.look() == "ok"
        page = await exporter.page()
        assert (shown(page), page["chargy_up"]) == (RIGHT, 1)
        for what, trouble, reason in TROUBLES:
            patience_s = 0.3 if reason == "timeout" else 10
            exporter.network._source = Source(url=exporter.site.url, timeout_s=patience_s, max_bytes=MAX_BYTES)
            exporter.site.answer = trouble
            assert await exporter.look() == reason, what
            page = await exporter.page()
            assert (shown(page), page["chargy_up"]) == (RIGHT, 0), what
        exporter.site.answer = says(plain("CHARGING"))
        assert await exporter.look() == "ok"
        page = await exporter.page()
        assert (shown(page), page["chargy_up"]) == ({("Park", "D-1", "charging")}, 1)


async def test_a_scrape_is_answered_while_a_feed_is_being_read(monkeypatch: pytest.MonkeyPatch):
    """Were a feed read on the loop, nobody could let the reading go on, and the test would never end."""
    go_on, begun = threading.Event(), threading.Event()
    read = network.parse

    def patiently(body: bytes) -> object:
        begun.set()
        assert go_on.wait(10), "nobody scraped meanwhile"
        return read(body)

    async with exporting(says(plain("AVAILABLE"))) as exporter:
        await exporter.look()
        monkeypatch.setattr(network, "parse", patiently)
        exporter.site.answer = says(plain("OFFLINE"))
        looking = asyncio.ensure_future(exporter.look())
        await eventually(begun.is_set)
        assert shown(await exporter.page()) == {("Park", "D-1", "available")}
        assert not looking.done()
        go_on.set()
        assert await looking == "ok"
        assert shown(await exporter.page()) == {("Park", "D-1", "unavailable")}
