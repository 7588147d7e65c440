"""What one peer can do by the content of messages: many kilobytes, and more meaning than they need."""

import asyncio
import json
import random
import struct
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import httpx

from attack.target import Target
from support.chargers import START, energy, meter_values, stop
from support.raw import CLOSE, PING, PONG, TEXT, RawCharger, RawFrame, masked

ENERGY = "Energy.Active.Import.Register"


async def built(build: Callable[..., bytes], *args: object) -> bytes:
    """Build a message in another process. In this one, the charge point that is measured would wait for it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return await asyncio.get_running_loop().run_in_executor(process, build, *args)


async def new_shapes(server: Target, seconds: float) -> str:
    """Send MeterValues of 4,000 samples that have never the same measurands twice."""
    numbers, until, rng = 0, time.perf_counter() + seconds, random.Random(1)
    async with server.peer() as peer:
        while time.perf_counter() < until:
            sampled = [{"value": "1", "measurand": chr(rng.randrange(65, 90))} for _ in range(4_000)]
            peer.write(json.dumps([2, str(numbers), "MeterValues", meter_values(None, *sampled)]).encode())
            try:
                await answer(peer)
            except (ConnectionError, asyncio.IncompleteReadError):  # a flooder is closed
                break
            numbers += 1
    return f"{numbers} shapes"


async def middling(server: Target, seconds: float) -> str:
    """Send MeterValues of 240 kB with 16,000 readings, just below what is parsed off the event loop."""
    values = [{"timestamp": f"2026-11-21T10:{n:02}:00Z", "sampledValue": [{"value": "1"}] * 900} for n in range(18)]
    call = json.dumps([2, "m", "MeterValues", {"connectorId": 1, "meterValue": values}], separators=(",", ":"))
    return await _sent_again(server, seconds, call)


async def invalid(server: Target, seconds: float) -> str:
    """Send MeterValues of 4 MB with 130,000 measurands that OCPP does not have."""
    return await _sent_again(server, seconds, (await built(_invalid)).decode())


def _invalid() -> bytes:
    sampled = [{"value": "1", "measurand": chr(65 + n % 60)} for n in range(1_000)]
    values = [{"timestamp": f"2026-11-21T{n // 60:02}:{n % 60:02}:00Z", "sampledValue": sampled} for n in range(130)]
    return json.dumps([2, "i", "MeterValues", {"connectorId": 1, "meterValue": values}]).encode()


async def _sent_again(server: Target, seconds: float, call: str) -> str:
    until, count = time.perf_counter() + seconds, 0
    async with server.peer() as peer:
        while time.perf_counter() < until:
            peer.write(call.encode())
            try:
                frame = await asyncio.wait_for(answer(peer), seconds + 20)
            except (ConnectionError, asyncio.IncompleteReadError):  # a flooder is closed
                break
            count += frame.data.startswith(b"[3")
    return f"{count} answered"


async def answer(peer: RawCharger) -> RawFrame:
    """Return the next text frame; answer pings before it."""
    while (frame := await peer.read()).opcode != TEXT:
        if frame.opcode == PING:
            peer.write(frame.data, PONG)
        elif frame.opcode == CLOSE:
            break
    return frame


MEASURANDS = (ENERGY, "Current.Import", "Power.Active.Import", "Voltage", "SoC", "Current.Offered", "Temperature")
"""Of one MeterValue, each once."""


async def large_stop(server: Target, seconds: float) -> str:
    """Send a StopTransaction of nearly 16 MiB, as a charger does after a day."""
    return await _stopped(server, seconds, _day, MEASURANDS)


async def repeated_samples(server: Target, seconds: float) -> str:
    """Send a StopTransaction of nearly 16 MiB whose MeterValues have the same sample seven times."""
    return await _stopped(server, seconds, _day, (ENERGY,) * len(MEASURANDS))


async def one_list(server: Target, seconds: float) -> str:
    """Send a StopTransaction with one MeterValue of 140,000 samples, each a reading of its own."""
    return await _stopped(server, seconds, _one_list)


def _day(transaction: int, measurands: tuple[str, ...]) -> bytes:
    def value(number: int) -> dict[str, Any]:
        rest = {"unit": "Wh", "context": "Sample.Periodic", "location": "Outlet"}
        time_of_day = f"{number // 3_600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
        sampled = [{"value": "16.0", "measurand": each, **rest} for each in measurands]
        sampled[0]["value"] = f"{2_000 + number}.5"
        return {"timestamp": f"2026-11-20T{time_of_day}Z", "sampledValue": sampled}

    return _stop(transaction, [value(number) for number in range(16_500_000 // len(json.dumps(value(0))))])


def _one_list(transaction: int) -> bytes:
    samples = [{"value": str(1_000 + number)} for number in range(140_000)]
    return _stop(transaction, [{"timestamp": "2026-11-21T10:30:00Z", "sampledValue": samples}])


def _short(transaction: int) -> bytes:
    return _stop(transaction, [{"timestamp": "2026-11-21T10:30:00Z", "sampledValue": [{"value": "1"}]}] * 190_000)


def _stop(transaction: int, data: list[dict[str, Any]]) -> bytes:
    return json.dumps([2, "e", "StopTransaction", stop(transaction, transactionData=data)]).encode()


async def _stopped(server: Target, seconds: float, build: Callable[..., bytes], *args: object) -> str:
    async with server.peer() as peer:
        peer.write(json.dumps([2, "s", "StartTransaction", START]).encode())
        transaction = json.loads((await peer.read()).data)[2]["transactionId"]
        peer.write(await built(build, transaction, *args))
        frame = await asyncio.wait_for(answer(peer), seconds + 20)
    return "stored" if frame.data.startswith(b'[3,"e"') else f"refused: {frame.data[:80]!r}"


async def long_text(server: Target, seconds: float) -> str:
    """Send a DataTransfer of one text of nearly 16 MiB, one character of which takes four bytes."""
    async with server.peer() as peer:
        peer.write(b'[2,"e","DataTransfer",{"vendorId":"V","data":"\xf0\x9f\x94\x8c' + b"x" * 16_500_000 + b'"}]')
        frame = await asyncio.wait_for(answer(peer), seconds + 20)
    return "refused" if frame.data.startswith(b'[4,"e"') else "accepted"


async def large_event(server: Target, seconds: float) -> str:
    """Send a TransactionEvent of nearly as many MeterValues as a message may have, each of another time."""
    async with server.peer(Sec_WebSocket_Protocol="ocpp2.0.1") as peer:
        peer.write(await built(_event))
        frame = await asyncio.wait_for(answer(peer), seconds + 20)
    return "stored" if frame.data.startswith(b'[3,"e"') else f"refused: {frame.data[:80]!r}"


def _event() -> bytes:
    values = [
        {
            "timestamp": f"2026-11-{1 + n // 14_400:02}T{n // 3_600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}Z",
            "sampledValue": [{"value": 1_000 + n, "context": "Sample.Periodic", "measurand": ENERGY}],
        }
        for n in range(58_000)
    ]
    event = {
        "eventType": "Ended",
        "timestamp": "2026-11-21T12:00:00Z",
        "triggerReason": "EVDeparted",
        "seqNo": 1,
        "transactionInfo": {"transactionId": "T1"},
        "evse": {"id": 1},
        "meterValue": values,
    }
    return json.dumps([2, "e", "TransactionEvent", event]).encode()


async def short_samples(server: Target, seconds: float) -> str:
    """Send a StopTransaction of 190,000 MeterValues, which take 110 MiB when parsed."""
    async with server.peer() as peer:
        peer.write(await built(_short, 1))
        frame = await asyncio.wait_for(answer(peer), seconds + 20)
    return "refused" if frame.data.startswith(b'[4,"e"') else f"not refused: {frame.data[:80]!r}"


async def many_values(server: Target, seconds: float) -> str:
    """Send 16 MiB of empty lists, which take 27 times as much when parsed."""
    async with server.peer() as peer:
        peer.write(b'[2,"e","DataTransfer",{"data":[' + b"[]," * 5_500_000 + b"1]}]")
        frame = await asyncio.wait_for(answer(peer), seconds + 20)
    return "refused" if frame.data.startswith(b'[4,"e"') else "accepted"


async def left_behind(server: Target, _seconds: float) -> str:
    """Send StopTransaction and reset the connection at once, 24 times."""
    for number in range(24):
        async with server.peer(f"/ws/LEAVES{number}") as peer:
            peer.write(json.dumps([2, "s", "StartTransaction", START]).encode())
            transaction = json.loads((await peer.read()).data)[2]["transactionId"]
            calls = [meter_values(transaction, energy(2_000 + n)) for n in range(5)]
            texts = [json.dumps([2, str(n), "MeterValues", each]) for n, each in enumerate(calls)]
            texts.append(json.dumps([2, "e", "StopTransaction", stop(transaction)]))
            peer.writer.write(
                b"".join(masked(text.encode()) for text in texts) + masked(struct.pack("!H", 1000), CLOSE)
            )
            await peer.writer.drain()
    await asyncio.sleep(2)
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501
        page = (await client.get(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=20)).text
    kept = sum(
        line.startswith('ocpp_cp_energy_total_wh{cp_id="LEAVES') and float(line.split()[-1]) == 7500
        for line in page.splitlines()
    )
    return f"{24 - kept} of 24 lost"
