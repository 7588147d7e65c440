"""What commands make a charge point do, whatever version asked for it.

A deed looks whether it can be done and returns what to do once the answer is sent; None: it can't be done.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from wattspan.simulator.connector import Connector, Reservation
from wattspan.simulator.facts import Summons
from wattspan.simulator.link import Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

Then = Callable[[], None]
STEP_S = 30.0
"""Simulated seconds between the steps of an upload or an installation."""


def connectors(cp: "ChargePoint", number: object) -> list[Connector]:
    """Those a command means: 0 is all."""
    return [connector for connector in cp.connectors if number in {0, connector.id}]


def remote_start(cp: "ChargePoint", number: int | None, summons: Summons, profile: Payload | None) -> Then | None:
    """A transaction begins at this connector (None: any), with this charging profile of its own."""
    candidates = cp.connectors if number is None else [c for c in cp.connectors if c.id == number]
    chosen = next((c for c in candidates if c.free and _may_use(c, summons.id_tag)), None)
    if chosen is None or (profile is not None and not cp.profiles.set(chosen.id, profile)):
        return None
    return partial(chosen.summon, summons)


def _may_use(connector: Connector, id_tag: str) -> bool:
    return connector.reservation is None or connector.reservation.id_tag == id_tag


def remote_stop(cp: "ChargePoint", transaction_id: object) -> Then | None:
    """The transaction of this id ends."""
    for connector in cp.connectors:
        if connector.transaction is not None and connector.transaction.id == transaction_id:
            return partial(connector.end_session, "Remote")
    return None


def reset(cp: "ChargePoint", reason: str) -> Then:
    """It boots anew, at once; what is under way ends for this `reason`."""
    return lambda: cp.spawn(cp.reboot(reason, "RemoteReset"))


def reset_when_idle(cp: "ChargePoint") -> Then:
    """It boots anew as soon as no transaction is open."""

    async def wait() -> None:
        await asyncio.gather(*(connector.quiet.wait() for connector in cp.connectors))
        await cp.reboot("SoftReset", "ScheduledReset")

    return lambda: cp.spawn(wait())


def unlock(cp: "ChargePoint", number: object) -> Then | None:
    """The cable comes free, and with it the session ends."""
    connector = cp.connector(number)
    return None if connector is None else partial(connector.end_session, "UnlockCommand")


def change_availability(cp: "ChargePoint", number: object, *, operative: bool) -> tuple[str, Then | None]:
    """In service or out of it: Accepted, Scheduled where a session must end first, or Rejected."""
    chosen = connectors(cp, number)
    if not chosen:
        return "Rejected", None

    def change() -> None:
        for connector in chosen:
            connector.set_operative(operative)

    scheduled = not operative and any(connector.busy for connector in chosen)
    return "Scheduled" if scheduled else "Accepted", change


def set_profile(cp: "ChargePoint", number: int, profile: Payload) -> Then | None:
    """A charging profile is installed, at once; `profile` in 1.6's words."""
    connector = cp.connector(number)
    if number and connector is None:
        return None
    if profile["chargingProfilePurpose"] == "TxProfile" and (connector is None or connector.transaction is None):
        return None  # OCPP 1.6 §5.16.2, 2.0.1 K01.FR.09
    return cp.limits_changed if cp.profiles.set(number, profile) else None


def reserve(cp: "ChargePoint", number: object, kept: Reservation) -> tuple[str, Then | None]:
    """A connector is kept for somebody: Accepted, or why not."""
    connector = cp.connector(number)
    if connector is None:
        return "Rejected", None
    same = connector.reservation is not None and connector.reservation.id == kept.id
    refusal = {"Faulted": "Faulted", "Unavailable": "Unavailable", "Available": None}.get(connector.status, "Occupied")
    if refusal is not None and not same:
        return refusal, None

    def keep() -> None:
        connector.reserve(kept)
        cp.spawn(_expire(cp, connector, kept))

    return "Accepted", keep


async def _expire(cp: "ChargePoint", connector: Connector, kept: Reservation) -> None:
    await cp.clock.pause(max(0.0, kept.expires_ts - cp.now_ts()))
    if connector.reservation is kept:
        connector.reserve(None)


def cancel_reservation(cp: "ChargePoint", reservation_id: object) -> Then | None:
    """A connector is no longer kept."""
    for connector in cp.connectors:
        if connector.reservation is not None and connector.reservation.id == reservation_id:
            return partial(connector.reserve, None)
    return None


def send_local_list(
    cp: "ChargePoint", version: int, entries: Iterable[tuple[str, str | None]], *, differential: bool
) -> str:
    """The local list is changed, at once; a token without a status leaves it. The answer's status."""
    if differential and version <= cp.local_list_version:
        return "VersionMismatch"
    changed = dict(cp.local_list) if differential else {}
    for id_tag, status in entries:
        if status is None:
            changed.pop(id_tag, None)
        else:
            changed[id_tag] = status
    cp.local_list, cp.local_list_version = changed, version
    return "Accepted"


def read_meters(cp: "ChargePoint", chosen: Sequence[Connector]) -> Then:
    """Each outlet tells what its meter shows."""

    def read() -> None:
        for connector in chosen:
            cp.tell(cp.dialect.meter_values(connector.id, connector.transaction, connector.reading()), cp.metered)

    return read


def report_states(cp: "ChargePoint", chosen: Sequence[Connector]) -> Then:
    """Each outlet tells how it stands."""

    def report() -> None:
        for connector in chosen:
            cp.report_status(connector, None)

    return report


def step_by_step(cp: "ChargePoint", action: str, steps: Sequence[Payload]) -> Then:
    """Messages of one action, with time between them."""
    return lambda: cp.spawn(_tell(cp, action, steps))


def install(cp: "ChargePoint", action: str, steps: Sequence[Payload]) -> Then:
    """The same, and then it boots with new firmware."""
    return lambda: cp.spawn(_install(cp, action, steps))


async def _tell(cp: "ChargePoint", action: str, steps: Sequence[Payload]) -> None:
    for payload in steps:
        cp.send(action, payload)
        await cp.clock.sleep(STEP_S)


async def _install(cp: "ChargePoint", action: str, steps: Sequence[Payload]) -> None:
    await _tell(cp, action, steps)
    major, minor, patch = cp.firmware.split(".")
    cp.firmware = f"{major}.{minor}.{int(patch) + 1}"
    await cp.reboot("Reboot", "FirmwareUpdate")


def install_certificate(cp: "ChargePoint", kind: str, certificate: str) -> None:
    """Keeps a certificate; its hash data are those of no real one."""
    digest = sha256(certificate.encode()).hexdigest()
    cp.certificates[digest[:40]] = {
        "certificateType": kind,
        "hash": {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": digest,
            "issuerKeyHash": digest,
            "serialNumber": digest[:40],
        },
    }


def delete_certificate(cp: "ChargePoint", hash_data: Payload) -> str:
    """The answer's status."""
    return "Accepted" if cp.certificates.pop(hash_data["serialNumber"], None) else "NotFound"
