"""Whose client certificate it is: by identity or registered serial number, and of our organization."""

from typing import Any

from support.operators import admin

PATH = "/charge-points/CP1"
ANY = {"If-Match": "*"}


async def add(secured: Any, *cp_ids: str) -> None:
    """Register charge points by the API, so that the running server knows them."""
    async with admin(secured.csms) as operator:
        for cp_id in cp_ids:
            await operator.ask("POST", "/charge-points", 201, json={"cp_id": cp_id, "credentials": False})


async def register_serial(secured: Any, serial: str, status: int = 200) -> Any:
    async with admin(secured.csms) as operator:
        return await operator.ask("PATCH", PATH, status, json={"registered_serial": serial}, headers=ANY)


async def test_a_certificate_may_name_the_registered_serial_number_or_the_identity(secured):
    await add(secured, "CP1", "CP2")
    by_serial, by_identity = secured.fleet.pair("SN-1"), secured.fleet.pair("CP1")
    assert await secured.outcome("CP1", pair=by_serial) == 403
    assert (await register_serial(secured, "SN-1"))["registered_serial"] == "SN-1"
    assert await secured.outcome("CP1", pair=by_serial) == 101
    assert await secured.outcome("CP1", pair=by_identity) == 101
    assert await secured.outcome("CP2", pair=by_serial) == 403
    await register_serial(secured, "")
    assert await secured.outcome("CP1", pair=by_serial) == 403


async def test_the_serial_number_that_a_charge_point_reports_counts_for_nothing(secured):
    await secured.register("CP1")
    boot = {"chargePointVendor": "Acme", "chargePointModel": "One", "chargePointSerialNumber": "SN-1"}
    async with secured.charger("CP1", tls=False) as charger:
        await charger.call("BootNotification", boot)
    assert await secured.outcome("CP1", pair=secured.fleet.pair("SN-1")) == 403


async def test_a_serial_number_and_an_identity_name_one_charge_point(secured):
    await add(secured, "CP1", "CP2")
    await register_serial(secured, "CP2", 409)
    await register_serial(secured, "cp2", 409)
    await register_serial(secured, "CP1")
    await register_serial(secured, "SN-1")
    async with admin(secured.csms) as operator:
        for path, body in (("/charge-points", {"cp_id": "SN-1"}), ("/charge-points", {"cp_id": "sn-1"})):
            assert "serial" in (await operator.ask("POST", path, 409, json=body))["type"]
        new = {"cp_id": "CP3", "registered_serial": "SN-1"}
        await operator.ask("POST", "/charge-points", 409, json=new)
        await operator.ask("GET", "/charge-points/CP3", 404)
        await operator.ask("DELETE", PATH, 204, headers=ANY)
        await operator.ask("POST", "/charge-points", 201, json=new)


async def test_the_organization_is_checked_where_one_is_set(make_secured):
    secured = await make_secured(unknown_charge_points="reject", cpo_name="Operator One")
    await secured.register("CP1")
    for organization, status in (("", 403), ("Operator Two", 403), ("operator one", 403), ("Operator One", 101)):
        pair = secured.fleet.pair("CP1", organization=organization, file=f"of {organization}")
        assert await secured.outcome("CP1", pair=pair) == status
    assert await secured.rejected("certificate_organization") == 3


async def test_without_a_name_of_ours_every_organization_is_let_in(secured):
    await secured.register("CP1")
    assert await secured.outcome("CP1", pair=secured.fleet.pair("CP1", organization="Operator Two")) == 101
