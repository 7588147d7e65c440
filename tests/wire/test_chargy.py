"""`wattspan chargy` against a real HTTP server: valid, invalid, slow, silent, unchanged and huge answers."""

import asyncio
import gzip
import re
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from support.feeds import Answer, Site, connector, device, kml, placemark, plain, says
from support.otlp import receiver
from support.waiting import eventually
from wattspan.chargy import catalogue
from wattspan.chargy.metrics import register
from wattspan.chargy.network import Network, new_client
from wattspan.chargy.source import Source
from wattspan.cli import main
from wattspan.errors import FeedError
from wattspan.http.metrics import metrics_app
from wattspan.http.server import HttpServer
from wattspan.telemetry.metering import setup_metering
from wattspan.telemetry.prometheus.exposition import Format

MAX_BYTES = 100_000


class Exporter:
    """A network and its metrics page; its clock advances only when the test sets it."""

    def __init__(self, site: Site, client: httpx.AsyncClient) -> None:
        self.now_ts = 1000.0
        self.site, self.client = site, client
        source = Source(url=site.url, timeout_s=10, max_bytes=MAX_BYTES)
        self.network = Network(source, interval_s=300, clock=lambda: self.now_ts)
        self.metering = setup_metering("chargy", {})
        register(self.metering.meter, self.network)

    async def page(self, form: Format = Format.TEXT) -> dict[str, float]:
        """Return the values of the `chargy_*` series."""
        text = b"".join(await self.metering.reader.scrape(form)).decode()
        lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("chargy_"))
        return {series: float(value) for series, _, value in lines}

    async def look(self) -> str:
        """Refresh and return "ok" or the reason of the failure."""
        try:
            await self.network.refresh(self.client)
        except FeedError as exc:
            return exc.reason
        return "ok"


@asynccontextmanager
async def exporting(answer: Answer) -> AsyncIterator[Exporter]:
    async with Site.run(answer) as site, new_client() as client:
        exporter = Exporter(site, client)
        yield exporter
        await exporter.metering.shutdown()


def state_of(page: dict[str, float], name: str) -> dict[str, float]:
    pattern = re.compile(rf'chargy_connector_state{{chargy_connector_state="(\w+)",connector="{name}",')
    return {found[1]: value for series, value in page.items() if (found := pattern.match(series))}


async def test_each_connector_is_in_exactly_one_of_three_states():
    async with exporting(says(plain("AVAILABLE", "FINISHING", "FAULT"))) as exporter:
        assert await exporter.look() == "ok"
        page = await exporter.page()
    assert state_of(page, "D-1") == {"available": 1, "charging": 0, "unavailable": 0}
    assert state_of(page, "D-2") == {"available": 0, "charging": 1, "unavailable": 0}
    assert state_of(page, "D-3") == {"available": 0, "charging": 0, "unavailable": 1}
    labels = 'connector="D-2",device="D",speed="22",state="FINISHING",station="Park"'
    assert page[f"chargy_connector_detailed_state_info{{{labels}}}"] == 1
    assert page["chargy_up"] == 1


async def test_everything_in_the_catalogue_is_on_the_page_and_nothing_else():
    async with exporting(says(plain("AVAILABLE"))) as exporter:
        await exporter.look()
        text = b"".join(await exporter.metering.reader.scrape(Format.TEXT)).decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
    ours = {name: kind for name, kind in types.items() if not name.startswith(("process_", "target_info"))}
    assert ours == {name: metric.kind.value for name, metric in catalogue.METRICS.items()}
    assert "process_resident_memory_bytes" in types
    for name, metric in catalogue.METRICS.items():
        (labels, *_) = re.findall(rf"^{name}(?:{{(.*)}})? ", text, re.MULTILINE)
        assert set(re.findall(r'(\w+)="', labels)) == set(metric.labels), name


