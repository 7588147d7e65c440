"""`wattspan cp`, `tx`, `tag`, `user` through the API of a running server."""

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from support.central import Csms
from support.certificates import certificate_request
from support.chargers import START, Charger
from support.waiting import eventually
from wattspan.cli import logins

Run = Callable[..., Awaitable[Result]]
Basic = Callable[[str, str], dict[str, str]]


@pytest.fixture
async def url(csms: Csms, run: Run) -> str:
    """The API, with the admin logged in."""
    address = csms.central.api_url()
    await run("login", "--url", address, "--user", "admin", stdin=f"{csms.first_password}\n")
    return address


def rows(result: Result) -> list[dict[str, Any]]:
    """The objects of --json."""
    return [json.loads(line) for line in result.stdout.splitlines()]


async def boot(charger: Charger) -> None:
    await charger.call("BootNotification", {"chargePointVendor": "Acme\x1b[2J", "chargePointModel": "One"})


async def test_a_login_is_readable_by_its_owner_only_and_ends_with_logout(csms: Csms, run: Run, url: str) -> None:
    assert stat.S_IMODE(logins.logins_path().stat().st_mode) == 0o600
    (saved,) = logins.saved_logins()
    assert saved.token not in repr(saved)
    assert csms.first_password not in logins.logins_path().read_text()
    await run("logout")
    assert logins.saved_logins() == []
    refused = await run("tx", "list", "--url", url, code=1, WATTSPAN_TOKEN=saved.token)
    assert "has expired; log in again with `wattspan login`" in refused.stderr


async def test_a_printed_token_is_not_saved_and_works_as_a_variable(csms: Csms, run: Run) -> None:
    address = csms.central.api_url()
    printed = await run("login", "--url", address, "--print", stdin=f"{csms.first_password}\n")
    assert logins.saved_logins() == []
    token = printed.stdout.split()[-1]
    assert (
        rows(await run("user", "list", "--json", WATTSPAN_TOKEN=token, WATTSPAN_API_URL=address))[0]["name"] == "admin"
    )


async def test_a_wrong_password_is_reported_and_nothing_is_saved(csms: Csms, run: Run) -> None:
    refused = await run("login", "--url", csms.central.api_url(), code=1, stdin="wrong password\n")
    assert "Error: wrong name or password" in refused.stderr
    assert logins.saved_logins() == []


async def test_the_current_state_of_a_charge_point_is_shown(csms: Csms, run: Run, url: str) -> None:
    async with csms.charger("CP1") as charger:
        await boot(charger)
        await charger.call("StartTransaction", START)
        (row,) = rows(await run("cp", "list", "--json"))
        assert (row["cp_id"], row["connected"], row["transactions"]) == ("CP1", True, 1)
        shown = (await run("cp", "show", "CP1")).stdout
        (transaction,) = rows(await run("tx", "list", "--cp", "CP1", "--open", "--json"))
        story = (await run("tx", "show", transaction["number"])).stdout
    assert "vendor          Acme�[2J" in shown
    assert "\x1b" not in shown
    assert transaction["trace_id"] in story
    assert rows(await run("tx", "list", "--closed", "--json")) == []


