"""Large messages are parsed in parts, and come out as if they were not."""

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wattspan.errors import FrameError
from wattspan.ocppj import frames, large
from wattspan.ocppj.frames import FRAMING_16, FRAMING_201

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(alphabet=st.sampled_from('ab"\\{}[],: \u00e9\U0001f50c'), max_size=12)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=6),
    max_leaves=60,
)


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "PART_BYTES", 8)
        yield


def whole(data: bytes) -> object:
    try:
        return frames.parse(data)
    except FrameError as fault:
        return fault.code, fault.message_id


def in_parts(data: bytes) -> object:
    found = large.parse(data, FRAMING_16)
    return (found.code, found.message_id) if isinstance(found, FrameError) else found


@example({"": "\\" * 8 + '"'}, None, False)
@given(st.dictionaries(TEXTS, VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_a_message_in_parts_is_the_same_as_whole(payload, indent, ascii_only):
    data = json.dumps([2, "x", "DataTransfer", payload], indent=indent, ensure_ascii=ascii_only).encode()
    assert in_parts(data) == whole(data)


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=6), st.integers(0, 10_000), st.sampled_from(b'[]{},:"1 '))
def test_a_broken_message_is_no_message_in_parts_either(payload, where, byte):
    data = bytearray(orjson.dumps([2, "x", "DataTransfer", payload]))
    data[where % len(data)] = byte
    assert in_parts(bytes(data)) == whole(bytes(data))


@pytest.mark.parametrize("data", [b"", b" ", b'"a', b"[", b"[2,", b"[2,,3]", b"[2,]", b"[}", b"[] []", b"[[[1]}]"])
def test_what_is_no_message_whole_is_none_in_parts(data):
    assert in_parts(data) == whole(data)


def test_equal_strings_are_one_object():
    data = orjson.dumps([2, "x", "MeterValues", {"list": [{"unit": "Wh", "value": "1.5"}] * 20}])
    call = large.parse(data, FRAMING_201)
    assert len({id(each["unit"]) for each in call.payload["list"]}) == 1


@pytest.mark.parametrize("member", [b"[]", b"{}", b"1", b'{"a":1}', b'"%d"', b'{"%d":0}'])
def test_a_message_whose_values_take_too_much_memory_is_refused(member, monkeypatch):
    monkeypatch.setattr(large, "PART_BYTES", 256)
    monkeypatch.setattr(large, "MAX_PARSED_BYTES", 100_000)
    members = b",".join(member.replace(b"%d", b"%d" % number) for number in range(10_000))
    fault = large.parse(b'[2,"x","DataTransfer",{"data":[' + members + b"]}]", FRAMING_16)
    description = "the message needs more than 0 MiB of memory when it is parsed"
    assert (fault.code, fault.description, fault.message_id) == ("GenericError", description, "x")


@pytest.mark.parametrize(("head", "expected"), [(b'[2,"x",', "x"), (b" [2, 7 ,", 7), (b"[3,1,", "-1"), (b"[[", "-1")])
def test_a_message_that_is_too_large_is_refused_under_its_own_id(head, expected, monkeypatch):
    monkeypatch.setattr(large, "MAX_PARSED_BYTES", 100_000)
    fault = large.parse(head + b'"A",[' + b"[]," * 10_000 + b"1]]", FRAMING_16)
    assert fault.message_id == expected


@pytest.mark.parametrize("levels", [1_000, 1_000_000])
def test_a_message_that_is_nested_too_deeply_is_refused(levels, monkeypatch):
    monkeypatch.setattr(large, "PART_BYTES", 64 << 10)
    data = b"[2,1,2," + b"1," * 100_000 + b"[" * levels + b"]" * levels + b"]"
    assert large.parse(data, FRAMING_16).description == "nested too deeply"


@pytest.mark.parametrize(
    ("character", "is_refused"), [("x", False), ("é", False), ("\U0001f50c", True), ("\\ud83d\\udd0c", True)]
)
def test_a_long_text_counts_by_its_widest_character(character, is_refused, monkeypatch):
    monkeypatch.setattr(large, "PART_BYTES", 256)
    monkeypatch.setattr(large, "LARGE_TEXT_BYTES", 1_000)
    monkeypatch.setattr(large, "MAX_PARSED_BYTES", 30_000)
    data = f'[2,"x","DataTransfer",{{"data":"{"x" * 5_000}{character}{"x" * 5_000}"}}]'.encode()
    found = large.parse(data, FRAMING_16)
    assert isinstance(found, FrameError) == is_refused
    assert found.message_id == "x"
