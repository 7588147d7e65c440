"""Uploads and downloads: whole, bounded, and nowhere but in their folder."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from support.central import Csms
from support.operators import Operator, anonymous

LOG = b"something went wrong\n" * 10_000


async def asked_for_logs(csms: Csms, operator: Operator) -> str:
    """The address that CP1 is told to upload to."""
    async with csms.charger("CP1") as charger:
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/logs", json={}))
        frame = await charger.expect("GetDiagnostics")
        await charger.reply(frame, {"fileName": "log.txt"})
        await asking
        location: str = frame[3]["location"]
        return location


def on_disk(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


def elsewhere(tmp_path: Path) -> set[Path]:
    return {path for path in tmp_path.rglob("*") if "files" not in path.parts}


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("suffix", ["", "/log.txt"])
async def test_a_charge_point_uploads_the_log_it_was_asked_for(
    csms: Csms, operator: Operator, method: str, suffix: str
) -> None:
    location = await asked_for_logs(csms, operator)
    async with anonymous(csms) as charger:
        answer = await charger.http.request(method, location + suffix, content=LOG)
    assert answer.status_code == 201
    (file,) = await operator.ask("GET", "/diagnostics", params={"cp_id": "CP1"})
    assert (file["size_bytes"], file["sha256"]) == (len(LOG), hashlib.sha256(LOG).hexdigest())
    got = await operator.send("GET", f"/diagnostics/{file['file_id']}")
    assert got.content == LOG
    assert got.headers["content-disposition"].startswith("attachment")
    await operator.ask("DELETE", f"/diagnostics/{file['file_id']}", 204)
    await operator.ask("GET", f"/diagnostics/{file['file_id']}", 404)


async def test_a_charge_point_that_was_asked_once_can_not_fill_the_disk(csms: Csms, operator: Operator) -> None:
    location = await asked_for_logs(csms, operator)
    async with anonymous(csms) as charger:
        codes = [(await charger.http.put(location, content=LOG)).status_code for _ in range(7)]
    assert codes == [201] * 5 + [404] * 2


@pytest.mark.parametrize(
    "name",
    ["..%2F..%2Fevil", "%2e%2e%2fevil", "..%5c..%5cevil", "%2Fetc%2Fpasswd", "a%00b", ".", "..", "%C3%BC%F0%9F%98%80"],
)
async def test_no_name_leads_out_of_the_folder(csms: Csms, operator: Operator, tmp_path: Path, name: str) -> None:
    location = await asked_for_logs(csms, operator)
    before = elsewhere(tmp_path)
    target = location.partition(str(csms.central.api_port))[2]
    # By hand: clients tidy such paths up before they send them.
    reader, writer = await asyncio.open_connection("127.0.0.1", csms.central.api_port)
    head = f"PUT {target}/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + b"evil")
    status = int((await reader.read()).split()[1])
    writer.close()
    assert status in (201, 404, 422)
    assert elsewhere(tmp_path) == before
    for path in on_disk(tmp_path):
        assert path.parent == tmp_path / "files" / "diagnostics"
        assert len(path.name) == 32


@pytest.mark.parametrize("target", ["../../../../etc/passwd", "..%2f..%2ffleet.db", "0" * 31, "A" * 32, "%00"])
async def test_no_id_reads_anything_but_a_file_of_its_kind(csms: Csms, operator: Operator, target: str) -> None:
    for path in (f"/api/v1/diagnostics/{target}", f"/files/firmware/{target}/x"):
        answer = await operator.http.get(path)
        assert answer.status_code in (404, 422)
        assert b"root:" not in answer.content


async def test_an_upload_that_nobody_asked_for_is_404_and_leaves_nothing(
    csms: Csms, operator: Operator, tmp_path: Path
) -> None:
    answer = await operator.http.put(f"/files/uploads/{'0' * 32}", content=LOG)
    assert answer.status_code == 404
    assert on_disk(tmp_path) == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_that_is_too_long_is_413_and_leaves_nothing(make_csms, tmp_path: Path, chunked: bool) -> None:  # type: ignore[no-untyped-def]
    csms = await make_csms(max_file_bytes=100_000)
    from support.operators import admin  # noqa: PLC0415

    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(30):
            yield b"x" * 10_000

    async with admin(csms) as operator:
        content = pieces() if chunked else b"x" * 300_000
        answer = await operator.send("POST", "/firmware", params={"name": "fw.bin"}, content=content)
        assert answer.status_code == 413
        assert await operator.ask("GET", "/firmware") == []
    assert on_disk(tmp_path) == []


async def test_firmware_is_fetched_from_where_the_charge_point_is_told(csms: Csms, operator: Operator) -> None:
    file = await operator.ask("POST", "/firmware", 201, params={"name": "../fw 1.bin"}, content=LOG)
    assert file["name"] == "fw 1.bin"
    async with csms.charger("CP1") as charger, anonymous(csms) as plain:
        asked = {"firmware_id": file["file_id"]}
        asking = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/firmware", json=asked))
        frame = await charger.expect("UpdateFirmware")
        await charger.reply(frame, {})
        await asking
        assert (await plain.http.get(frame[3]["location"])).content == LOG
        part = await plain.http.get(frame[3]["location"], headers={"Range": "bytes=5-8"})
        assert (part.status_code, part.content) == (206, LOG[5:9])
    await operator.ask("POST", "/charge-points/CP1/firmware", 409, json={"firmware_id": file["file_id"]})
