"""An id tag is removed from everything that the server keeps: database, memory, audit log and uploaded logs."""

import asyncio
import base64
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from support.central import Csms
from support.chargers import BOOT, START, Charger, energy, meter_values, stop
from support.databases import BACKENDS, lock, query
from support.operators import Operator, admin, user_of_role
from wattspan.domain.erased_token import ErasedToken
from wattspan.store.queries.erasure import NO_TOKEN, REPLACEMENTS
from wattspan.store.schema import tables as t

MakeCsms = Callable[..., Awaitable[Csms]]
TAG = "04E1C9Ab77"
OTHER = "04E1C9Ab778"
"""Another tag, which begins with it."""
AT = {"cp_id": "CP1", "connector_id": "1"}


@pytest.fixture(params=BACKENDS)
async def csms(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Csms]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").empty()
    csms = Csms(tmp_path / "fleet.db", url=url)
    await csms.start()
    yield csms
    await csms.stop()


def dump(database: str) -> str:
    """All rows of all tables as text."""
    rows = [
        str(row)
        for table in t.metadata.sorted_tables
        for row in query(database, str(sa.select(sa.text("*")).select_from(table)))
    ]
    blocks = query(database, str(sa.select(t.message_blocks.c.lines)))
    return "\n".join([*rows, *(str(zlib.decompress(lines)) for (lines,) in blocks)])