async def slow(writer: asyncio.StreamWriter) -> None:
    """Send one byte at a time, so that no single read times out."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + plain("AVAILABLE"))


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n")


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + plain("AVAILABLE")[:-10])
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


PACKED = gzip.compress(plain("AVAILABLE"))
TROUBLES = [
    (says(b"gone wrong", 500), "status"),
    (says(plain("OFFLINE"), 503), "status"),
    (says(b"", 404), "status"),
    (says(b"", 204), "status"),
    (slow, "timeout"),
    (silent, "timeout"),
    (cut_off, "network"),
    (no_http, "network"),
    (says(b"", 302, Location="/feed.kml"), "network"),
    (endless, "too_large"),
    (says(b" " * 50_000_000), "too_large"),
    (says(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"), "too_large"),
    (says(PACKED[:-20], Content_Encoding="gzip"), "malformed"),
    (says(b"no gzip", Content_Encoding="gzip"), "malformed"),
    (says(b"x", Content_Encoding="br"), "malformed"),
    (says(plain("AVAILABLE")[:-20]), "malformed"),
    (says(b'<!DOCTYPE k [<!ENTITY a "x">]><kml>&a;</kml>'), "malformed"),
]


@pytest.mark.parametrize(("trouble", "reason"), TROUBLES)
async def test_a_failed_fetch_keeps_the_last_good_data_and_is_reported(trouble, reason):
    async with exporting(says(plain("AVAILABLE", "CHARGING"))) as exporter:
        assert await exporter.look() == "ok"
        before = await exporter.page()
        patience_s = 0.3 if reason == "timeout" else 10
        exporter.network._source = Source(url=exporter.site.url, timeout_s=patience_s, max_bytes=MAX_BYTES)
        exporter.site.answer = trouble
        exporter.now_ts += 60
        assert await exporter.look() == reason
        after = await exporter.page()
    changed = {"chargy_up", "chargy_data_age_seconds", f'chargy_fetches_total{{result="{reason}"}}'}
    assert {series for series in after if after[series] != before[series]} == changed
    assert (after["chargy_up"], after["chargy_data_age_seconds"]) == (0, 60)


async def test_before_the_first_success_the_page_has_no_connectors():
    async with exporting(says(b"", 500)) as exporter:
        assert await exporter.look() == "status"
        page = await exporter.page()
    assert page["chargy_up"] == 0
    assert not any(series.startswith(("chargy_connector", "chargy_data_age")) for series in page)


async def test_a_later_success_recovers():
    async with exporting(says(b"", 500)) as exporter:
        assert await exporter.look() == "status"
        exporter.site.answer = says(plain("CHARGING"))
        assert await exporter.look() == "ok"
        assert (await exporter.page())["chargy_up"] == 1


async def test_an_unchanged_document_is_not_sent_again_and_counts_as_fresh():
    async with exporting(
        says(plain("AVAILABLE"), ETag='"v1"', Last_Modified="Sat, 01 Aug 2026 10:00:00 GMT")
    ) as exporter:
        await exporter.look()
        exporter.site.answer = says(status=304)
        exporter.now_ts += 300
        assert await exporter.look() == "ok"
        page = await exporter.page()
    first, second = exporter.site.requests
    assert "if-none-match" not in first
    assert (second["if-none-match"], second["if-modified-since"]) == ('"v1"', "Sat, 01 Aug 2026 10:00:00 GMT")
    assert page['chargy_fetches_total{result="unchanged"}'] == 1
    assert page["chargy_data_age_seconds"] == 0
    assert state_of(page, "D-1")["available"] == 1


async def test_a_304_never_confirms_an_invalid_document():
    async with exporting(says(plain("AVAILABLE"), ETag='"good"')) as exporter:
        await exporter.look()
        exporter.site.answer = says(b"<html/>", ETag='"bad"')
        assert await exporter.look() == "malformed"
        await exporter.look()
    assert exporter.site.requests[-1]["if-none-match"] == '"good"'


async def test_a_304_without_a_conditional_request_is_a_failure():
    async with exporting(says(status=304)) as exporter:
        assert await exporter.look() == "status"


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_feed_is_decompressed(encoding: str, pack: Callable[[bytes], bytes]):
    async with exporting(says(pack(plain("AVAILABLE")), Content_Encoding=encoding)) as exporter:
        assert await exporter.look() == "ok"


async def test_a_redirect_is_followed():
    async with Site.run(says(plain("AVAILABLE"))) as target, exporting(says(b"", 301, Location=target.url)) as exporter:
        assert await exporter.look() == "ok"


async def test_a_series_that_left_the_feed_leaves_the_page():
    async with exporting(says(plain("AVAILABLE", "AVAILABLE"))) as exporter:
        await exporter.look()
        exporter.site.answer = says(plain("AVAILABLE"))
        await exporter.look()
        page = await exporter.page()
    assert state_of(page, "D-1")
    assert not state_of(page, "D-2")


async def test_the_pause_doubles_with_each_failure_up_to_the_interval():
    async with exporting(says(b"", 500)) as exporter:
        pauses = []
        for _ in range(8):
            await exporter.look()
            pauses.append(exporter.network.pause_s)
        exporter.site.answer = says(plain("AVAILABLE"))
        await exporter.look()
        assert exporter.network.pause_s == 300
    assert pauses == [15, 30, 60, 120, 240, 300, 300, 300]


async def test_any_path_is_the_page_except_health_and_a_scrape_during_a_fetch_is_answered():
    async with exporting(says(plain("AVAILABLE"))) as exporter:
        await exporter.look()
        exporter.site.answer = silent
        fetching = asyncio.ensure_future(exporter.look())
        await eventually(lambda: len(exporter.site.requests) == 2)
        app = metrics_app(exporter.metering.reader, ready=lambda: ("not yet",), any_path=True)
        server = HttpServer(app, host="127.0.0.1", port=0)
        await server.start()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            pages = [(await client.get(path)).text for path in ("/", "/metrics", "/any/thing")]
            health, ready = await client.get("/healthz"), await client.get("/readyz")
        await server.stop()
        assert not fetching.done()
        fetching.cancel()
    assert all("chargy_connector_state{" in page for page in pages)
    assert (health.text, ready.status_code) == ("ok\n", 503)


def run_once(*options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "wattspan", "chargy", "--once", *options],
        env=environ | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


async def test_once_prints_the_page_exports_it_by_otlp_and_exits():
    many = kml(*(placemark(f"P{n}", device(f"D{n}", connector(f"C{n}", "AVAILABLE"))) for n in range(50)))
    async with Site.run(says(many)) as site:
        with receiver() as collector:
            done = await asyncio.to_thread(run_once, KML_URL=site.url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
            points = collector.metric("chargy_connector_state")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("chargy_connector_state{") == 150
    assert len(points) == 150
    assert sum(point.as_int for point in points) == 50


async def test_once_reports_a_failure_in_one_line():
    async with Site.run(says(b"", 500)) as site:
        done = await asyncio.to_thread(run_once, "--kml-url", site.url)
    assert (done.returncode, done.stderr) == (1, "Error: status: HTTP status 500\n")


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], "Error: kml_url: is required; set it with --kml-url or KML_URL\n"),
        (
            ["--kml-url", "ftp://x"],
            "Error: kml_url: ftp://x is not a URL like https://feed.example/chargy.kml\n",
        ),
    ],
)
def test_a_valid_url_is_required(options, fault, capsys, monkeypatch):
    monkeypatch.delenv("KML_URL", raising=False)
    with pytest.raises(SystemExit) as caught:
        main(["chargy", "--once", *options])
    assert (caught.value.code, capsys.readouterr().err) == (2, fault)
