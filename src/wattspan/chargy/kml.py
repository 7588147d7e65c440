"""Parses the network's KML. It owns the format of the document; it must not know where it came from.

A `Placemark` is a station; its first `name` is the station's. Each `Data name="chargingdevice"` in it has a device as
JSON in its `value`: `{id, name, connectors: [{id, name, description, maxchspeed}]}`, where `description` is the state.
Invalid parts are skipped and counted. Entities and document types are refused.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import orjson
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from wattspan.chargy.model import STATE_BY_WORD, Connector, Feed, without_duplicates
from wattspan.errors import FeedError
from wattspan.telemetry.logs import limited

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 16
"""Bytes given to the parser at once; between two chunks, other threads can run."""
MAX_LABEL_LENGTH = 200
"""Characters; longer texts are cut."""


def parse(document: bytes) -> Feed:
    """Return the connectors in a document and the number of faults in it.

    Takes about a second for a few megabytes: do not call it on the event loop.

    Raises:
        FeedError: it is not KML, is cut off, has entities, or has no connector.
    """
    faults: Counter[str] = Counter()
    found = list(_connectors(_root(document), faults))
    connectors = without_duplicates(found)
    if len(connectors) < len(found):
        faults["double"] += len(found) - len(connectors)
    if not connectors:
        raise FeedError("malformed", "it has no connector")
    return Feed(connectors=connectors, faults=dict(faults))


def _root(document: bytes) -> Element:
    parser = DefusedXMLParser(forbid_dtd=True)
    try:
        for start in range(0, len(document), CHUNK_BYTES):
            parser.feed(document[start : start + CHUNK_BYTES])
        root = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as exc:  # LookupError: an unknown encoding
        raise FeedError("malformed", f"invalid XML: {type(exc).__name__}: {exc}") from exc
    if _name(root) != "kml":
        raise FeedError("malformed", "it is not KML")
    return root


def _name(element: Element) -> str:
    """Return the tag without its namespace: KML has had several."""
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
        content = orjson.loads(next((each.text for each in _all(data, "value")), None) or "")
    except orjson.JSONDecodeError:
        content = None
    connectors = content.get("connectors") if isinstance(content, dict) else None
    name = _display_name(content)
    if not isinstance(connectors, list) or not name:
        faults["device"] += 1
        return
    for each in connectors:
        connector_name = _display_name(each)
        if connector_name:
            yield Connector(
                station=station, device=name, name=connector_name, speed_kw=_kw(each, faults), word=_word(each, faults)
            )
        else:
            faults["connector"] += 1


def _display_name(item: Any) -> str:
    """Return the name of a device or connector, else its id, else an empty string."""
    if not isinstance(item, dict):
        return ""
    return _text(item.get("name")) or _text(item.get("id"))


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()[:MAX_LABEL_LENGTH]


def _kw(connector: dict[str, Any], faults: Counter[str]) -> int:
    try:
        return max(0, int(float(_text(connector.get("maxchspeed")))))
    except (ValueError, OverflowError):
        faults["speed"] += 1
        return 0


def _word(connector: dict[str, Any], faults: Counter[str]) -> str:
    word = _text(connector.get("description"))
    if word.upper() not in STATE_BY_WORD:
        faults["state"] += 1
        limited(log, logging.WARNING, f"state {word}", "unknown state %r in the feed, counted as unavailable", word)
    return word