def left_in(folder: Path, what: str) -> Iterator[str]:
    """The files below a folder that contain the text in any letter case, unpacked or not."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            if what.lower().encode() in data.lower().replace(OTHER.lower().encode(), b""):
                yield path.name


async def upload(csms: Csms, operator: Operator, charger: Charger, content: bytes) -> str:
    """The charge point uploads a log that it was asked for; the id of the file."""
    asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/logs", json={}))
    asked = await charger.expect()
    await charger.reply(asked, {"fileName": f"{TAG}.log"})
    await asking
    answer = await operator.http.put(asked[3]["location"], content=content)
    assert answer.status_code < 300, answer.text
    return str((await operator.ask("GET", "/diagnostics"))[0]["file_id"])


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.txt", content)
    return packed.getvalue()


@asynccontextmanager
async def left_everywhere(csms: Csms) -> AsyncIterator[tuple[Operator, Charger]]:
    """The tag in every place: on file, in sessions that are closed, open and orphaned, in notes and logs."""
    async with admin(csms) as operator, csms.charger("CP1") as charger:
        for tag, parent in ((TAG, None), (OTHER, TAG)):
            await operator.ask("PUT", f"/id-tags/{tag}", json={"status": "Accepted", "parent": parent})
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1", "credentials": False})
        await operator.ask(
            "PATCH", "/charge-points/CP1", json={"note": f"belongs to {TAG}."}, headers={"If-Match": "*"}
        )
        await charger.call("BootNotification", BOOT)
        tx = (await charger.call("StartTransaction", {**START, "idTag": TAG}))["transactionId"]
        signed = base64.b64encode(f'OCMF|{{"ID":"{TAG}","RD":[{"0" * 200}]}}|{{}}'.encode()).decode()
        for value in (f'OCMF|{{"ID":"{TAG}"}}', signed, "ab" * 200):
            sampled = {"value": value, "format": "SignedData"}
            await charger.call("MeterValues", meter_values(tx, sampled, energy(2000 + len(value))))
        await charger.call("StopTransaction", stop(tx, idTag=TAG.upper()))
        orphan = {**START, "idTag": TAG.lower(), "timestamp": "2026-11-22T10:00:00Z"}
        await charger.call("StartTransaction", orphan)
        await charger.call("BootNotification", BOOT)
        await csms.becomes(0, "ocpp_tx_active", **AT)
        await charger.call("StartTransaction", {**orphan, "timestamp": "2026-11-22T12:00:00Z"})
        await charger.call("StartTransaction", {**START, "connectorId": 2, "idTag": OTHER})
        report = {"type": "Other", "timestamp": "2026-11-21T10:00:00Z", "techInfo": f"card {TAG}, read twice"}
        await charger.call("SecurityEventNotification", report)
        body = {"connector_id": 1, "id_tag": TAG, "expires_at": "2030-01-01T00:00:00Z", "parent_id_tag": TAG}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/reserve", json=body))
        await charger.reply(await charger.expect("ReserveNow"), {"status": "Accepted"})
        await asking
        for content in (f"tag={TAG.lower()};".encode(), gzip.compress(f"<{TAG}>".encode()), zipped(TAG.encode())):
            await upload(csms, operator, charger, content)
        await upload(csms, operator, charger, f"nothing but {OTHER}".encode())
        await csms.durable()
        row = {"noted_ts": 1.0, "table_name": "transactions", "row": f'["{TAG}", 3]', "fault": "bad", "mended": True}
        await csms.store.do(lambda connection: connection.execute(sa.insert(t.unwritable).values(row)).rowcount)
        yield operator, charger


async def test_an_erased_tag_is_nowhere_and_the_books_are_right(csms: Csms, tmp_path: Path) -> None:
    async with left_everywhere(csms) as (operator, charger):
        assert dump(csms.store.name).lower().count(TAG.lower()) > 10
        assert len(list(left_in(tmp_path / "files", TAG))) == 2  # and one that is zipped
        erased = await operator.ask("POST", "/id-tags/erase", json={"id_tag": TAG.lower()})
        pseudonym = erased["pseudonym"]
        counts = {name: erased[name] for name in ("transactions", "readings", "reservations", "audit_entries", "files")}
        assert counts == {"transactions": 3, "readings": 2, "reservations": 1, "audit_entries": 1, "files": 3}
        assert pseudonym.startswith("erased-")
        assert len(pseudonym) <= 20
        assert erased["compacted"] == ("://" not in csms.store.name)

        await csms.durable()
        await csms.central._history.messages.flush()
        assert TAG.lower() not in dump(csms.store.name).lower().replace(OTHER.lower(), "")
        assert list(left_in(tmp_path / "files", TAG)) == []
        if "://" not in csms.store.name:
            assert list(left_in(tmp_path, TAG)) == [], "not even in free parts of the database, nor in its log"
        kept_events = b"".join(frame.data for frame in csms.central._feed._ring)
        assert b"TransactionStarted" in kept_events
        assert TAG.lower().encode() not in kept_events.lower()
        assert TAG.lower() not in repr(csms.central.fleet.__dict__).lower().replace(OTHER.lower(), "")
        await operator.ask("GET", f"/id-tags/{TAG}", 404)
        assert (await operator.ask("GET", f"/id-tags/{OTHER}"))["parent"] == pseudonym
        assert (await operator.ask("GET", "/transactions", params={"id_tag": TAG}))["items"] == []
        rows = (await operator.ask("GET", "/transactions", params={"id_tag": pseudonym}))["items"]
        assert [(row["open"], row["energy_wh"]) for row in rows] == [(True, 0), (False, 0), (False, 7500)]
        audit = (await operator.ask("GET", "/audit"))["items"]
        assert [entry["target"] for entry in audit].count(f"/api/v1/id-tags/{pseudonym}") == 1
        assert f"/api/v1/id-tags/{OTHER}" in [entry["target"] for entry in audit]
        erasures = [entry for entry in audit if entry["action"] == "erase_id_tag"]
        assert [(each["who"], each["target"], each["status"]) for each in erasures] == [
            ("admin", "/api/v1/id-tags/erase", 200)
        ]
        assert (await operator.ask("GET", "/charge-points/CP1"))["note"] == f"belongs to {pseudonym}."

        await charger.call("StopTransaction", stop(rows[0]["number"], 3000, idTag=TAG))
        assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500 + 2000
        assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 4
        await csms.durable()
        again = await operator.ask("POST", "/id-tags/erase", json={"id_tag": TAG})
        assert sum(value for value in again.values() if type(value) is int) == 0
    await csms.restart()
    assert TAG.lower() not in dump(csms.store.name).lower().replace(OTHER.lower(), "")


async def test_kept_messages_lose_a_tag_and_stay_readable(csms: Csms) -> None:
    """Free text of a charger and its signed values may name it, in messages that are stored and in those that wait."""
    signed = base64.b64encode(f'OCMF|{{"ID":"{TAG}"}}{" " * 60}'.encode()).decode()
    messages = csms.central._history.messages
    async with admin(csms) as operator, csms.charger("CP1") as charger:
        for stored in (True, False):
            await charger.call("DataTransfer", {"vendorId": "v", "data": f"a card: {TAG.lower()}"})
            await charger.call("MeterValues", meter_values(1, {"value": signed, "format": "SignedData"}))
            await charger.call("DataTransfer", {"vendorId": "v", "data": f'"{TAG}" of a street\n{OTHER}'})
            await charger.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})
            if stored:
                await messages.flush()
        before = (await operator.ask("GET", "/charge-points/CP1/message-history"))["items"]
        assert json.dumps(before).count(signed) == 2
        pseudonym = (await operator.ask("POST", "/id-tags/erase", json={"id_tag": TAG}))["pseudonym"]
        after = (await operator.ask("GET", "/charge-points/CP1/message-history"))["items"]
        text = json.dumps(before).replace(signed, pseudonym).replace(OTHER, "other")
        for way in (TAG, TAG.lower()):
            text = text.replace(way, pseudonym)
        assert json.loads(text.replace("other", OTHER)) == after
        await messages.flush()
        assert TAG.lower() not in dump(csms.store.name).lower().replace(OTHER.lower(), "")
        wrong = "SELECT count(*) FROM message_blocks WHERE size_bytes <> length(lines)"
        assert list(map(tuple, query(csms.store.name, wrong))) == [(0,)]


async def test_only_who_has_the_right_admin_may_erase_and_a_refusal_is_audited(csms: Csms) -> None:
    async with user_of_role(csms, "operator") as operator, admin(csms) as boss:
        await boss.ask("PUT", f"/id-tags/{TAG}", json={"status": "Accepted"})
        await operator.ask("POST", "/id-tags/erase", 403, json={"id_tag": TAG})
        await boss.ask("GET", f"/id-tags/{TAG}")
        for wrong in ({}, {"id_tag": ""}, {"id_tag": "a\x00b"}, {"id_tag": TAG, "more": 1}):
            answer = await boss.send("POST", "/id-tags/erase", json=wrong)
            assert answer.status_code == 422
            assert TAG not in answer.text
        audit = (await boss.ask("GET", "/audit"))["items"]
        statuses = [entry["status"] for entry in audit if entry["action"] == "erase_id_tag"]
        assert statuses == [422, 422, 422, 422, 403]


async def test_an_erasure_that_the_database_interrupts_is_completed_by_the_next(
    make_csms: MakeCsms, tmp_path: Path
) -> None:
    csms = await make_csms(store_hold_s=0.05)
    async with admin(csms) as operator, csms.charger("CP1") as charger:
        await charger.call("StartTransaction", {**START, "idTag": TAG})
        release = lock(csms.store.name)
        try:
            await operator.ask("POST", "/id-tags/erase", 503, json={"id_tag": TAG})
        finally:
            release()
        await operator.ask("POST", "/id-tags/erase", json={"id_tag": TAG})
        (row,) = (await operator.ask("GET", "/transactions"))["items"]
        assert row["id_tag"].startswith("erased-")
    assert list(left_in(tmp_path, TAG)) == []


async def test_a_short_tag_is_removed_where_it_stands_by_itself(csms: Csms) -> None:
    async with admin(csms) as operator, csms.charger("CP1") as charger:
        await operator.ask("PUT", "/id-tags/1", json={"status": "Accepted"})
        tx = (await charger.call("StartTransaction", {**START, "idTag": "1"}))["transactionId"]
        await charger.call("MeterValues", meter_values(tx, {"value": "1", "measurand": "SoC"}, energy(2000)))
        await charger.call("StopTransaction", stop(tx))
        await csms.durable()
        erased = await operator.ask("POST", "/id-tags/erase", json={"id_tag": "1"})
        assert (erased["transactions"], erased["readings"], erased["audit_entries"]) == (1, 0, 1)
        (row,) = (await operator.ask("GET", "/transactions"))["items"]
        assert (row["id_tag"], row["energy_wh"]) == (erased["pseudonym"], 7500)
        (reading,) = await csms.store.readings(1)
        assert reading.samples[0]["value"] == "1"


def test_every_column_of_text_either_can_hold_a_tag_or_cannot() -> None:
    text = {
        column
        for table in t.metadata.sorted_tables
        for column in table.c
        if isinstance(column.type, sa.Text | sa.String)
    }
    assert set(REPLACEMENTS) & NO_TOKEN == set()
    assert {str(column) for column in text - set(REPLACEMENTS) - NO_TOKEN} == set()
    assert {str(column) for column in set(REPLACEMENTS) | NO_TOKEN} - {str(column) for column in text} == set()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("04e1c9ab77", "P"),
        ("card 04E1C9AB77.", "card P."),
        ("04E1C9Ab778", "04E1C9Ab778"),
        ("x04E1C9Ab77", "x04E1C9Ab77"),
        ("id=04E1C9Ab77&id=04e1c9ab77", "id=P&id=P"),
        ("", ""),
    ],
)
def test_a_tag_is_replaced_where_it_stands_by_itself(text: str, left: str) -> None:
    assert ErasedToken(TAG, "P").in_text(text) == left


def test_numbers_are_no_tags() -> None:
    token = ErasedToken("123456", "P")
    sampled: list[Any] = ["123456", {"value": "123456", "x": "tag 123456"}, 123456, None]
    assert token.in_json(sampled, keep_numbers=True) == ["123456", {"value": "123456", "x": "tag P"}, 123456, None]
    assert token.in_path("/api/v1/transactions/123456/close") == "/api/v1/transactions/123456/close"
    assert token.in_path("/api/v1/id-tags/123456") == "/api/v1/id-tags/P"
