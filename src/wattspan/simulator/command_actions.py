"""What commands make a charge point do, independent of the OCPP version.

Each function checks whether a command can be carried out and returns the follow-up to run once the answer is sent,
or None if it cannot. It must not know payloads of requests and answers, which are the dialects'.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from wattspan.simulator.connector import Connector, Reservation
from wattspan.simulator.model import RemoteStartRequest
from wattspan.simulator.rpc import Payload

if TYPE_CHECKING:
    from wattspan.simulator.charge_point import ChargePoint

FollowUp = Callable[[], None]
STEP_S = 30.0
"""Simulated seconds between the steps of an upload or an installation."""


def connectors(cp: "ChargePoint", number: object) -> list[Connector]:
    """Return the connectors that a command addresses; 0 addresses all, an unknown number none."""
    return [connector for connector in cp.connectors if number in {0, connector.id}]


def remote_start(
    cp: "ChargePoint", number: int | None, request: RemoteStartRequest, profile: Payload | None
) -> FollowUp | None:
    """Return a follow-up that starts a transaction at connector `number` (None: any), or None if none is free.

    Installs `profile`, a TxProfile in 1.6's format, at once. Raises what `Profiles.set` raises.
    """
    candidates = cp.connectors if number is None else [c for c in cp.connectors if c.id == number]
    chosen = next((c for c in candidates if c.free and _may_use(c, request.id_tag)), None)
    if chosen is None or (profile is not None and not cp.profiles.set(chosen.id, profile)):
        return None
    return partial(chosen.request_start, request)


def _may_use(connector: Connector, id_tag: str) -> bool:
    return connector.reservation is None or connector.reservation.id_tag == id_tag


def remote_stop(cp: "ChargePoint", transaction_id: object) -> FollowUp | None:
    """Return a follow-up that stops the transaction of this id, or None if there is none."""
    for connector in cp.connectors:
        if connector.transaction is not None and connector.transaction.id == transaction_id:
            return partial(connector.end_session, "Remote")
    return None


def reset(cp: "ChargePoint", reason: str) -> FollowUp:
    """Return a follow-up that reboots at once; transactions stop for `reason`."""
    return lambda: cp.spawn(cp.reboot(reason, "RemoteReset"))


def reset_when_idle(cp: "ChargePoint") -> FollowUp:
    """Return a follow-up that reboots as soon as no transaction is open."""

    async def wait() -> None:
        await asyncio.gather(*(connector.no_transaction.wait() for connector in cp.connectors))
        await cp.reboot("SoftReset", "ScheduledReset")

    return lambda: cp.spawn(wait())


def unlock(cp: "ChargePoint", number: object) -> FollowUp | None:
    """Return a follow-up that ends the session of connector `number`, or None if there is no such connector."""
    connector = cp.connector(number)
    return None if connector is None else partial(connector.end_session, "UnlockCommand")


def change_availability(cp: "ChargePoint", number: object, *, operative: bool) -> tuple[str, FollowUp | None]:
    """Return the status of the answer and the follow-up; `number` 0 addresses all connectors.

    Scheduled: a session must end first. Rejected: there is no such connector.
    """
    chosen = connectors(cp, number)
    if not chosen:
        return "Rejected", None

    def change() -> None:
        for connector in chosen:
            connector.set_operative(operative)

    scheduled = not operative and any(connector.busy for connector in chosen)
    return "Scheduled" if scheduled else "Accepted", change


def set_profile(cp: "ChargePoint", number: int, profile: Payload) -> FollowUp | None:
    """Install a charging profile, in 1.6's format, at once; return None if it does not fit the connector.

    Raises what `Profiles.set` raises.
    """
    connector = cp.connector(number)
    if number and connector is None:
        return None
    if profile["chargingProfilePurpose"] == "TxProfile" and (connector is None or connector.transaction is None):
        return None  # OCPP 1.6 §5.16.2, 2.0.1 K01.FR.09
    return cp.limits_changed if cp.profiles.set(number, profile) else None


def reserve(cp: "ChargePoint", number: object, reservation: Reservation) -> tuple[str, FollowUp | None]:
    """Return the status of the answer, and a follow-up that reserves the connector if it is Accepted."""
    connector = cp.connector(number)
    if connector is None:
        return "Rejected", None
    replaces = connector.reservation is not None and connector.reservation.id == reservation.id
    refusal = {"Faulted": "Faulted", "Unavailable": "Unavailable", "Available": None}.get(connector.status, "Occupied")
    if refusal is not None and not replaces:
        return refusal, None

    def keep() -> None:
        connector.reserve(reservation)
        cp.spawn(_expire(cp, connector, reservation))

    return "Accepted", keep


async def _expire(cp: "ChargePoint", connector: Connector, reservation: Reservation) -> None:
    await cp.clock.pause(max(0.0, reservation.expires_ts - cp.now_ts()))
    if connector.reservation is reservation:
        connector.reserve(None)


def cancel_reservation(cp: "ChargePoint", reservation_id: object) -> FollowUp | None:
    """Return a follow-up that cancels the reservation of this id, or None if there is none."""
    for connector in cp.connectors:
        if connector.reservation is not None and connector.reservation.id == reservation_id:
            return partial(connector.reserve, None)
    return None


def send_local_list(
    cp: "ChargePoint", version: int, entries: Iterable[tuple[str, str | None]], *, differential: bool
) -> str:
    """Change the local list at once and return the status of the answer.

    `entries` are id tags and their status; None removes the id tag.
    """
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


def read_meters(cp: "ChargePoint", chosen: Sequence[Connector]) -> FollowUp:
    """Return a follow-up that sends a meter reading of each connector."""

    def read() -> None:
        for connector in chosen:
            message = cp.dialect.meter_values(connector.id, connector.transaction, connector.reading())
            cp.queue(message, cp.meter_values_acknowledged)

    return read


def report_states(cp: "ChargePoint", chosen: Sequence[Connector]) -> FollowUp:
    """Return a follow-up that sends the status of each connector."""

    def report() -> None:
        for connector in chosen:
            cp.report_status(connector, None)

    return report


def send_in_steps(cp: "ChargePoint", action: str, steps: Sequence[Payload]) -> FollowUp:
    """Return a follow-up that sends one message of `action` per step, STEP_S apart."""
    return lambda: cp.spawn(_send_steps(cp, action, steps))


def install(cp: "ChargePoint", action: str, steps: Sequence[Payload]) -> FollowUp:
    """Return a follow-up that sends one message of `action` per step and then reboots with new firmware."""
    return lambda: cp.spawn(_install(cp, action, steps))


async def _send_steps(cp: "ChargePoint", action: str, steps: Sequence[Payload]) -> None:
    for payload in steps:
        cp.send(action, payload)
        await cp.clock.sleep(STEP_S)


async def _install(cp: "ChargePoint", action: str, steps: Sequence[Payload]) -> None:
    await _send_steps(cp, action, steps)
    major, minor, patch = cp.hardware.firmware.split(".")
    cp.hardware = cp.hardware._replace(firmware=f"{major}.{minor}.{int(patch) + 1}")
    await cp.reboot("Reboot", "FirmwareUpdate")


def install_certificate(cp: "ChargePoint", certificate_type: str, certificate: str) -> None:
    """Store a certificate. Its hash data are derived from the text, not from a parsed certificate."""
    digest = sha256(certificate.encode()).hexdigest()
    cp.certificates[digest[:40]] = {
        "certificateType": certificate_type,
        "hash": {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": digest,
            "issuerKeyHash": digest,
            "serialNumber": digest[:40],
        },
    }


def delete_certificate(cp: "ChargePoint", hash_data: Payload) -> str:
    """Delete a certificate and return the status of the answer."""
    return "Accepted" if cp.certificates.pop(hash_data["serialNumber"], None) else "NotFound"
