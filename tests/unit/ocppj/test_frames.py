import json
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattspan.errors import FrameError
from wattspan.ocppj import frames
from wattspan.ocppj.frames import FRAMING_16, FRAMING_21, FRAMING_201, Call, CallError, CallResult, ResultError, Send

FRAMINGS = [FRAMING_16, FRAMING_201, FRAMING_21]
FRAMINGS += [replace(framing, strict=True) for framing in FRAMINGS]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=5,
)
NEARLY = st.tuples(st.sampled_from([2, 3, 4, 5, 6]), JSON, JSON, JSON, JSON).flatmap(
    lambda parts: st.integers(0, 5).map(lambda size: list(parts[:size]))
)


def parsed(data: bytes, framing=frames.FRAMING_16) -> frames.Frame | FrameError | None:
    try:
        return frames.parse(data, framing)
    except FrameError as fault:
        return fault


@given(st.binary(), st.sampled_from(FRAMINGS))
def test_any_bytes_are_a_frame_or_a_frame_error(data, framing):
    found = parsed(data, framing)
    assert found is None or isinstance(found, Call | CallResult | CallError | ResultError | Send | FrameError)


@given(NEARLY | JSON, st.sampled_from(FRAMINGS))
def test_any_json_is_a_frame_or_a_frame_error_that_can_be_answered(value, framing):
    found = parsed(json.dumps(value).encode(), framing)
    if isinstance(found, FrameError):
        sent = orjson.loads(frames.call_error(found.message_id, found.code, found.description, {}))
        assert sent[:3] == [4, found.message_id, found.code]
    elif isinstance(found, Call):
        assert found.message_id == value[1]
        assert type(found.payload) is dict


@given(st.sampled_from([3, 4]), JSON, st.lists(JSON, max_size=4), st.sampled_from(FRAMINGS))
def test_a_result_is_never_answered_with_an_error_however_odd(kind, message_id, rest, framing):
    assert not isinstance(parsed(json.dumps([kind, message_id, *rest]).encode(), framing), FrameError)


@given(st.sampled_from([5, 6]), JSON, st.lists(JSON, max_size=4), st.booleans())
def test_what_2_1_has_no_answer_for_gets_none_however_odd(kind, message_id, rest, strict):
    """OCPP-J 2.1 §4.2.4, §4.2.5."""
    found = parsed(json.dumps([kind, message_id, *rest]).encode(), replace(FRAMING_21, strict=strict))
    assert isinstance(found, ResultError | Send) or not found.answered


@given(st.text(max_size=255) | st.integers(-(2**63), 2**63 - 1), st.dictionaries(st.text(), st.text()))
def test_an_id_comes_back_as_it_was(message_id, payload):
    found = frames.parse(orjson.dumps([2, message_id, "Heartbeat", payload]))
    assert found == Call(message_id, "Heartbeat", payload)
    assert orjson.loads(frames.call_result(found.message_id, payload)) == [3, message_id, payload]


def test_our_own_calls_are_frames():
    assert frames.parse(frames.call("1", "Reset", {"type": "Soft"})) == Call("1", "Reset", {"type": "Soft"})


def test_a_callerror_s_missing_parts_are_filled_in():
    assert frames.parse(b'[4,"1"]') == CallError("1", "GenericError", "", {})
    assert frames.parse(b'[4,"1","NotSupported","no",{"a":1}]') == CallError("1", "NotSupported", "no", {"a": 1})
    assert frames.parse(b'[4,"1","",7,[]]') == CallError("1", "GenericError", "", {})


def test_a_description_is_cut_to_what_ocpp_allows():
    assert len(orjson.loads(frames.call_error("1", "GenericError", "d" * 300, {}))[3]) == 255


@pytest.mark.parametrize("kind", [0, 1, 5, 6, -2])
def test_a_message_type_ocpp_does_not_name_is_ignored(kind):
    assert frames.parse(orjson.dumps([kind, "1", "x", {}])) is None


def test_2_1_has_two_more_types():
    assert frames.parse(b'[5,"1","GenericError","no",{}]', FRAMING_21) == ResultError("1", "GenericError", "no", {})
    assert frames.parse(b'[6,"1","X",{"a":1}]', FRAMING_21) == Send("X", {"a": 1})
    assert frames.parse(b'[7,"1","X",{}]', FRAMING_21) is None


@pytest.mark.parametrize(("message_id", "told"), [("x", "x"), (5, 5), (None, "-1"), ({}, "-1"), ("x" * 300, "-1")])
def test_2_0_1_refuses_a_type_that_it_does_not_have_under_the_id_it_came_with(message_id, told):
    fault = parsed(orjson.dumps([9, message_id]), FRAMING_201)
    assert (fault.code, fault.message_id) == ("MessageTypeNotSupported", told)