async def test_a_refused_certificate_is_shown_with_its_reason(make_csms: Any, run: Run, tmp_path: Path) -> None:
    csms = await make_csms(ca_dir=str(tmp_path / "ca"))
    address = {"WATTSPAN_API_URL": csms.central.api_url()}
    login = await run("login", "--print", stdin=f"{csms.first_password}\n", **address)
    address["WATTSPAN_TOKEN"] = login.stdout.split()[-1]
    async with csms.charger("CP1") as charger:
        await charger.call("SignCertificate", {"csr": certificate_request("CP1")})
        refusal = {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidCertificate"}}
        await charger.reply(await charger.expect("CertificateSigned"), refusal)

        async def shown() -> bool:
            text = (await run("cp", "show", "CP1", **address)).stdout
            return "refused Rejected InvalidCertificate next try 20" in text

        await eventually(shown)


async def test_in_a_pipe_there_are_tab_separated_lines(csms: Csms, run: Run, url: str) -> None:
    await run("cp", "add", "CP1")
    head, line = (await run("cp", "list")).stdout.splitlines()
    assert head.split("\t")[:2] == ["id", "connected"]
    assert line.split("\t")[:2] == ["CP1", "no"]
    assert len(line.split("\t")) == len(head.split("\t"))


async def test_a_security_profile_is_set_by_option_and_unchanged_without_it(run: Run, url: str) -> None:
    for words, required in ((("--profile", 2), 2), (("--profile", 1), 1), ((), 1)):
        await run("cp", "add", "CP1", *words)
        (shown,) = rows(await run("cp", "show", "CP1", "--json"))
        assert shown["security_profile"] == required


async def test_a_charge_point_is_edited_without_a_change_of_its_password(run: Run, url: str) -> None:
    await run("cp", "add", "CP1")
    await run("cp", "edit", "CP1", "--profile", 2)
    (shown,) = rows(await run("cp", "show", "CP1", "--json"))
    assert (shown["security_profile"], shown["has_credentials"]) == (2, True)
    await run("cp", "edit", "CP1", "--serial-number", "SN-1")
    (shown,) = rows(await run("cp", "show", "CP1", "--json"))
    assert (shown["security_profile"], shown["registered_serial"]) == (2, "SN-1")
    assert "nothing to change" in (await run("cp", "edit", "CP1", code=2)).stderr
    assert (await run("cp", "edit", "CP2", "--profile", 2, code=1)).stderr


async def answering(charger: Charger, answer: dict[str, Any]) -> dict[str, Any]:
    frame = await charger.expect()
    await charger.reply(frame, answer)
    payload: dict[str, Any] = frame[3]
    return payload


@pytest.mark.parametrize(("status", "code"), [("Accepted", 0), ("Rejected", 3)])
async def test_a_command_is_sent_and_its_exit_code_tells_whether_it_was_accepted(
    csms: Csms, run: Run, url: str, status: str, code: int
) -> None:
    async with csms.charger("CP1") as charger:
        running = asyncio.create_task(run("cp", "command", "CP1", "Reset", '{"type": "Soft"}', "--json", code=code))
        assert await answering(charger, {"status": status}) == {"type": "Soft"}
        (answer,) = rows(await running)
    assert (answer["status"], answer["payload"]) == (status, {"status": status})


async def test_a_payload_is_read_from_a_pipe_or_a_file(csms: Csms, run: Run, url: str, tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"requestedMessage": "Heartbeat"}')
    for payload, stdin in (("-", file.read_text()), (f"@{file}", "")):
        async with csms.charger("CP1") as charger:
            running = asyncio.create_task(run("cp", "command", "CP1", "TriggerMessage", payload, stdin=stdin))
            assert await answering(charger, {"status": "Accepted"}) == {"requestedMessage": "Heartbeat"}
            await running


async def test_the_commands_that_a_charge_point_supports_are_listed(csms: Csms, run: Run, url: str) -> None:
    async with csms.charger("CP1"):
        assert "RemoteStartTransaction" in (await run("cp", "command", "CP1")).stdout.split()


async def test_problems_are_reported_in_one_line(csms: Csms, run: Run, url: str) -> None:
    assert "no such charge point" in (await run("cp", "show", "CP9", code=1)).stderr
    async with csms.charger("CP1") as charger:
        fault = await run("cp", "command", "CP1", "Reset", '{"type": "Medium"}', code=1)
        assert "Error: type: not one of the " in fault.stderr
        missing = await run("cp", "command", "CP1", "Reset", "{}", code=1)
        assert "Error: payload: `type` is required" in missing.stderr
        running = asyncio.create_task(run("cp", "command", "CP1", "ClearCache", code=1))
        frame = await charger.expect("ClearCache")
        await charger.send_raw(json.dumps([4, frame[1], "NotSupported", "", {}]))
        assert "answered with an error: NotSupported" in (await running).stderr
    await csms.becomes(0.0, "ocpp_cp_connected", cp_id="CP1")
    assert "is not connected" in (await run("cp", "command", "CP1", "ClearCache", code=1)).stderr
    assert "payload: is not valid JSON" in (await run("cp", "command", "CP1", "Reset", "{", code=2)).stderr


async def test_a_server_without_our_api_is_reported(csms: Csms, run: Run) -> None:
    metrics = f"http://127.0.0.1:{csms.central.metrics_port}"
    assert "check --url" in (await run("tx", "list", "--url", metrics, code=1, WATTSPAN_TOKEN="t")).stderr
    nobody = await run("tx", "list", "--url", "http://127.0.0.1:1", code=1, WATTSPAN_TOKEN="t")
    assert "check that the server is running" in nobody.stderr
    assert "not logged in to" in (await run("tx", "list", "--url", metrics, code=1)).stderr


async def test_registering_again_changes_the_password_and_never_leaves_none(
    csms: Csms, run: Run, basic: Basic, url: str
) -> None:
    made = (await run("cp", "add", "CP1")).stdout.strip()
    own = "sixteen-letters!"
    await run("cp", "add", "CP2", "--password", own)
    again = (await run("cp", "add", "CP1")).stdout.strip()
    assert again != made
    for cp_id, password in (("CP1", again), ("CP2", own)):
        async with csms.charger(cp_id, additional_headers=basic(cp_id, password)) as charger:
            await charger.call("Heartbeat", {})
    await run("cp", "add", "CP1", "--no-password")
    assert not rows(await run("cp", "show", "CP1", "--json"))[0]["has_credentials"]
    await run("cp", "remove", "CP1")
    assert [row["cp_id"] for row in rows(await run("cp", "list", "--json"))] == ["CP2"]


async def test_id_tags_are_added_changed_imported_and_removed(csms: Csms, run: Run, url: str) -> None:
    await run("tag", "add", "T1", "--expires", "2030-01-01", "--max-active", "1")
    await run("tag", "add", "T1", "--status", "Blocked")
    await run("tag", "import", "-", stdin="id_tag,status\nT2,Accepted\nT3,Invalid\n")
    found = {row["id_tag"]: row["status"] for row in rows(await run("tag", "list", "--json"))}
    assert found == {"T1": "Blocked", "T2": "Accepted", "T3": "Invalid"}
    invalid = await run("tag", "import", "-", code=1, stdin="id_tag,status\nT4,Perhaps\n")
    assert "Error: nothing was imported: line 2: status: must be 'Accepted', 'Blocked'" in invalid.stderr
    await run("tag", "remove", "T1")
    assert "no such id tag" in (await run("tag", "remove", "T1", code=1)).stderr


async def test_users_are_added_given_passwords_and_removed(csms: Csms, run: Run, url: str) -> None:
    await run("user", "add", "sam", "--role", "viewer", stdin="correct horse battery\n")
    await run("user", "password", "sam", stdin="another long password\n")
    await run("login", "--url", url, "--user", "sam", stdin="another long password\n")
    assert "requires the right 'admin'" in (await run("user", "list", code=1)).stderr
    await run("login", "--url", url, "--user", "admin", stdin=f"{csms.first_password}\n")
    await run("user", "remove", "sam")
    assert [row["name"] for row in rows(await run("user", "list", "--json"))] == ["admin"]
    assert "the last admin stays" in (await run("user", "remove", "admin", code=1)).stderr


async def test_a_tag_is_erased_and_the_output_does_not_repeat_it(csms: Csms, run: Run, url: str) -> None:
    await run("tag", "add", "04E1C9AB77")
    async with csms.charger("CP1") as charger:
        await charger.call("StartTransaction", {**START, "idTag": "04E1C9AB77"})
    done = await run("tag", "erase", "04e1c9ab77")
    assert "erased from 1 id tags, 1 transactions, 1 audit entries" in done.stderr
    assert "04e1c9ab77" not in (done.stdout + done.stderr).lower()
    (row,) = rows(await run("tx", "list", "--json"))
    assert f"the pseudonym {row['id_tag']}\n" in done.stderr
    (again,) = rows(await run("tag", "erase", "04E1C9AB77", "--json"))
    assert (again["transactions"], again["compacted"]) == (0, True)
    assert "nothing: it was not found" in (await run("tag", "erase", "04E1C9AB77")).stderr


async def test_sessions_and_messages_are_exported_to_a_file(csms: Csms, run: Run, url: str, tmp_path: Path) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("StartTransaction", START)
        await csms.durable()
    file = tmp_path / "sessions.csv"
    await run("export", "sessions", "--cp", "CP1", "--output", file)
    head, row = file.read_text().splitlines()
    assert head.startswith("number,cp_id,connector_id")
    assert row.startswith("1,CP1,1")
    assert rows(await run("export", "sessions", "--format", "jsonl", "--from", "2099-01-01")) == []
    messages = rows(await run("export", "messages", "--cp", "CP1"))
    assert [each["event"] for each in messages if "event" in each] == ["connected", "disconnected"]
    await run("export", "messages", code=2)
    await run("export", "monthly", code=2)
    assert "site,name" not in (await run("export", "monthly", "--month", "2020-01")).stdout
    await run("tag", "add", "A1", "--group", "staff")
    assert rows(await run("tag", "list", "--json"))[0]["group"] == "staff"
