"""How much of a device model is kept, in which order, and what becomes of values told twice."""

import pytest

from support.fleet_events import NOW
from wattspan.domain import events as ev
from wattspan.domain.device_model import Attribute, Characteristics, Monitor, Variable
from wattspan.store.journal import device_model

HEAT = Variable(component="Controller", variable="Temperature")


def told(*attributes, cp_id="CP1", at_ts=NOW, **more):
    return ev.DeviceModelReported(cp_id=cp_id, received_ts=NOW, reported_ts=at_ts, attributes=attributes, **more)


def numbered(number):
    return Variable(component="Controller", variable=f"V{number:03d}")


async def shown(site, cp_id="CP1", **wanted):
    """(variable, its values) in the order they are read."""
    found = await site.store.device_model(cp_id, **wanted)
    return [(each.of.variable, [attribute.value for attribute in each.attributes]) for each in found]


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_the_newest_value_stays_whatever_the_order_and_what_was_told_once_is_not_forgotten(site, in_one_batch):
    whole = Attribute(of=HEAT, value="1", mutability="ReadOnly", persistent=False, constant=True)
    for event in (told(whole), told(Attribute(of=HEAT, value="3"), at_ts=NOW + 2), told(Attribute(of=HEAT, value="2"))):
        site.apply(event)
        if not in_one_batch:
            await site.commit()
    await site.commit()
    (found,) = await site.store.device_model("CP1")
    assert found.attributes == (whole._replace(value="3"),)
    assert found.reported_ts == NOW + 2


async def test_what_may_only_be_written_is_not_kept_once_that_is_known(site):
    site.apply(told(Attribute(of=HEAT, value="hidden")))
    await site.commit()
    site.apply(told(Attribute(of=HEAT, mutability="WriteOnly")))
    await site.commit()
    site.apply(told(Attribute(of=HEAT, value="hidden")))
    await site.commit()
    assert await shown(site) == [("Temperature", [None])]


async def test_a_full_device_model_takes_values_of_what_it_has_and_nothing_new(site, monkeypatch):
    monkeypatch.setattr(device_model, "MAX_ATTRIBUTES", 3)
    monkeypatch.setattr(device_model, "MAX_CHARACTERISTICS", 2)
    monkeypatch.setattr(device_model, "MAX_MONITORS", 2)
    for value in ("old", "new"):
        site.apply(
            told(
                *(Attribute(of=numbered(number), value=value) for number in range(5)),
                characteristics=tuple(Characteristics(of=numbered(n), data_type="string") for n in range(5)),
                monitors=tuple(Monitor(of=numbered(n), monitor_id=n, type="Delta") for n in range(5)),
            ),
            told(Attribute(of=HEAT, value="1"), cp_id="CP2"),
        )
        await site.commit()
    assert await shown(site) == [(f"V00{number}", ["new"]) for number in range(3)]
    found = await site.store.device_model("CP1")
    assert sum(each.characteristics is not None for each in found) == 2
    assert sum(len(each.monitors) for each in found) == 2
    assert await shown(site, "CP2") == [("Temperature", ["1"])]


async def test_streams_are_bounded_too(site, monkeypatch):
    monkeypatch.setattr(device_model, "MAX_STREAMS", 2)
    for number in range(5):
        site.apply(ev.EventStreamOpened(cp_id="CP1", received_ts=NOW, stream_id=number, monitor_id=1))
        site.apply(
            ev.EventStreamReceived(cp_id="CP1", received_ts=NOW, stream_id=number, value="1", reported_ts=NOW, count=2)
        )
        await site.commit()
    assert [(each.stream_id, each.received_count) for each in await site.store.event_streams("CP1")] == [(0, 2), (1, 2)]


async def test_it_is_read_in_pages_and_by_name(site):
    site.apply(told(*(Attribute(of=numbered(number), value=str(number)) for number in range(7))))
    site.apply(told(Attribute(of=HEAT._replace(component="Zone"), value="x")))
    await site.commit()
    names, after = [], None
    while page := await site.store.device_model("CP1", limit=3, after=after):
        names += [each.of.variable for each in page]
        after = page[-1].of
    assert names == [*(f"V00{number}" for number in range(7)), "Temperature"]
    assert await shown(site, component="Zone") == [("Temperature", ["x"])]
    assert await shown(site, variable="V003") == [("V003", ["3"])]
    assert await shown(site, "CP9") == []


async def test_a_stream_names_the_variable_that_its_monitor_watches(site):
    site.apply(ev.EventStreamOpened(cp_id="CP1", received_ts=NOW, stream_id=1, monitor_id=5, interval_s=10, values=3))
    await site.commit()
    assert [each.of for each in await site.store.event_streams("CP1")] == [None]
    site.apply(told(monitors=(Monitor(of=HEAT, monitor_id=5, type="Periodic"),)))
    for value, at_ts in (("late", NOW + 5), ("early", NOW)):
        site.apply(
            ev.EventStreamReceived(cp_id="CP1", received_ts=NOW, stream_id=1, value=value, reported_ts=at_ts, count=1)
        )
        await site.commit()
    (stream,) = await site.store.event_streams("CP1")
    assert (stream.of, stream.value, stream.received_count, stream.interval_s) == (HEAT, "late", 2, 10)


@pytest.mark.parametrize("limit", [5000, 0])
async def test_a_value_that_no_database_takes_does_no_harm_to_the_others(site, monkeypatch, limit):
    monkeypatch.setattr(device_model, "MAX_MONITORS", limit)
    odd = Monitor(of=HEAT, monitor_id=2**70, type="Delta")
    site.apply(told(Attribute(of=HEAT, value="1"), Attribute(of=numbered(1), value="\0"), monitors=(odd,)))
    assert await site.commit() is None
    assert ("Temperature", ["1"]) in await shown(site)
