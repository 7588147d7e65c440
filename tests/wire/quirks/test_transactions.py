"""Transactions as real chargers tell them. Each docstring has the words of docs/quirks.md."""

import pytest

from support.chargers import START, energy, meter_values, stop

AT = {"cp_id": "CP1", "connector_id": "1"}
NEXT = {**START, "timestamp": "2026-11-21T12:00:00Z", "meterStart": 8500}


@pytest.fixture
async def charger(csms):
    async with csms.charger("CP1") as connected:
        yield connected


@pytest.fixture
async def tx(charger) -> int:
    return (await charger.call("StartTransaction", START))["transactionId"]


def dated(at: str | None) -> dict[str, str]:
    """The timestamp of a message; none if `at` is None."""
    return {} if at is None else {"timestamp": at}


async def total(csms) -> float:
    return await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1")


@pytest.mark.parametrize("end", [None, "restart"])
async def test_start_transaction_repeated_with_the_original_timestamp(csms, charger, tx, end):
    """StartTransaction repeated with the original timestamp, under a new message id, even after its stop"""
    assert (await charger.call("StartTransaction", START))["transactionId"] == tx
    await charger.call("StopTransaction", stop(tx))
    if end:
        await csms.restart()
    async with csms.charger("CP1") as again:
        assert (await again.call("StartTransaction", START))["transactionId"] == tx
        assert await csms.metric("ocpp_tx_active", **AT) == 0
        assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
        assert await total(csms) == 7500


async def test_stop_transaction_repeated_many_times(csms, charger, tx):
    """StopTransaction repeated many times"""
    for number in range(20):
        assert await charger.call("StopTransaction", stop(tx)) == {}
        if number == 10:
            following = (await charger.call("StartTransaction", NEXT))["transactionId"]
    assert await total(csms) == 7500
    assert await csms.metric("ocpp_tx_active", **AT) == 1
    await charger.call("StopTransaction", stop(following, 9500))
    assert await total(csms) == 8500


UNDATED = {
    "1970": ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    "2106": ("2106-02-07T06:28:15Z", "2106-02-07T06:28:15Z"),
    "missing": (None, None),
    "constant": ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
}
"""Timestamps of start and stop that are the same in every session."""


@pytest.mark.parametrize("end", [None, "reconnect", "restart"])
@pytest.mark.parametrize(("started_at", "stopped_at"), UNDATED.values(), ids=UNDATED)
async def test_two_sessions_of_one_tag_without_credible_timestamps(csms, end, started_at, stopped_at):
    """two sessions of one tag, timestamps constant or missing, meter from 0 each time"""
    start = {"connectorId": 1, "idTag": "TAG1", "meterStart": 0} | dated(started_at)
    charger = await csms.charger("CP1").__aenter__()
    ids = []
    for stop_wh in (5000, 7000, 6000):
        first = (await charger.call("StartTransaction", start))["transactionId"]
        # The answer was lost: it is sent again, on the same connection or on the next.
        if end is None:
            assert (await charger.call("StartTransaction", start))["transactionId"] == first
        else:
            await charger.socket.close()
            if end == "restart":
                await csms.restart()
            charger = await csms.charger("CP1").__aenter__()
            assert (await charger.call("StartTransaction", start))["transactionId"] == first
        ended = {"transactionId": first, "meterStop": stop_wh} | dated(stopped_at)
        await charger.call("StopTransaction", ended)
        if end == "restart":
            await csms.restart()
            charger = await csms.charger("CP1").__aenter__()
        await charger.call("StopTransaction", ended)  # and so is the stop
        ids.append(first)
    assert len(set(ids)) == 3
    await charger.socket.close()
    assert await total(csms) == 18_000
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 3
    assert await csms.metric("ocpp_tx_active", **AT) == 0
    await csms.durable()
    assert sorted(tx.meter.energy_wh for tx in await csms.store.transactions()) == [5000, 6000, 7000]


@pytest.mark.parametrize("unnamed", [0, -1])
async def test_a_start_without_a_credible_timestamp_after_a_stop_under_no_id(csms, charger, unnamed):
    """two sessions of one tag, timestamps constant or missing, meter from 0 each time"""
    start = {"connectorId": 1, "idTag": "TAG1", "meterStart": 0, **dated("1970-01-01T00:00:00Z")}
    ended = {"transactionId": unnamed, "meterStop": 5000, **dated("1970-01-01T00:00:00Z")}
    first = (await charger.call("StartTransaction", start))["transactionId"]
    await charger.call("StopTransaction", ended)
    # The charger never learnt the id, so it may send both again; on a later connection it has a new session.
    assert (await charger.call("StartTransaction", start))["transactionId"] == first
    await charger.call("StopTransaction", ended)
    assert await csms.metric("ocpp_tx_total", cp_id="CP1") == 1
    async with csms.charger("CP1") as again:
        assert (await again.call("StartTransaction", start))["transactionId"] != first
        assert await csms.metric("ocpp_tx_active", **AT) == 1
        await again.call("StopTransaction", ended)
        assert await csms.metric("ocpp_tx_active", **AT) == 0
    assert await total(csms) == 10_000


