"""Reads the network's KML. It owns the document's shape; where it came from and who asks it must not know.

A `Placemark` is a station, called by the first `name` in it; each `Data name="chargingdevice"` in it holds a device as
JSON in its `value`: `{id, name, connectors: [{id, name, description, maxchspeed}]}`, `description` being the state.
What cannot be read costs itself alone and is counted. Entities and document types are refused.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import orjson
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from wattspan.chargy.model import WORDS, Connector, Feed, merged
from wattspan.errors import FeedError
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

PIECE_BYTES = 1 << 16
"""Given to the parser at once: between two pieces another thread may have the interpreter."""
LABEL_LENGTH = 200
"""Longest text taken into a label."""


def read(document: bytes) -> Feed:
    """What a document tells. Takes a second for some megabytes: not for the event loop.

    Raises:
        FeedError: it is no KML, is cut off, has entities, or has no connector in it.
    """
    faults: Counter[str] = Counter()
    found = list(_connectors(_root(document), faults))
    connectors = merged(found)
    if len(connectors) < len(found):
        faults["double"] += len(found) - len(connectors)
    if not connectors:
        raise FeedError("malformed", "no connector in it")
    return Feed(connectors=connectors, faults=dict(faults))


def _root(document: bytes) -> Element:
    parser = DefusedXMLParser(forbid_dtd=True)
    try:
        for start in range(0, len(document), PIECE_BYTES):
            parser.feed(document[start : start + PIECE_BYTES])
        root = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as exc:  # LookupError: an unknown encoding
        raise FeedError("malformed", f"no XML that can be used: {type(exc).__name__}: {exc}") from exc
    if _name(root) != "kml":
        raise FeedError("malformed", "no KML")
    return root


def _name(element: Element) -> str:
    """Without its namespace: KML has had several."""
    return str(element.tag).rpartition("}")[2]  # a comment's tag is a function


def _all(element: Element, name: str) -> Iterator[Element]:
    return (each for each in element.iter() if _name(each) == name)


def _connectors(root: Element, faults: Counter[str]) -> Iterator[Connector]:
    for placemark in _all(root, "Placemark"):
        station = _text(next((each.text for each in _all(placemark, "name")), None))
        if not station:
            faults["station"] += 1
            continue
        for data in _all(placemark, "Data"):
            if data.get("name") == "chargingdevice":
                yield from _device(station, data, faults)


def _device(station: str, data: Element, faults: Counter[str]) -> Iterator[Connector]:
    try:
        told = orjson.loads(next((each.text for each in _all(data, "value")), None) or "")
    except orjson.JSONDecodeError:
        told = None
    connectors = told.get("connectors") if isinstance(told, dict) else None
    name = _called(told)
    if not isinstance(connectors, list) or not name:
        faults["device"] += 1
        return
    for each in connectors:
        called = _called(each)
        if called:
            yield Connector(
                station=station, device=name, name=called, speed_kw=_kw(each, faults), word=_word(each, faults)
            )
        else:
            faults["connector"] += 1


def _called(told: Any) -> str:
    """A device's or connector's name, or else its id; empty without either."""
    if not isinstance(told, dict):
        return ""
    return _text(told.get("name")) or _text(told.get("id"))


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()[:LABEL_LENGTH]


def _kw(connector: dict[str, Any], faults: Counter[str]) -> int:
    try:
        return max(0, int(float(_text(connector.get("maxchspeed")))))
    except (ValueError, OverflowError):
        faults["speed"] += 1
        return 0


def _word(connector: dict[str, Any], faults: Counter[str]) -> str:
    word = _text(connector.get("description"))
    if word.upper() not in WORDS:
        faults["state"] += 1
        limited(log, logging.WARNING, f"state {word}", "unknown state %r in the feed counts as unavailable", word)
    return word
