"""`make attack`: what one peer can do to others, over real sockets on 127.0.0.1. Prints each figure and its bound.

The server is a process of its own. While a peer attacks, a registered charge point sends Heartbeats; its longest wait
and the growth of the server's memory are the figures. `--short` takes about a minute, and allows longer waits, because
machines that test are busy.
"""

import argparse
import asyncio
import json
import resource
import struct
import sys
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass

import httpx
import uvloop

from attack import http
from attack.target import Attack, Target, heartbeat, target
from support.chargers import START, energy, meter_values, stop
from support.raw import CLOSE, CONTINUATION, PING, RawCharger, masked

MAX_WAIT_S = 0.1
MAX_WAIT_WHILE_BUILDING_S = 0.5
"""While a thread builds the API's description, once."""
MAX_GROWTH_MIB = 64.0
MAX_GROWTH_LARGE_MIB = 200.0
"""While one large message is processed."""
RATE = 1_000_000
"""Bytes a second of a flood."""
STEP_S = 0.02
SHORTER_S = 15.0
"""For what is no flood."""
CLOSED = "closed with"
NO_LIMIT = float("inf")
ENERGY = "Energy.Active.Import.Register"
SHORT_FACTOR = 5
"""By which a wait may be longer in the short form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured. `outcome`: what became of the attacker."""

    wait_s: float
    growth_mib: float
    outcome: str = ""


async def measure(server: Target, attack: Attack, seconds: float) -> Figure:
    """Run the attack beside a charge point that sends Heartbeats."""
    async with server.peer("/ws/VICTIM0") as victim:
        for _ in range(20):  # warm
            await heartbeat(victim)
        before = server.resident_mib()
        attacking = asyncio.ensure_future(attack(server, seconds))
        longest = most = 0.0
        while not attacking.done():
            longest = max(longest, await heartbeat(victim))
            most = max(most, server.resident_mib())
            await asyncio.sleep(0.005)
        for _ in range(10):
            longest = max(longest, await heartbeat(victim))
            most = max(most, server.resident_mib())
    return Figure(wait_s=longest, growth_mib=most - before, outcome=await attacking)


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


