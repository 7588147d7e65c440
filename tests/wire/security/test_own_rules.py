"""What holds for one charge point alone: its required profile, and what unknown id tags get there."""

from support.chargers import BOOT
from support.operators import admin
from wattspan.csms.security.credentials import new_secret


async def change(secured, **fields: object) -> dict[str, object]:
    """Change CP1 as an operator; what it is then."""
    async with admin(secured.csms) as operator:
        etag = (await operator.send("GET", "/charge-points/CP1")).headers["etag"]
        found: dict[str, object] = await operator.ask(
            "PATCH", "/charge-points/CP1", json=fields, headers={"If-Match": etag}
        )
        return found


async def test_a_profile_required_by_http_holds_from_the_next_connection_on_and_for_it_alone(secured):
    secret = new_secret()
    await secured.register("CP1", secret)
    await secured.register("CP2", secret)
    async with secured.charger("CP1", tls=False, secret=secret) as charger:
        await charger.call("Heartbeat")
        shown = await change(secured, security_profile=2)
        assert (shown["security_profile"], shown["security_profile_now"]) == (2, 1)
        await charger.call("Heartbeat")
    assert await secured.outcome("CP1", tls=False, secret=secret) == 403
    assert await secured.outcome("CP1", secret=secret) == 101
    assert await secured.outcome("CP2", tls=False, secret=secret) == 101
    await change(secured, security_profile=0)
    assert await secured.outcome("CP1", tls=False, secret=secret) == 101


async def test_a_profile_with_credentials_keeps_out_who_has_none(secured):
    await secured.register("CP1", profile=1)
    assert await secured.outcome("CP1", tls=False) == 401
    assert await secured.outcome("CP1", tls=False, secret=new_secret()) == 401


async def test_the_stricter_of_the_servers_profile_and_its_own_holds(make_secured):
    secured = await make_secured(min_security_profile=2)
    secret = new_secret()
    await secured.register("CP1", secret, profile=1)
    await secured.register("CP2", secret, profile=3)
    assert await secured.outcome("CP1", tls=False, secret=secret) == 403
    assert await secured.outcome("CP1", secret=secret) == 101
    assert await secured.outcome("CP2", secret=secret) == 403


async def test_unknown_id_tags_are_judged_by_the_charge_points_own_policy_first(make_secured):
    secured = await make_secured(unknown_id_tags="reject")
    for cp_id in ("CP1", "CP2"):
        await secured.register(cp_id)

    async def judged(cp_id: str) -> str:
        async with secured.charger(cp_id, tls=False) as charger:
            await charger.call("BootNotification", BOOT)
            return str((await charger.call("Authorize", {"idTag": "NOBODYS"}))["idTagInfo"]["status"])

    assert await judged("CP1") == "Invalid"
    assert (await change(secured, unknown_id_tags="accept"))["unknown_id_tags"] == "accept"
    assert [await judged("CP1"), await judged("CP2")] == ["Accepted", "Invalid"]
    assert (await change(secured, unknown_id_tags="default"))["unknown_id_tags"] == "default"
    assert await judged("CP1") == "Invalid"


async def test_decommissioning_takes_its_rules_along(secured):
    await secured.register("CP1", new_secret(), profile=3)
    async with admin(secured.csms) as operator:
        await operator.ask("DELETE", "/charge-points/CP1", 204, headers={"If-Match": "*"})
        await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1", "credentials": False})
    assert await secured.outcome("CP1", tls=False) == 101