@pytest.mark.parametrize("unknown", [77, 0, -1])
async def test_stop_for_an_unknown_id(csms, charger, unknown):
    """stop for an unknown id must still be answered, and its energy kept (transactionData)"""

    def value(wh: int, context: str) -> dict[str, object]:
        return {"timestamp": "2026-11-21T10:00:00Z", "sampledValue": [{**energy(wh), "context": context}]}

    data = [value(100, "Transaction.Begin"), value(900, "Transaction.End")]
    for _ in range(3):
        assert await charger.call("StopTransaction", stop(unknown, 900, transactionData=data)) == {}
    assert await total(csms) == 800
    await csms.durable()
    (kept,) = await csms.store.transactions()
    assert (kept.meter.energy_wh, kept.meter_stop_wh) == (800, 900)


@pytest.mark.parametrize("told", [0, -1, 9223372036854775807])
async def test_transaction_id_0_or_minus_1_or_the_highest_there_is(csms, charger, tx, told):
    """transactionId 0, -1 (offline), 9223372036854775807"""
    assert await charger.call("MeterValues", meter_values(told, energy(3000))) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 2000
    for _ in range(2):
        assert await charger.call("StopTransaction", stop(told)) == {}
    # Who never learnt the id means the only one there is; any other number names a transaction that is not ours.
    closed = told in (0, -1)
    assert await csms.metric("ocpp_tx_active", **AT) == (0 if closed else 1)
    assert await total(csms) == (7500 if closed else 0)
    if not closed:
        await charger.call("StopTransaction", stop(tx))
        assert await total(csms) == 7500


async def test_transaction_id_left_on_meter_values_after_the_stop(csms, charger, tx):
    """transactionId left on meter values after the stop"""
    await charger.call("StopTransaction", stop(tx))
    current = {"value": "16", "measurand": "Current.Import"}
    assert await charger.call("MeterValues", meter_values(tx, energy(9000), current)) == {}
    assert await csms.metric("ocpp_cp_current_a", **AT) == 0
    following = (await charger.call("StartTransaction", NEXT))["transactionId"]
    assert await charger.call("MeterValues", meter_values(tx, energy(99_000), current)) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 0
    assert await csms.metric("ocpp_cp_current_a", **AT) == 0
    assert await charger.call("MeterValues", meter_values(following, energy(8700))) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 200
    assert await total(csms) == 7500


async def test_meter_stop_below_meter_start(csms, charger, tx):
    """meterStop below meterStart"""
    assert await charger.call("StopTransaction", stop(tx, 900)) == {}
    assert await csms.metric("ocpp_tx_active", **AT) == 0
    assert await total(csms) >= 0
    await csms.durable()
    (kept,) = await csms.store.transactions()
    assert kept.meter_stop_wh == 900  # what it said is kept as it said it


async def test_meter_stop_below_what_was_measured_takes_nothing_back(csms, charger, tx):
    """meterStop below meterStart"""
    await charger.call("MeterValues", meter_values(tx, energy(4000)))
    await charger.call("StopTransaction", stop(tx, 0))
    assert await total(csms) == 3000


@pytest.mark.parametrize("named", [True, False])
async def test_meter_values_after_the_stop(csms, charger, tx, named):
    """meter values after the stop"""
    await charger.call("StopTransaction", stop(tx))
    assert await charger.call("MeterValues", meter_values(tx if named else None, energy(8600))) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 0
    assert await csms.metric("ocpp_tx_active", **AT) == 0
    assert await total(csms) == 7500


@pytest.mark.parametrize("wrong", [999, "nonsense", None, -7, {}])
async def test_a_wrong_transaction_id_in_meter_values_is_answered_and_its_readings_are_kept(csms, charger, tx, wrong):
    """a wrong transactionId in MeterValues answered with an error is repeated for ever"""
    told = {**meter_values(None, energy(1700)), "transactionId": wrong}
    assert await charger.call("MeterValues", told) == {}
    assert await csms.metric("ocpp_tx_energy_wh", **AT) == 700
