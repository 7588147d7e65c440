"""Packed samples are the samples that were sent, and give the same readings."""

import copy

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattspan.csms.large import PACKING
from wattspan.domain.packed_samples import PackedSamples, Packer, unpacked
from wattspan.domain.repeats import digest_of
from wattspan.ocppj import large
from wattspan.ocppj.frames import FRAMING_16
from wattspan.store.samples import Shapes, decode
from wattspan.versions.v2x.readings import readings as readings_2x
from wattspan.versions.v16.readings import readings as readings_16

VALUES = st.sampled_from(["1", "2.5", "", "x", 3, 4.5, None, True])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "measurand": st.sampled_from(["Energy.Active.Import.Register", "Current.Import", "Voltage", "Odd", 7]),
        "phase": st.sampled_from(["L1", "L2"]),
        "location": st.sampled_from(["Outlet", "Inlet"]),
        "context": st.sampled_from(["Transaction.Begin", "Sample.Periodic"]),
        "unit": st.sampled_from(["Wh", "kWh", "A"]),
        "unitOfMeasure": st.sampled_from([{"unit": "kWh"}, {"unit": "Wh", "multiplier": 3}, {"multiplier": 3.0}]),
        "format": st.sampled_from(["Raw", "SignedData"]),
    },
)
SAMPLES = st.lists(st.builds(lambda fields, value: {**fields, "value": value}, FIELDS, VALUES) | st.none(), max_size=4)
TIMES = st.sampled_from(["2026-11-21T10:30:00Z", "2026-11-21T10:31:00Z"])
ENTRIES = st.lists(st.fixed_dictionaries({"timestamp": TIMES, "sampledValue": SAMPLES}), max_size=6)


def packed(entries):
    copied = copy.deepcopy(entries)
    Packer().pack(copied)
    return copied


@given(ENTRIES)
def test_unpacked_entries_are_those_that_were_packed(entries):
    assert orjson.dumps([unpacked(entry) for entry in packed(entries)], option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        entries, option=orjson.OPT_SORT_KEYS
    )


@pytest.mark.parametrize("readings", [readings_16, readings_2x], ids=["1.6", "2.x"])
@given(entries=ENTRIES)
def test_packed_samples_give_the_same_readings(readings, entries):
    plain, compact = readings(copy.deepcopy(entries)), readings(packed(entries))
    assert [each._replace(samples=list(each.samples)) for each in compact] == list(plain)
    assert digest_of([(each.charger_ts, each.samples) for each in compact]) == digest_of(
        [(each.charger_ts, each.samples) for each in plain]
    )


@given(ENTRIES)
def test_packed_samples_are_stored_as_they_were_sent(entries):
    shapes = Shapes()
    for entry, compact in zip(entries, packed(entries), strict=True):
        number, values = shapes.encode(compact["sampledValue"])
        template = next((text for known, text in shapes.added() if known == number), None)
        assert decode(template, values) == entry["sampledValue"]


def test_values_that_compare_equal_keep_their_type():
    samples = [{"value": "1", "multiplier": each} for each in (1, 1.0, True)]
    (entry,) = packed([{"sampledValue": samples}])
    assert isinstance(entry["sampledValue"], PackedSamples)
    assert repr(list(entry["sampledValue"])) == repr(samples)


def test_samples_of_equal_shape_share_everything_but_their_values():
    entries = packed([{"sampledValue": [{"value": str(n), "unit": "Wh", "phase": "L1"}]} for n in range(3)])
    assert len({id(entry["sampledValue"]._shape) for entry in entries}) == 1


@pytest.mark.parametrize("action", ["StopTransaction", "DataTransfer"])
@given(entries=ENTRIES)
def test_only_the_lists_of_readings_are_packed_while_a_message_is_parsed(action, entries):
    message = [2, "x", action, {"transactionData": entries, "data": entries}]
    call = large.parse(orjson.dumps(message), FRAMING_16, PACKING)
    assert call.payload["data"] == entries
    assert [unpacked(entry) for entry in call.payload["transactionData"]] == entries
    if action == "DataTransfer":
        assert call.payload["transactionData"] == entries


def test_the_members_of_a_long_list_are_packed_while_it_is_parsed(monkeypatch):
    monkeypatch.setattr(large, "PART_BYTES", 256)
    entries = [{"timestamp": str(n), "sampledValue": [{"value": n, "unit": "Wh"}] * (1 + n % 9)} for n in range(100)]
    call = large.parse(orjson.dumps([2, "x", "MeterValues", {"meterValue": entries}]), FRAMING_16, PACKING)
    assert all(type(entry["sampledValue"]) is PackedSamples for entry in call.payload["meterValue"])
    assert [unpacked(entry) for entry in call.payload["meterValue"]] == entries
