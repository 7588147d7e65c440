import json

import pytest

from support.feeds import connector, device, kml, placemark, plain
from wattspan.chargy.kml import parse
from wattspan.chargy.model import Connector
from wattspan.errors import FeedError

BOMB = b"""<?xml version="1.0"?><!DOCTYPE kml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<kml><Placemark><name>&b;</name></Placemark></kml>"""
OUTSIDE = b"""<!DOCTYPE kml [<!ENTITY f SYSTEM "file:///etc/hostname">]><kml><name>&f;</name></kml>"""


def states(document: bytes) -> list[tuple[str, str]]:
    return [(each.name, each.state) for each in parse(document).connectors]


def test_a_connector_has_station_device_name_and_whole_kilowatts():
    data = device("D1", connector("D1-1", "AVAILABLE"))
    (found,) = parse(kml(placemark("  Parking &amp; Ride ", data))).connectors
    assert found == Connector(station="Parking & Ride", device="D1", name="D1-1", speed_kw=22, word="AVAILABLE")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("AVAILABLE", "available"),
        ("available", "available"),
        *[(word, "charging") for word in ("CHARGING", "SUSPENDED_EV", "SUSPENDED_EVSE", "FINISHING", "PREPARING")],
        *[(word, "unavailable") for word in ("UNAVAILABLE", "OFFLINE", "FAULT", "NEVER_SEEN")],
    ],
)
def test_the_words_of_the_feed_map_to_three_states(word, state):
    feed = parse(plain(word))
    assert [each.state for each in feed.connectors] == [state]
    assert feed.connectors[0].word == word


def test_an_unknown_word_is_logged_and_counted(caplog):
    assert parse(plain("A_NEW_WORD", "AVAILABLE")).faults == {"state": 1}
    assert "'A_NEW_WORD'" in caplog.text


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("<Placemark><name> </name></Placemark>", "station"),
        ("<Placemark/>", "station"),
        (placemark("P", "{not json"), "device"),
        (placemark("P", "[1, 2]"), "device"),
        (placemark("P", "null"), "device"),
        (placemark("P", json.dumps({"name": "D"})), "device"),
        (placemark("P", json.dumps({"connectors": []})), "device"),
        (placemark("P", device("D", "no connector", connector("D-9", "AVAILABLE"))), "connector"),
        (placemark("P", device("D", {"description": "AVAILABLE"})), "connector"),
        (placemark("P", device("D", connector("D-9", "AVAILABLE", "fast"))), "speed"),
        (placemark("P", device("D", connector("D-9", "AVAILABLE", "1e999"))), "speed"),
        (placemark("P", device("D", connector("D-9", "AVAILABLE", None))), "speed"),
        ('<Placemark><name>P</name><Data name="chargingdevice"/></Placemark>', "device"),
    ],
)
def test_an_invalid_part_is_skipped_and_counted(bad, fault):
    good = placemark("Good", device("G", connector("G-1", "CHARGING")))
    feed = parse(kml(good, bad, good.replace("G-1", "H-1")))
    assert feed.faults == {fault: 1}
    assert {"G-1", "H-1"} <= {each.name for each in feed.connectors}


def test_a_name_may_be_a_number_and_defaults_to_the_id():
    data = json.dumps({"id": 12, "connectors": [{"id": 4, "description": "AVAILABLE", "maxchspeed": 50}]})
    (found,) = parse(kml(placemark("P", data))).connectors
    assert (found.device, found.name) == ("12", "4")


def test_connectors_with_the_same_labels_are_one_with_the_best_state():
    twins = [connector("D-1", word) for word in ("OFFLINE", "CHARGING", "AVAILABLE", "CHARGING")]
    feed = parse(kml(placemark("P", device("D", *twins)), placemark("P", device("D", twins[0]))))
    assert [(each.name, each.word) for each in feed.connectors] == [("D-1", "AVAILABLE")]
    assert feed.faults == {"double": 4}


def test_another_speed_is_another_connector():
    data = device("D", connector("D-1", "AVAILABLE", 22), connector("D-1", "CHARGING", 50))
    assert len(parse(kml(placemark("P", data))).connectors) == 2


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"no xml",
        BOMB,
        OUTSIDE,
        plain("AVAILABLE")[:-20],
        b"<html><body>down for maintenance</body></html>",
        kml(),
        kml(placemark("P")),
        b'<?xml version="1.0" encoding="nonsense"?><kml/>',
        b"<kml>\xff\xfe</kml>",
    ],
)
def test_a_document_without_a_connector_is_refused(document):
    with pytest.raises(FeedError) as caught:
        parse(document)
    assert caught.value.reason == "malformed"


def test_any_namespace_is_accepted():
    bare = plain("AVAILABLE").replace(b' xmlns="http://www.opengis.net/kml/2.2"', b"")
    assert states(bare) == states(plain("AVAILABLE")) == [("D-1", "available")]


def test_long_texts_are_cut():
    (found,) = parse(kml(placemark("P" * 5000, device("D", connector("D-1", "AVAILABLE"))))).connectors
    assert len(found.station) == 200