async def large_stop(server: Target, seconds: float) -> str:
    """Send a StopTransaction of nearly 16 MiB, as a charger does after a day."""
    async with server.peer() as peer:
        peer.write(json.dumps([2, "s", "StartTransaction", START]).encode())
        transaction = json.loads((await peer.read()).data)[2]["transactionId"]
        sampled = {"value": "2000.5", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        sampled |= {"context": "Sample.Periodic", "location": "Outlet"}
        each = {"timestamp": "2026-11-21T10:30:00Z", "sampledValue": [sampled] * 8}
        data = [each] * (16_500_000 // len(json.dumps(each)))
        peer.write(json.dumps([2, "e", "StopTransaction", stop(transaction, transactionData=data)]).encode())
        frame = await asyncio.wait_for(peer.read(), seconds + 20)
    return "stored" if frame.data.startswith(b'[3,"e"') else f"refused: {frame.data[:80]!r}"


async def large_event(server: Target, seconds: float) -> str:
    """Send a TransactionEvent of nearly as many MeterValues as a message may have, each of another time."""
    async with server.peer(Sec_WebSocket_Protocol="ocpp2.0.1") as peer:
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
        peer.write(json.dumps([2, "e", "TransactionEvent", event]).encode())
        frame = await asyncio.wait_for(peer.read(), seconds + 20)
    return "stored" if frame.data.startswith(b'[3,"e"') else f"refused: {frame.data[:80]!r}"


async def short_samples(server: Target, seconds: float) -> str:
    """Send a StopTransaction of 190,000 MeterValues, which take 110 MiB when parsed."""
    each = {"timestamp": "2026-11-21T10:30:00Z", "sampledValue": [{"value": "1"}]}
    async with server.peer() as peer:
        peer.write(json.dumps([2, "e", "StopTransaction", stop(1, transactionData=[each] * 190_000)]).encode())
        frame = await asyncio.wait_for(peer.read(), seconds + 20)
    return "refused" if frame.data.startswith(b'[4,"e"') else f"not refused: {frame.data[:80]!r}"


async def many_values(server: Target, seconds: float) -> str:
    """Send 16 MiB of empty lists, which take 27 times as much when parsed."""
    async with server.peer() as peer:
        peer.write(b'[2,"e","DataTransfer",{"data":[' + b"[]," * 5_500_000 + b"1]}]")
        frame = await asyncio.wait_for(peer.read(), seconds + 20)
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


ATTACKS: dict[str, tuple[Attack, dict[str, object], str, float, float]] = {
    "pings, 1 MB/s": (flood(masked(b"", PING)), {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "Heartbeats, 1 MB/s": (flood(masked(b'[2,"h","Heartbeat",{}]')), {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "junk, 1 MB/s": (flood(masked(b"junk")), {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "junk of 1 kB, 1 MB/s": (flood(masked(b"x" * 1_000)), {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "250 kB of deflated MeterValues": (bomb, {}, "", NO_LIMIT, MAX_GROWTH_MIB),
    "41 MB of MeterValues, answers unread": (unread, {}, "", MAX_WAIT_S, MAX_GROWTH_MIB),
    "4 strangers, 1 MB/s each": (
        strangers,
        {"unknown_charge_points": "pending"},
        "/readyz 200",
        MAX_WAIT_S,
        MAX_GROWTH_MIB,
    ),
    "empty continuation frames": (empty_fragments, {}, "closed with 1008", MAX_WAIT_S, MAX_GROWTH_MIB),
    "16 MiB of empty lists": (many_values, {}, "refused", NO_LIMIT, MAX_GROWTH_MIB),
    "StopTransaction of 16 MiB": (large_stop, {}, "stored", MAX_WAIT_S, MAX_GROWTH_LARGE_MIB),
    "TransactionEvent of 58,000 readings": (large_event, {}, "stored", MAX_WAIT_S, MAX_GROWTH_LARGE_MIB),
    "StopTransaction of very short samples": (short_samples, {}, "refused", MAX_WAIT_S, MAX_GROWTH_LARGE_MIB),
    "StopTransaction, then closed at once": (left_behind, {}, "0 of 24 lost", NO_LIMIT, NO_LIMIT),
    "1,100 begun bodies": (http.begun_bodies, {}, "a charger is admitted", NO_LIMIT, MAX_GROWTH_MIB),
    "HTTP answers unread": (http.unread_answers, {}, "", MAX_WAIT_WHILE_BUILDING_S, MAX_GROWTH_MIB),
    "pipelined HTTP requests": (http.pipelined, {}, "bounded", MAX_WAIT_S, MAX_GROWTH_MIB),
    "no HTTP, and requests that are none": (http.no_http, {}, "refused", MAX_WAIT_S, MAX_GROWTH_MIB),
    "5 right logins at once": (http.right_logins, {}, "5 of 5 in", NO_LIMIT, NO_LIMIT),
    "a Collector's endless answer": (
        http.endless_answer,
        {},
        "read little",
        MAX_WAIT_S,
        MAX_GROWTH_MIB,
    ),
}
"""By name: the attack, the server's settings, how the outcome begins, the longest wait and the growth allowed."""


async def run(names: list[str], seconds: float, must_close: bool) -> int:
    """Run the attacks one after the other and print a line each; return how many figures do not hold."""
    failed = 0
    print(f"{'attack':<40} {'wait':>9} {'memory':>11}  outcome")
    for name in names:
        attack, settings, expected, wait_s, growth = ATTACKS[name]
        environment = await http.COLLECTOR.start() if attack is http.endless_answer else {}
        async with target(environment, **settings) as server:
            found = await measure(server, attack, seconds if expected == CLOSED else min(seconds, SHORTER_S))
        outcome_holds = found.outcome.startswith(expected) or (expected == CLOSED and not must_close)
        holds = (
            found.wait_s < (wait_s if must_close else wait_s * SHORT_FACTOR)
            and found.growth_mib < growth
            and outcome_holds
        )
        failed += not holds
        verdict = "" if holds else "  FAILED"
        print(
            f"{name:<40} {found.wait_s * 1e3:>6.0f} ms {found.growth_mib:>+7.0f} MiB  {found.outcome}{verdict}",
            flush=True,
        )
    return failed


def main() -> int:
    """Return 1 if any figure does not hold."""
    arguments = argparse.ArgumentParser(prog="make attack", description=__doc__)
    arguments.add_argument("--short", action="store_true", help="3 seconds each: who floods is not closed by then")
    arguments.add_argument("--only", action="append", choices=sorted(ATTACKS), help="only this attack")
    chosen = arguments.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    seconds = 3.0 if chosen.short else 60.0
    return int(uvloop.run(run(chosen.only or list(ATTACKS), seconds, not chosen.short)) > 0)


if __name__ == "__main__":
    sys.exit(main())
