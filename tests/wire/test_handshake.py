"""Where a charge point may knock, and what is told to those who knock elsewhere or otherwise."""


async def rejected(csms, reason: str) -> float | None:
    return await csms.metric("ocpp_central_handshakes_rejected_total", reason=reason)


async def test_a_charge_point_is_found_under_every_path_chargers_use(csms):
    full_url = f"ws://127.0.0.1:{csms.central.port}/ws/CP6"
    paths = ("/ws/CP0", "/CP1", "/ocpp/CP2", "///ws//CP3/", "/CP4?token=1", "/ws/C%505", full_url)
    for number, target in enumerate(paths):
        async with csms.raw_charger(target) as charger:
            assert charger.status == 101
            assert await csms.metric("ocpp_cp_connected", cp_id=f"CP{number}") == 1


NOWHERE = [
    ("/", "path"),
    ("/ws", "path"),
    ("/ws/", "path"),
    ("/ws/CP1/more", "path"),
    ("/other/CP1", "path"),
    ("/ws/%00", "identity"),
    ("/ws/CP%0A1", "identity"),
    ("/ws/%FF%FE", "identity"),
    ("/ws/..%2F..%2Fetc", "identity"),
    ("/ws/%20", "identity"),
    (f"/ws/{'x' * 256}", "identity"),
]


async def test_a_wrong_path_or_identity_gets_404_and_a_count_by_reason(csms):
    for number, (target, reason) in enumerate(NOWHERE):
        async with csms.raw_charger(target) as charger:
            assert charger.status == 404
        assert await rejected(csms, reason) == sum(each == reason for _, each in NOWHERE[: number + 1])
    assert [line for line in await csms.page() if "cp_id=" in line] == []


async def test_what_is_no_websocket_is_refused_and_makes_no_series(csms):
    async with csms.raw_charger(Upgrade="", Connection="close") as charger:
        assert charger.status == 426
    async with csms.raw_charger(Sec_WebSocket_Version="7") as charger:
        assert charger.status == 400
    assert await rejected(csms, "request") == 2
    assert [line for line in await csms.page() if "cp_id=" in line] == []


async def test_bytes_that_are_no_http_are_survived(csms):
    async with csms.raw_charger("/ws/CP1 extra words") as charger:
        assert charger.status == 400
    async with csms.charger("CP1") as good:
        assert await good.call("Heartbeat")
