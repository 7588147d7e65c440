"""Which alerts a fleet over two weeks of history must raise, which it may, and who should be told."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from stack.alerting import Receivers
from stack.fortnight import Fortnight
from stack.fortnight_company import errors_told
from stack.fortnight_seen import LONG_RUN_S
from stack.process import eventually
from stack.servers import Prometheus
from support import waiting
from wattspan.simulator import Ledger

Fired = tuple[str, str]
"""An alert's name, and whom it is about: charge point, error or job."""
ON_CALL = "on-call@wattspan.internal"
WITHIN_S = 60.0
"""A scrape, an evaluation, and patience."""


async def odd_alerts(fortnight: Fortnight, ledger: Ledger, fleet_s: int, left_s: float) -> list[str]:
    """Alerts that should have fired and did not, or fired and should not have, on either page; and who was told.

    `left_s`: Unix time when all had hung up; five minutes later they are missed.
    """
    must, may = script(ledger, fleet_s)
    wrong = []
    for page, prometheus in fortnight.pages.items():
        fired_by_now = partial(firing, prometheus, fortnight.began_s, left_s + 240)
        with suppress(AssertionError):
            await eventually(partial(have_fired, must, fired_by_now), within_s=WITHIN_S)
        fired = await fired_by_now()
        wrong += [f"{page}: {alert} of {whom!r} did not fire" for alert, whom in sorted(must - fired)]
        wrong += [
            f"{page}: {alert} of {whom!r} fired"
            for alert, whom in sorted(fired - must)
            if not {(alert, whom), (alert, "*")} & may
        ]
    return wrong + await untold(fortnight.receivers)


async def have_fired(wanted: set[Fired], fired: Callable[[], Awaitable[set[Fired]]]) -> bool:
    return await fired() >= wanted


async def untold(receivers: Receivers) -> list[str]:
    """Who was not told, once routes have waited as they do."""
    told = {
        "the webhook of EnergyJump": lambda: receivers.posted("EnergyJump", "firing", cp_id="ODD"),
        "on-call of NearCurrentLimit": lambda: receivers.mailed(ON_CALL, "[FIRING] NearCurrentLimit", "NEAR"),
    }
    wrong = []
    for whom, holds in told.items():
        try:
            await waiting.eventually(holds, within_s=WITHIN_S)
        except AssertionError:
            wrong.append(f"nobody told {whom}")
    return wrong


async def firing(prometheus: Prometheus, since_s: float, until_s: float) -> set[Fired]:
    """Name, and charge point or job, of every alert that fired; those of the machine itself left out."""
    found = await prometheus.over(
        'ALERTS{alertstate="firing", component!="host"}', begin_s=since_s, end_s=min(time.time(), until_s), step_s=5
    )
    return {
        (labels["alertname"], " ".join(labels[name] for name in ("cp_id", "error_type", "job") if name in labels))
        for labels, _ in found
    }


def script(ledger: Ledger, fleet_s: int) -> tuple[set[Fired], set[Fired]]:
    """What must have fired by what happened, and what may have (a charge point `*`: any)."""
    notices = errors_told(ledger).keys() | {("FAULTY", "GroundFailure")}
    must: set[Fired] = {("ChargePointErrorDetected", f"{cp_id} {code}") for cp_id, code in notices}
    must |= {("Watchdog", ""), ("EnergyJump", "ODD"), ("ChargePointRebootDuringTransaction", "ODD")}
    must |= {("CommandTimedOut", "ODD Timeout"), ("CommandRejected", "ODD"), ("NearCurrentLimit", "NEAR")}
    must |= {("AccountLockedOut", "wattspan")}
    in_time = {("ChargePointDisconnected", "GONE"), ("ChargePointDisconnected", "ODD"), ("HighErrorRate", "FAULTY")}
    in_time |= {("ChargePointMultipleReboots", "ODD"), ("ChargePointMultipleDisconnects", "ODD")}
    may = {
        ("CommandBudgetBurn", "*"),  # one of two commands failed
        ("ChargePointStaleHeartbeat", "GONE"),
        ("ChargePointStaleHeartbeat", "ODD"),
        ("ChargePointStaleTransaction", "ODD"),  # its transaction has a date
        ("CriticalAlertUnresolved", "*"),
    }
    for cp_id, figures in ledger.charge_points.items():
        if figures.drops:
            may.add(("ChargePointRebootDuringTransaction", cp_id))
        if figures.boots > 1:
            may |= {("ChargePointMultipleReboots", cp_id), ("ChargePointMultipleDisconnects", cp_id)}
    return (must | in_time, may) if fleet_s >= LONG_RUN_S else (must, may | in_time)
