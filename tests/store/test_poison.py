import pytest

from support import databases
from support.fleet_events import NOW, connected, metered, started
from wattspan.domain import events as ev
from wattspan.store.codec import from_json, to_json
from wattspan.store.journal.isolate import sanitize
from wattspan.store.samples import LONGEST_SHAPE, SHAPES_LIMIT, Shapes, decode

POISON = {
    "text that is no Unicode": {"vendor": "Volt\ud800"},
    "a surrogate in the model": {"model": "\udfff"},
}


def query(site, sql):
    return databases.query(site.path, sql)


@pytest.mark.parametrize("fields", POISON.values(), ids=POISON)
async def test_a_bad_text_is_written_mended_and_kept_as_it_was(site, fields):
    site.apply(connected("CP1"), connected("CP2"), ev.ChargePointBooted(cp_id="CP1", received_ts=NOW, **fields))
    site.apply(started("CP2"))
    assert await site.commit() is None
    assert query(site, "SELECT cp_id FROM charge_points ORDER BY 1") == [("CP1",), ("CP2",)]
    assert query(site, "SELECT boots FROM charge_points WHERE cp_id='CP1'") == [(1,)]
    assert query(site, "SELECT table_name, mended FROM unwritable") == [("charge_points", 1)]
    assert query(site, "SELECT count(*) FROM transactions") == [(1,)]


async def test_numbers_that_are_none_and_beyond_64_bits_harm_nobody(site):
    site.apply(connected(), started())
    site.apply(ev.TransactionStarted(**{**as_dict(started("CP1", "2", "2")), "reservation_id": 2**70}))
    site.apply(metered(1500.0, NOW, current_a=float("nan"), power_w=float("inf")))
    assert await site.commit() is None
    assert query(site, "SELECT count(*) FROM meter_readings") == [(1,)]
    assert query(site, "SELECT reservation_id FROM transactions WHERE transaction_id='2'") == [(2**63 - 1,)]


def as_dict(event):
    return {name: getattr(event, name) for cls in type(event).__mro__[:-1] for name in getattr(cls, "__slots__", ())}


async def test_a_row_that_cannot_even_be_mended_is_set_aside_and_the_rest_goes_on(site, caplog):
    site.apply(connected(), started())
    assert await site.commit() is None
    site.fleet._recalled.clear()
    site.fleet.charge_points["CP1"].transactions.clear()
    site.apply(started(at=NOW + 5), metered(1500.0, NOW + 6))  # the same key under another number
    assert await site.commit() is None
    assert query(site, "SELECT number FROM transactions") == [(1,)]
    assert query(site, "SELECT table_name, mended FROM unwritable") == [("transactions", 0)]
    assert query(site, "SELECT count(*) FROM meter_readings") == [(1,)]
    assert "TOKEN" not in caplog.text


async def test_odd_samples_come_back_as_they_were(site):
    odd = ["text", {"no": "value"}, {"value": "\ud800"}, {"value": 2**70}, {"value": {"deep": [1]}, "unit": "Wh"}]
    site.apply(connected(), started())
    for n, samples in enumerate([odd, [odd[4]], [odd[2]], (), "text"]):
        reading = ev.Reading(charger_ts=NOW + n, samples=samples)
        site.apply(
            ev.MeterValuesReceived(
                cp_id="CP1", received_ts=NOW, connector_id="1", transaction_id="1", readings=(reading,)
            )
        )
    assert await site.commit() is None
    read = await site.store.readings(1)
    assert [reading.samples for reading in read] == [odd, [odd[4]], [odd[2]], [], "text"]


def test_json_takes_whatever_a_message_may_hold():
    for value in ({"a": "\ud800"}, [2**70], {"1": None}, "text", [1.5, True]):
        assert from_json(to_json(value)) == value
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert to_json(nested) == "null"


def test_the_shape_of_samples_is_told_once_and_only_when_written():
    shapes = Shapes()
    first = [{"value": "1", "unit": "Wh"}, {"value": "2", "phase": "L1"}]
    number, values = shapes.encode(first)
    assert (values, len(shapes.added())) == ('["1","2"]', 1)
    shapes.settle(written=False)
    assert shapes.encode(first)[0] == number
    [(_, template)] = shapes.added()
    shapes.settle(written=True)
    assert (shapes.encode(first)[0], shapes.added()) == (number, [])
    assert decode(template, values) == first
    for n in range(SHAPES_LIMIT):
        shapes.encode([{"value": "1", "unit": f"odd {n}"}])
    assert shapes.encode([{"value": "1", "unit": "one too many"}]) == (None, '[{"value":"1","unit":"one too many"}]')


def test_a_shape_without_end_fills_its_row_and_no_memory():
    shapes = Shapes()
    endless = [{"value": "1", "unit": "x" * LONGEST_SHAPE}]
    number, values = shapes.encode(endless)
    assert (number, shapes.added()) == (None, [])
    assert decode(None, values) == endless


def test_mending_leaves_what_is_well():
    for value in (None, 1, -1.5, "text", b"bytes", True):
        assert sanitize(value) is value


async def test_what_cannot_even_be_told_as_a_row_keeps_nobody_waiting(site, caplog):
    site.apply(connected("CP1"), connected("CP2"))
    site.fleet.charge_points["CP1"].errors = None
    site.fleet.charge_points["CP1"].call_errors = 5
    assert await site.commit() is None
    assert query(site, "SELECT cp_id FROM charge_points") == [("CP2",)]
    assert "is skipped" in caplog.text
