"""A night on call: fifteen faults, each followed from its alert to its cause by the runbook alone, within three steps.

A fault is caused on a real server. Its notification comes from Prometheus, with the shipped rules, by Alertmanager to a
webhook. From there on only the notification is known: its labels, and the `runbook_url` that leads to a section of
docs/runbooks.md. The steps are those of the section, in its order: paste the query, then look for the log line, then
one more (`stack.on_call`). All faults but two run beside each other, once for all tests of this file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack import night_faults as faults
from stack.night import Night
from stack.on_call import MAX_STEPS, Trail, follow

NIGHT_S = 300.0
"""How long all of it may take, on a machine that is busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, the alert that shows it, and the cause that the runbook leads to."""

    name: str
    happens: faults.Happens
    alert: str
    labels: dict[str, str]
    cause: Callable[[Trail], bool]
    alone: bool = False
    """Whether it comes after the others: it disturbs them, or must not be slowed down by them."""


def line(trail: Trail, event: str, **fields: Any) -> bool:
    """Whether a step found such a log line; `__` in a field's name stands for a dot."""
    wanted = {name.replace("__", "."): value for name, value in fields.items()}
    return any(wanted.items() <= found.items() for found in trail.lines.get(event, ()))


def none(trail: Trail, event: str) -> bool:
    """Whether a step looked for such log lines and found none."""
    return trail.lines.get(event) == []


FAULTS = (
    Fault(
        name="charger flaps",
        happens=faults.flaps,
        alert="ChargePointMultipleDisconnects",
        labels={"cp_id": "FLAPS"},
        cause=lambda trail: line(
            trail, "disconnect", cp_id="FLAPS", ws__close_code=1006, ocpp__last_message="Heartbeat"
        ),
    ),
    Fault(
        name="wrong password",
        happens=faults.wrong_password,
        alert="HandshakesRejected",
        labels={"reason": "credentials"},
        cause=lambda trail: line(trail, "handshake refused", cp_id="LOCKED-1", error__type="credentials"),
    ),
    Fault(
        name="Collector dead",
        happens=faults.collector_dead,
        alert="TelemetryDropped",
        labels={"signal": "traces"},
        cause=lambda trail: line(trail, "telemetry dropped", signal="traces", server__address=faults.DEAD_COLLECTOR),
    ),
    Fault(
        name="database slow",
        happens=faults.database_slow,
        alert="DatabaseLongTransaction",
        labels={"datname": "fleet_1"},
        cause=lambda trail: any("monthly report" in row and "LOCK TABLE" in str(row) for row in trail.rows),
        alone=True,
    ),
    Fault(
        name="fault code",
        happens=faults.fault_code,
        alert="ChargePointErrorDetected",
        labels={"cp_id": "FAULTY", "error_type": "GroundFailure"},
        cause=lambda trail: line(
            trail, "fault reported", cp_id="FAULTY", connector_id="1", ocpp__vendor_error_code="E42"
        ),
    ),
    Fault(
        name="stuck session",
        happens=faults.stuck_session,
        alert="ChargePointStuckTransaction",
        labels={"cp_id": "STUCK", "connector_id": "1"},
        cause=lambda trail: (
            line(trail, "transaction started", cp_id="STUCK") and line(trail, "disconnect", ws__close_code=1006)
        ),
    ),
    Fault(
        name="firmware loop",
        happens=faults.firmware_loop,
        alert="ChargePointMultipleReboots",
        labels={"cp_id": "LOOPS"},
        cause=lambda trail: line(trail, "boot", cp_id="LOOPS", ocpp__firmware="2.0-beta", ocpp__cause="UpdateFirmware"),
    ),
    Fault(
        name="clock off",
        happens=faults.clock_off,
        alert="ChargePointClockOff",
        labels={"cp_id": "BEHIND"},
        cause=lambda trail: any(
            abs(found["ocpp.clock_offset_s"] + 3600) < 5 for found in trail.lines.get("clock off", ())
        ),
    ),
    Fault(
        name="certificate about to end",
        happens=faults.certificate_ends,
        alert="ChargePointCertificateExpires",
        labels={"cp_id": "SECURE"},
        cause=lambda trail: line(trail, "certificate ends", cp_id="SECURE"),
    ),
    Fault(
        name="flood",
        happens=faults.flood,
        alert="ConnectionsClosedByLimit",
        labels={"reason": "flood"},
        cause=lambda trail: line(trail, "limit exceeded", cp_id="FLOODS", error__type="flood"),
    ),
    Fault(
        name="server restarted",
        happens=faults.server_restarted,
        alert="CentralSystemRestarting",
        labels={},
        cause=lambda trail: len(trail.lines["server started"]) > 2 and none(trail, "server stopped"),
        alone=True,
    ),
    Fault(
        name="plugin hangs",
        happens=faults.plugin_hangs,
        alert="PluginFailing",
        labels={"plugin": "hangs", "kind": "timeout"},
        cause=lambda trail: line(trail, "plugin failed", plugin="hangs", kind="timeout", cp_id="HANGS"),
    ),
    Fault(
        name="current above its limit",
        happens=faults.current_above_limit,
        alert="NearCurrentLimit",
        labels={"cp_id": "GREEDY", "connector_id": "1"},
        cause=lambda trail: (
            trail.value > 1 and line(trail, "charging profile set", cp_id="GREEDY", ocpp__charging_profile__limit=10.0)
        ),
    ),
    Fault(
        name="charger that never boots",
        happens=faults.never_boots,
        alert="ChargePointNotBooted",
        labels={"cp_id": "BOOTLESS"},
        cause=lambda trail: line(trail, "connect", cp_id="BOOTLESS", protocol="ocpp1.6") and none(trail, "boot"),
    ),
    Fault(
        name="passwords guessed",
        happens=faults.passwords_guessed,
        alert="FailedLoginBurst",
        labels={},
        cause=lambda trail: line(trail, "login failed", user__name="mallory", network__peer__address="127.0.0.1"),
    ),
)

Outcome = Trail | BaseException


@pytest.fixture(scope="module")
def trails(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Return where each fault's alert led, or what went wrong on the way."""
    return asyncio.run(whole_night(tmp_path_factory.mktemp("night")))


async def whole_night(folder: Path) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    async with Night.run(folder) as night:

        async def take(fault: Fault) -> None:
            try:
                async with asyncio.timeout(NIGHT_S), fault.happens(night):
                    notification = await night.notified(fault.alert, fault.labels)
                    outcomes[fault.name] = await follow(night, notification)
            except Exception as exc:  # noqa: BLE001  each test shows its own
                outcomes[fault.name] = exc

        await asyncio.gather(*(take(fault) for fault in FAULTS if not fault.alone))
        for fault in FAULTS:
            if fault.alone:
                await take(fault)
    return outcomes


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_runbook_leads_from_the_alert_to_the_cause(fault: Fault, trails: dict[str, Outcome]) -> None:
    trail = trails[fault.name]
    if isinstance(trail, BaseException):
        raise trail
    assert trail.labels.items() >= fault.labels.items()
    assert len(trail.steps) <= MAX_STEPS, trail.steps
    assert fault.cause(trail), trail


def test_each_fault_of_the_night_is_another_one() -> None:
    assert len({fault.alert for fault in FAULTS}) == len(FAULTS) == 15
