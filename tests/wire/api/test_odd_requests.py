"""What no client of good will sends: answered with a problem that says whose fault it is, and never with a 5xx."""

import asyncio
from base64 import urlsafe_b64encode

from support.central import Csms
from support.operators import Operator, nobody

JSON = {"Content-Type": "application/json"}
COMMANDS = "/charge-points/CP1/commands"


async def test_what_no_database_takes_is_the_askers_fault(csms: Csms, operator: Operator) -> None:
    """PostgreSQL takes no NUL in a text, and would say so as an error of its own."""
    read = (
        *("/charge-points/%00", "/charge-points/a%00b/device-model", "/id-tags/%00", "/users/%00"),
        *("/transactions?cp_id=%00", "/transactions?id_tag=a%00", "/audit?who=%00", "/audit?target=%00"),
        *("/id-tags?prefix=%00", "/reservations?cp_id=%00", "/diagnostics?cp_id=%00"),
    )
    for path in read:
        await operator.ask("GET", path, 422)
    for path in ("/charge-points/%00", "/charge-points/%00/credentials", "/id-tags/%00", "/users/%00", "/tokens/%00"):
        await operator.ask("DELETE", path, 422)
    async with csms.charger("CP1"), nobody(csms) as stranger:
        for path in ("/id-tags", "/users", "/charge-points", "/charge-points/CP1/device-model"):
            for text in (b"\0", b'["\\u0000","","","","",""]', b"[" * 700):
                cursor = urlsafe_b64encode(text).decode()
                assert (await operator.send("GET", path, params={"cursor": cursor})).status_code in (200, 422)
        await operator.ask("GET", "/id-tags", 422, params={"cursor": urlsafe_b64encode(b"\0").decode()})
        await stranger.ask("POST", "/session", 422, json={"name": "\0", "password": "x"})
    entry = (await operator.ask("GET", "/audit"))["items"][0]
    assert (entry["action"], entry["status"]) == ("log_in", 422)


async def test_a_payload_that_json_can_not_carry_is_told_so_and_the_next_command_goes_out(
    csms: Csms, operator: Operator
) -> None:
    bad = (
        b'{"idTag":"x","connectorId":123456789012345678901234567890}',
        b'{"idTag":"\\ud800","connectorId":1}',
        b'{"idTag":"x","connectorId":NaN}',
        b'{"idTag":"x","connectorId":1e999}',
        b'{"idTag":"x","chargingProfile":{"chargingProfileId":1,"stackLevel":0,"chargingProfilePurpose":"TxProfile",'
        b'"chargingProfileKind":"Absolute","chargingSchedule":{"chargingRateUnit":"A","minChargingRate":NaN,'
        b'"chargingSchedulePeriod":[{"startPeriod":0,"limit":1}]}}}',
    )
    async with csms.charger("CP1") as charger:
        for body in bad:
            path = f"{COMMANDS}/RemoteStartTransaction"
            problem = await operator.ask("POST", path, 422, content=body, headers=JSON, params={"timeout_s": 1})
            assert problem["errors"], body
        asking = asyncio.create_task(operator.command("CP1", "Reset", {"type": "Soft"}))
        await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
        await asking


async def test_a_time_that_utc_does_not_have_is_refused_and_never_becomes_no_time(
    csms: Csms, operator: Operator
) -> None:
    beyond = ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z")
    async with csms.charger("CP1"):
        for at in beyond:
            await operator.ask("PUT", "/id-tags/T", 422, json={"expires_at": at})
            await operator.ask("GET", "/transactions", 422, params={"from_at": at})
            wish = {"id_tag": "T", "expires_at": at}
            await operator.ask("POST", "/charge-points/CP1/reserve", 422, json=wish)
    shown = await operator.ask("PUT", "/id-tags/T", json={"expires_at": "2031-01-01T01:00:00+01:00"})
    assert shown["expires_at"] == "2031-01-01T00:00:00.000Z"
