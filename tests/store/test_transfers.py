"""Firmware updates, log uploads, certificates and security events, in both databases."""

from wattspan.domain import events as ev
from wattspan.domain.installed import CertificateId
from wattspan.store.journal.statements import MAX_TRANSFERS
from wattspan.store.queries.certificates import list_installed
from wattspan.store.queries.file_transfers import list_transfer_statuses
from wattspan.store.queries.security_events import list_security_events

HELD = CertificateId(hash_algorithm="SHA256", issuer_name_hash="a", issuer_key_hash="b", serial_number="1", children=1)


def firmware(cp_id: str, status: str, request_id: int | None, at: float = 1.0) -> ev.FirmwareStatusChanged:
    return ev.FirmwareStatusChanged(cp_id=cp_id, received_ts=at, status=status, request_id=request_id)


def reported(at: float, **certificates: list[CertificateId]) -> ev.InstalledCertificatesReported:
    return ev.InstalledCertificatesReported(cp_id="CP1", received_ts=at, certificates=certificates)


async def test_the_newest_statuses_of_each_charge_point_are_kept_in_order(site):
    site.apply(firmware("CP2", "Idle", None))
    for first in range(0, MAX_TRANSFERS + 50, 25):
        site.apply(*(firmware("CP1", "Downloading", number) for number in range(first, first + 25)))
        assert await site.commit() is None
    kept = await site.store.read(list_transfer_statuses, "CP1")
    assert [each.request_id for each in kept] == list(range(50, MAX_TRANSFERS + 50))
    (other,) = await site.store.read(list_transfer_statuses, "CP2")
    assert (other.kind, other.status, other.request_id, other.is_request) == ("firmware", "Idle", None, False)


async def test_a_request_and_a_log_upload_are_kept_as_such(site):
    asked = ev.FileTransferRequested(cp_id="CP1", received_ts=1.0, kind="log", status="Accepted", request_id=2**31 - 1)
    site.apply(asked, ev.LogStatusChanged(cp_id="CP1", received_ts=2.0, status="Uploaded", request_id=2**31 - 1))
    assert await site.commit() is None
    found = await site.store.read(list_transfer_statuses, "CP1")
    assert [(each.kind, each.is_request, each.received_ts) for each in found] == [
        ("log", True, 1.0),
        ("log", False, 2.0),
    ]


async def test_each_type_of_installed_certificates_is_replaced_by_itself(site):
    site.apply(reported(1.0, A=[HELD], B=[HELD, HELD]), reported(2.0, A=[]))
    assert await site.commit() is None
    site.apply(reported(3.0, C=[]))
    assert await site.commit() is None
    found = await site.store.read(list_installed, "CP1")
    assert [(each.type, each.certificates, each.reported_ts) for each in found] == [
        ("A", (), 2.0),
        ("B", (HELD, HELD), 1.0),
        ("C", (), 3.0),
    ]


async def test_a_decommissioned_charge_point_takes_them_with_it_but_for_its_security_events(site):
    event = ev.SecurityEventReported(cp_id="CP1", received_ts=1.0, charger_ts=None, type="T", tech_info="")
    site.apply(firmware("CP1", "Idle", None), reported(1.0, A=[HELD]), event)
    assert await site.commit() is None
    site.apply(ev.ChargePointDecommissioned(cp_id="CP1", received_ts=2.0))
    assert await site.commit() is None
    assert await site.store.read(list_transfer_statuses, "CP1") == []
    assert list(await site.store.read(list_installed, "CP1")) == []
    (kept,) = await site.store.read(list_security_events, "CP1", None, 1.0, 1.5, None, 10)
    assert kept.type == "T"
    assert await site.store.read(list_security_events, None, "T", 1.5, None, None, 10) == []
    assert await site.store.read(list_security_events, None, None, None, 1.0, None, 10) == []
    assert await site.store.read(list_security_events, None, None, None, None, kept.id, 10) == []
