"""Errors that pass from one node to another."""

import orjson
import pytest

from wattspan.cluster.remote_errors import dump, load
from wattspan.errors import (
    CommandInvalid,
    CommandRefused,
    CommandTimeout,
    ConnectionLost,
    NotConnected,
    OperationUnsupported,
    StoreUnavailable,
    TransactionNotIdentified,
    WattspanError,
)

ERRORS = [
    NotConnected("CP1", "Reset"),
    CommandTimeout("CP1", "Reset", 30.0),
    CommandRefused("CP1", "Reset", "InternalError", "broken", {"inner": ["a"]}),
    CommandInvalid("CP1", "Reset", "no such command"),
    CommandInvalid("CP1", "Reset", "odd", [("/type", "is odd")]),
    OperationUnsupported("CP1", "Reset", "2.x has none"),
    TransactionNotIdentified("CP1", "RemoteStop", "several"),
    ConnectionLost("CP1", "Reset"),
    StoreUnavailable("locked"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_on_the_other_node(error: WattspanError) -> None:
    again = load(orjson.loads(orjson.dumps(dump(error))))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert getattr(again, "error_type", None) == getattr(error, "error_type", None)
    assert getattr(again, "faults", None) == getattr(error, "faults", None)
    assert getattr(again, "code", None) == getattr(error, "code", None)


def test_an_error_of_one_module_becomes_the_one_that_it_is_based_on() -> None:
    class Odd(ConnectionLost):
        pass

    assert type(load(dump(Odd("CP1", "Reset")))) is ConnectionLost


def test_an_error_of_another_release_is_an_error_all_the_same() -> None:
    found = load({"kind": "NewInTheNextRelease", "text": "what happened", "fields": {}})
    assert type(found) is WattspanError
    assert str(found) == "what happened"
