"""What strangers may send to an HTTP port of ours before a request has begun."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from support.waiting import WITHIN_S
from wattspan.http import protocol as http_protocol
from wattspan.http.server import HttpServer

ENOUGH = 4_000_000
"""Bytes that would be kept by a server without limits."""


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that tells a body's length."""
    server = HttpServer(Starlette(routes=[Route("/", echo, methods=["POST"])]), host="127.0.0.1", port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield reader, writer
    finally:
        writer.transport.abort()
        await server.stop()


async def poured(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What the server answers to bytes without end; b"" where it only hangs up. Fails where it takes them all."""
    try:
        for _ in range(ENOUGH // 10_000):
            writer.write(b"a" * 10_000)
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        return b""
    return await reader.read()


@pytest.mark.parametrize("begin", [b"", b"GET /", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nCookie: a="])
async def test_a_head_without_end_ends_the_connection(begin: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(begin)
        told = await poured(reader, writer)
    assert told == b"" or told.split()[1] in (b"400", b"431")


@pytest.mark.parametrize("begin", [b"0\r\nX: ", b"1;x="])
async def test_a_trailer_or_an_extension_without_end_ends_the_connection(begin: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n" + begin)
        assert b"HTTP/1.1 200" not in await poured(reader, writer)


async def test_a_head_that_is_too_long_is_answered_by_a_problem() -> None:
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * http_protocol.MAX_HEAD_BYTES + b"\r\n\r\n")
        told = await reader.read()
    assert told.startswith(b"HTTP/1.1 431 ")
    assert b"content-type: application/problem+json\r\n" in told


async def test_what_is_no_http_is_answered_by_a_problem() -> None:
    async with connected() as (reader, writer):
        writer.write(b"\x16\x03\x01 hello?\r\n\r\n")
        told = await reader.read()
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b'"status":400' in told


@pytest.mark.parametrize("begin", [b"", b"GET / HTTP/1.1\r\nHost"])
async def test_who_begins_no_request_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, begin: bytes) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.02)
    async with connected() as (reader, writer):
        writer.write(begin)
        assert await reader.read() == b""


async def test_a_long_body_and_one_in_many_small_pieces_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"a" * 300_000)
        assert (await reader.readuntil(b"300000")).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(http_protocol, "HEAD_S", 0.02)  # holds for the head alone
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"1\r\nb\r\n" * 30_000)
        await asyncio.sleep(http_protocol.HEAD_S * 2)
        writer.write(b"0\r\n\r\n")
        assert (await reader.read()).endswith(b"30000")
