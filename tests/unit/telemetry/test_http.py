import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from support.scraping import fill, state
from support.waiting import eventually
from wattspan.errors import SettingsError
from wattspan.http import server as http
from wattspan.http.access import Access
from wattspan.http.metrics import metrics_app
from wattspan.http.server import HttpServer
from wattspan.telemetry.prometheus.exposition import Format
from wattspan.telemetry.prometheus.reader import PrometheusReader

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@contextlib.asynccontextmanager
async def serving(
    *, access: Access | None = None, reasons: Sequence[str] = (), count: int = 2, **tls: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a metrics port with a fleet of `count`."""
    shown = state()
    fill(shown, count)
    app = metrics_app(PrometheusReader(shown), ready=lambda: reasons, access=access)
    server = HttpServer(app, host="127.0.0.1", port=0, **tls)
    await server.start()
    scheme = "https" if tls else "http"
    try:
        async with httpx.AsyncClient(base_url=f"{scheme}://127.0.0.1:{server.port}", verify=False) as client:  # noqa: S501
            yield client
    finally:
        await server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", "/CN=localhost", "-days", "2", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    return cert, key


async def test_a_port_0_takes_a_free_one_and_says_which() -> None:
    async with serving() as client:
        answer = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert client.base_url.port
    assert answer.status_code == 200
    assert answer.headers["content-type"] == Format.TEXT.value
    assert answer.headers["content-length"] == str(len(answer.content))
    assert 'ocpp_cp_connected{cp_id="CP-000002"} 1\n' in answer.text


async def test_the_format_and_the_compression_are_what_was_asked_for() -> None:
    async with serving() as client:
        headers = {"Accept": "application/openmetrics-text", "Accept-Encoding": "gzip"}
        answer = await client.get("/metrics", headers=headers)
    assert answer.headers["content-type"] == Format.OPENMETRICS.value
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text.endswith("# EOF\n")


async def test_names_in_the_query_filter_the_page() -> None:
    async with serving() as client:
        answer = await client.get("/metrics", params={"name[]": ["ocpp_central_up", "ocpp_tx_total"]})
    assert {line.split("{")[0].split()[0] for line in answer.text.splitlines() if not line.startswith("#")} == {
        "ocpp_central_up",
        "ocpp_tx_total",
    }


async def test_head_tells_the_type_without_a_page_and_other_methods_are_not_allowed() -> None:
    async with serving() as client:
        head = await client.head("/metrics")
        posted = await client.post("/metrics")
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", Format.TEXT.value)
    assert posted.status_code == 405
    assert (await _status("/nothing")) == 404


async def _status(path: str) -> int:
    async with serving() as client:
        return (await client.get(path)).status_code


async def test_health_is_alive_and_readiness_gives_its_reasons() -> None:
    async with serving(reasons=["store: disk full", "shutting down"]) as client:
        alive, ready = await client.get("/healthz"), await client.get("/readyz")
    assert (alive.status_code, alive.text) == (200, "ok\n")
    assert (ready.status_code, ready.text) == (503, "store: disk full\nshutting down\n")
    assert await _status("/readyz") == 200


TOKEN = Access(token="s3cret")
BASIC = Access(user="prom", password="pässword")
BOTH = Access(token="s3cret", user="prom", password="pässword")


@pytest.mark.parametrize(
    ("access", "authorization", "status"),
    [
        (TOKEN, None, 401),
        (TOKEN, "Bearer wrong", 401),
        (TOKEN, "Bearer s3cret", 200),
        (TOKEN, "bearer s3cret", 200),
        (TOKEN, "Bearer s3cret2", 401),
        (TOKEN, "Basic cHJvbTpzM2NyZXQ=", 401),
        (BASIC, "Bearer pässword".encode().decode("latin-1"), 401),
        (BASIC, "Basic !!!", 401),
        (BASIC, "Basic cHJvbTpww6Rzc3dvcmQ=", 200),
        (BASIC, "Basic cHJvbTp3cm9uZw==", 401),
        (BOTH, "Bearer s3cret", 200),
        (BOTH, "Basic cHJvbTpww6Rzc3dvcmQ=", 200),
        (Access(), "Bearer whatever", 200),
    ],
)
async def test_the_page_is_for_those_who_have_the_credentials(
    access: Access, authorization: str | None, status: int
) -> None:
    async with serving(access=access) as client:
        headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
        answer = await client.get("/metrics", headers=headers)  # type: ignore[arg-type]
        health = await client.get("/healthz")
    assert answer.status_code == status
    assert health.status_code == 200
    if status == 401:
        assert answer.headers["www-authenticate"] == access.challenge
        assert "ocpp_" not in answer.text


def test_a_challenge_names_each_way_in_and_no_secret_is_printed() -> None:
    assert BOTH.challenge == 'Bearer realm="wattspan", Basic realm="wattspan"'
    assert "s3cret" not in repr(BOTH)
    assert "pässword" not in repr(BOTH)


async def test_tls(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    async with serving(tls_cert=cert, tls_key=key) as client:
        assert (await client.get("/healthz")).text == "ok\n"


async def test_a_certificate_that_cannot_be_read_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for cert in (broken, tmp_path / "missing.pem"):
        with pytest.raises(SettingsError, match="certificate or key can't be used"):
            async with serving(tls_cert=cert, tls_key=cert):
                pass


async def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        app = metrics_app(PrometheusReader(state()), ready=tuple)
        with pytest.raises(SettingsError) as caught:
            await HttpServer(app, host="127.0.0.1", port=port).start()
    (fault,) = caught.value.faults
    assert fault == f"metrics port 127.0.0.1:{port}: Address already in use; choose another with --metrics-port"


async def test_signals_stay_the_applications() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    async with serving():
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


async def test_after_stop_the_port_is_free_at_once_and_stopping_twice_is_nothing() -> None:
    app = metrics_app(PrometheusReader(state()), ready=tuple)
    server = HttpServer(app, host="127.0.0.1", port=0)
    await server.start()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{server.port}/healthz")).status_code == 200
        await asyncio.gather(server.stop(), server.stop())
    again = HttpServer(app, host="127.0.0.1", port=server.port)
    await again.start()
    await again.stop()


async def test_a_stop_waits_for_no_tick_and_closes_idle_connections() -> None:
    app = metrics_app(PrometheusReader(state()), ready=tuple)
    taken_s = []
    async with httpx.AsyncClient() as client:
        for _ in range(5):
            server = HttpServer(app, host="127.0.0.1", port=0)
            await server.start()
            await client.get(f"http://127.0.0.1:{server.port}/healthz")
            begun_s = time.perf_counter()
            await server.stop()
            taken_s.append(time.perf_counter() - begun_s)
    assert min(taken_s) < 0.1  # uvicorn's own stop takes 0.1 s to 0.2 s


@contextlib.asynccontextmanager
async def answering(
    answer: Callable[[Request], Awaitable[Response]],
) -> AsyncIterator[tuple[HttpServer, httpx.AsyncClient]]:
    """A server of any path, and its client."""
    server = HttpServer(Starlette(routes=[Route("/", answer)]), host="127.0.0.1", port=0)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield server, client


async def test_a_stop_lets_running_answers_finish(caplog: pytest.LogCaptureFixture) -> None:
    reached, released = asyncio.Event(), asyncio.Event()

    async def answer(_request: Request) -> Response:
        reached.set()
        await released.wait()
        return PlainTextResponse("done")

    async with answering(answer) as (server, client):
        slow = asyncio.create_task(client.get("/"))
        await reached.wait()
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        released.set()
        assert (await slow).text == "done"
        await stopping
    assert caplog.records == []


async def test_a_stop_cuts_off_running_answers_that_do_not_finish(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reached = asyncio.Event()

    async def answer(_request: Request) -> Response:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError("it was not cut off")

    monkeypatch.setattr(http, "STOP_S", 0.05)
    async with answering(answer) as (server, client):
        endless = asyncio.create_task(client.get("/"))
        await reached.wait()
        await server.stop()
        assert (await endless).status_code == 500
    assert "1 running answers are cut off" in caplog.text
    assert "Traceback" not in caplog.text


async def test_the_date_is_renewed_while_the_server_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TICK_S", 0.01)
    async with serving() as client:
        first = (await client.get("/healthz")).headers["date"]

        async def renewed() -> bool:
            return (await client.get("/healthz")).headers["date"] != first

        await eventually(renewed)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_unfinished_tls_handshakes_are_bounded(certificate: tuple[Path, Path], new_loop: LoopFactory) -> None:
    cert, key = certificate

    async def check() -> None:
        app = metrics_app(PrometheusReader(state()), ready=tuple)
        server = HttpServer(app, host="127.0.0.1", port=0, tls_cert=cert, tls_key=key, max_connections=8)
        await server.start()
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
        async with httpx.AsyncClient(verify=False) as client:  # noqa: S501  a certificate of this test
            answers = await asyncio.gather(*(client.get(f"https://127.0.0.1:{server.port}/healthz") for _ in range(3)))
        assert {answer.text for answer in answers} == {"ok\n"}
        await eventually(lambda: sum(reader.at_eof() for reader, _ in silent) >= 40)
        for _, writer in silent:
            writer.close()
        await server.stop()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(check())


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate

    async def check() -> bytes:
        app = metrics_app(PrometheusReader(state()), ready=tuple)
        server = HttpServer(app, host="127.0.0.1", port=0, tls_cert=cert, tls_key=key)
        await server.start()
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await server.stop()
        return answer

    for new_loop in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(check()).startswith(b"HTTP/1.1 200 OK")
