"""`make attack`: what one peer can do to others, over real sockets on 127.0.0.1. Prints each figure and its bound.

The server is a process of its own. While a peer attacks, a registered charge point sends Heartbeats; its longest wait
and the growth of the server's memory are the figures. `--short` takes about a minute, and allows longer waits, because
machines that test are busy.
"""

import argparse
import asyncio
import base64
import resource
import sys
import time
from dataclasses import dataclass

import httpx
import uvloop

from attack import floods, http, large, plugins
from attack.server import GUARDED, SECRET
from attack.target import Attack, Target, heartbeat, target
from support.raw import PING, masked

MAX_WAIT_S = 0.1
MAX_WAIT_WHILE_BUILDING_S = 0.5
"""While a thread builds the API's description, once."""
MAX_WAIT_OF_PLUGINS_S = 1.5
"""A plugin may keep the event loop busy for 1 s, once, before it is interrupted."""
MAX_GROWTH_MIB = 64.0
SHORTER_S = 15.0
"""For what is no flood."""
CLOSED = "closed with"
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


async def guesses(server: Target, seconds: float) -> str:
    """Guess the secret of a charge point from its own address, while it connects with the right one."""

    async def status(secret: str) -> int:
        basic = base64.b64encode(f"{GUARDED}:{secret}".encode()).decode()
        async with server.peer(f"/ws/{GUARDED}", Authorization=f"Basic {basic}") as peer:
            return peer.status

    async def guess() -> list[int]:
        found = []
        while time.perf_counter() < until:
            found.append(await status("wrong"))
        return found

    until = time.perf_counter() + seconds
    guessing = asyncio.gather(*(guess() for _ in range(8)))
    admitted, longest = [], 0.0
    while time.perf_counter() < until:
        began = time.perf_counter()
        admitted.append(await status(SECRET))
        longest = max(longest, time.perf_counter() - began)
        await asyncio.sleep(0.1)
    refused = [each for found in await guessing for each in found]
    verdict = "right secret in" if {*admitted} == {101} and {*refused} <= {401, 429} else "wrong"
    return f"{verdict}: {len(admitted)} times, in {longest * 1e3:.0f} ms, beside {len(refused)} guesses"


async def misbehave(server: Target, seconds: float) -> str:
    """Send the Heartbeat at which the plugins misbehave, and count those that failed."""
    async with server.peer() as peer:
        await heartbeat(peer)
        await asyncio.sleep(max(seconds, 18.0))  # one that stays is given 10 s, and is cancelled
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501
        page = (await client.get(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=20)).text
    failed = [each.name for each in plugins.ALL if f'ocpp_central_plugin_errors_total{{plugin="{each.name}"' in page]
    return f"counted: {', '.join(failed)}" if failed else "not counted"


ATTACKS: dict[str, tuple[Attack, dict[str, object], str, float, float]] = {
    "pings, 1 MB/s": (floods.flood(masked(b"", PING)), {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "Heartbeats, 1 MB/s": (floods.flood(masked(b'[2,"h","Heartbeat",{}]')), {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "junk, 1 MB/s": (floods.flood(masked(b"junk")), {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "junk of 1 kB, 1 MB/s": (floods.flood(masked(b"x" * 1_000)), {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "250 kB of deflated MeterValues": (floods.bomb, {}, "", MAX_WAIT_S, MAX_GROWTH_MIB),
    "41 MB of MeterValues, answers unread": (floods.unread, {}, "", MAX_WAIT_S, MAX_GROWTH_MIB),
    "4 strangers, 1 MB/s each": (
        floods.strangers,
        {"unknown_charge_points": "pending"},
        "/readyz 200",
        MAX_WAIT_S,
        MAX_GROWTH_MIB,
    ),
    "empty continuation frames": (floods.empty_fragments, {}, "closed with 1008", MAX_WAIT_S, MAX_GROWTH_MIB),
    "fragments of one byte": (floods.fragments, {}, CLOSED, MAX_WAIT_S, MAX_GROWTH_MIB),
    "connections that stay silent": (floods.silent, {}, "admitted", MAX_WAIT_S, MAX_GROWTH_MIB),
    "samples of ever new shapes": (large.new_shapes, {}, "", MAX_WAIT_S, MAX_GROWTH_MIB),
    "MeterValues of 240 kB": (large.middling, {}, "", MAX_WAIT_S, MAX_GROWTH_MIB),
    "MeterValues of 130,000 faults": (large.invalid, {}, "", MAX_WAIT_S, MAX_GROWTH_MIB),
    "16 MiB of empty lists": (large.many_values, {}, "refused", MAX_WAIT_S, MAX_GROWTH_MIB),
    "DataTransfer of one text of 16 MiB": (large.long_text, {}, "refused", MAX_WAIT_S, MAX_GROWTH_MIB),
    "StopTransaction of 16 MiB": (large.large_stop, {}, "stored", MAX_WAIT_S, MAX_GROWTH_MIB),
    "StopTransaction of repeated samples": (large.repeated_samples, {}, "refused", MAX_WAIT_S, MAX_GROWTH_MIB),
    "StopTransaction of one long list": (large.one_list, {}, "refused", MAX_WAIT_S, MAX_GROWTH_MIB),
    "TransactionEvent of 58,000 readings": (large.large_event, {}, "stored", MAX_WAIT_S, MAX_GROWTH_MIB),
    "StopTransaction of very short samples": (large.short_samples, {}, "refused", MAX_WAIT_S, MAX_GROWTH_MIB),
    "StopTransaction, then closed at once": (large.left_behind, {}, "0 of 24 lost", MAX_WAIT_S, MAX_GROWTH_MIB),
    "1,100 begun bodies": (http.begun_bodies, {}, "a charger is admitted", MAX_WAIT_S, MAX_GROWTH_MIB),
    "HTTP answers unread": (http.unread_answers, {}, "", MAX_WAIT_WHILE_BUILDING_S, MAX_GROWTH_MIB),
    "pipelined HTTP requests": (http.pipelined, {}, "bounded", MAX_WAIT_S, MAX_GROWTH_MIB),
    "no HTTP, and requests that are none": (http.no_http, {}, "refused", MAX_WAIT_S, MAX_GROWTH_MIB),
    "5 right logins at once": (http.right_logins, {}, "5 of 5 in", MAX_WAIT_S, MAX_GROWTH_MIB),
    "a Collector's endless answer": (http.endless_answer, {}, "read little", MAX_WAIT_S, MAX_GROWTH_MIB),
    "guesses from a charger's own address": (guesses, {}, "right secret in", MAX_WAIT_S, MAX_GROWTH_MIB),
    "plugins that exit, block and stay": (
        misbehave,
        {"bad_plugins": True},
        "counted: exits, blocks, stays",
        MAX_WAIT_OF_PLUGINS_S,
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
