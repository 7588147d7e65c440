"""What one peer can do by WebSocket frames: floods, compression, fragments, silence."""

import asyncio
import json
import struct
import time
import zlib
from contextlib import suppress

import httpx

from attack import http
from attack.target import Attack, Target, heartbeat
from support.chargers import energy, meter_values
from support.raw import CONTINUATION, RawCharger, masked

RATE = 1_000_000
"""Bytes a second of a flood."""
STEP_S = 0.02
MAX_SILENT = 2_000
"""Connections that send nothing."""


async def ends(peer: RawCharger) -> str:
    """Read until the server closes, and return how. To parse all frames would slow down what is measured."""
    last = b""
    with suppress(ConnectionError):
        while data := await peer.reader.read(1 << 18):
            last = (last + data)[-200:]
    at = last.rfind(b"\x88")  # the close frame is the last one
    code = struct.unpack("!H", last[at + 2 : at + 4])[0] if 0 <= at <= len(last) - 4 else 1006
    return f"closed with {code}"


async def sent(peer: RawCharger, data: bytes, seconds: float, rate: int = RATE) -> None:
    """Send `data` again and again at `rate` bytes a second; end early if the peer is closed."""
    step = data * max(1, int(rate * STEP_S) // len(data))
    until = time.perf_counter() + seconds
    with suppress(ConnectionError):
        while time.perf_counter() < until and not peer.writer.is_closing():
            began = time.perf_counter()
            peer.writer.write(step)
            await peer.writer.drain()
            await asyncio.sleep(max(0.0, len(step) / rate - (time.perf_counter() - began)))


def flood(frame: bytes) -> Attack:
    """Return an attack that sends the frame at RATE."""

    async def attack(server: Target, seconds: float) -> str:
        async with server.peer() as peer:
            sending = asyncio.ensure_future(sent(peer, frame, seconds))
            ending = asyncio.ensure_future(ends(peer))
            await asyncio.wait([sending, ending], return_when=asyncio.FIRST_COMPLETED)
            outcome = ending.result() if ending.done() and not ending.exception() else "still open"
            for task in (sending, ending):
                task.cancel()
            await asyncio.gather(sending, ending, return_exceptions=True)
            return outcome

    return attack


def deflated(data: bytes, times: int) -> bytes:
    """Return the frame of a message, `times` over, each compressed with the ones before it as context."""
    packer = zlib.compressobj(9, wbits=-12)
    frames = bytearray()
    for _ in range(times):
        frame = bytearray(masked((packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]))
        frame[0] |= 0x40  # RSV1: compressed (RFC 7692 §6)
        frames += frame
    return bytes(frames)


async def bomb(server: Target, seconds: float) -> str:
    """Send 250 kB of compressed MeterValues, some 130 MB."""
    call = json.dumps([2, "b", "MeterValues", meter_values(None, *[energy(1)] * 9_000)]).encode()
    frames = deflated(call, 10)
    times = 250_000 // (len(frames) // 10)
    async with server.peer(Sec_WebSocket_Extensions="permessage-deflate") as peer:
        peer.writer.write(deflated(call, times))
        with suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(peer.writer.drain(), seconds)
        await asyncio.sleep(seconds)
    return f"{times * len(call) / 2**20:.0f} MiB unpacked"


async def unread(server: Target, seconds: float) -> str:
    """Send 41 MB of MeterValues, and read no answer."""
    calls = b"".join(
        masked(json.dumps([2, str(n), "MeterValues", meter_values(None, *[energy(n)] * 10)]).encode())
        for n in range(1_000)
    )
    async with server.peer() as peer:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(41_000_000 // len(calls)):
            peer.writer.write(calls)
        with suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(peer.writer.drain(), seconds)
    return ""


async def strangers(server: Target, seconds: float) -> str:
    """Four unregistered peers flood, and one asks for `/readyz`."""

    async def one(number: int) -> None:
        async with server.peer(f"/ws/NEW{number}") as peer:
            await sent(peer, masked(b'[2,"h","Heartbeat",{}]'), seconds)

    flooding = asyncio.gather(*(one(number) for number in range(4)))
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501
        answer = await client.get(f"http://127.0.0.1:{server.metrics_port}/readyz", timeout=5)
    await flooding
    return f"/readyz {answer.status_code}"


async def empty_fragments(server: Target, seconds: float) -> str:
    """Send one message of empty fragments."""
    async with server.peer() as peer:
        peer.write(b"[", final=False)
        sending = asyncio.ensure_future(sent(peer, masked(b"", CONTINUATION, final=False), seconds))
        with suppress(TimeoutError):
            outcome = await asyncio.wait_for(ends(peer), seconds)
            sending.cancel()
            return outcome
        return "still open"


async def fragments(server: Target, seconds: float) -> str:
    """Send one message of fragments of one byte."""
    async with server.peer() as peer:
        peer.write(b"[", final=False)
        sending = asyncio.ensure_future(sent(peer, masked(b" ", CONTINUATION, final=False), seconds))
        with suppress(TimeoutError):
            outcome = await asyncio.wait_for(ends(peer), seconds)
            sending.cancel()
            return outcome
        return "still open"


async def silent(server: Target, seconds: float) -> str:
    """Connect again and again, send nothing, and see whether a charge point is still admitted."""
    held: list[asyncio.StreamWriter] = []
    until, longest = time.perf_counter() + seconds, 0.0
    while time.perf_counter() < until:
        if len(held) < MAX_SILENT:
            held += [writer for _, writer in await http.connections(server.port, 100)]
        began = time.perf_counter()
        async with server.peer("/ws/LATE") as late:
            await heartbeat(late)
        longest = max(longest, time.perf_counter() - began)
    for writer in held:
        writer.transport.abort()
    return f"{'admitted' if longest < http.ADMITTED_S else 'late'} beside {len(held)}, in {longest * 1e3:.0f} ms"
