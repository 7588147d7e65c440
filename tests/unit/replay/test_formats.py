"""Lines as programs write them, and the records that `wattspan replay` reads in them."""

# ruff: noqa: E501  lines are as long as programs write them

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from wattspan.replay.formats import FORMATS
from wattspan.replay.formats.base import Format, Unreadable
from wattspan.replay.formats.json_lines import JsonLines
from wattspan.replay.formats.known_heads import KnownHeads, KnownJsonHeads
from wattspan.replay.formats.plain_text import PlainText
from wattspan.replay.formats.python_ocpp import PythonOcpp
from wattspan.replay.formats.steve import SteVe
from wattspan.replay.reader import LogError, LogReader
from wattspan.replay.records import Closed, Connected, Frame, PassedOver

BOOT = '[2,"1","BootNotification",{"chargePointVendor":"Acme","chargePointModel":"One"}]'
ANSWER = '[3,"1",{"status":"Accepted","currentTime":"2026-03-02T08:00:01Z","interval":120}]'
AT = datetime(2026, 3, 2, 8, 0, 1, 250_000, tzinfo=UTC).timestamp()
NO_TIME = pytest.approx(float("nan"), nan_ok=True)

LINES = [
    # (format, line, charge point, from the charge point, time)
    (PythonOcpp(), f"INFO:ocpp:CP_1: receive message {BOOT}", "CP_1", True, NO_TIME),
    (PythonOcpp(), f"INFO:ocpp:CP_1: send {BOOT}", "CP_1", False, NO_TIME),
    (PythonOcpp(), f"2026-03-02 08:00:01,250 - ocpp - DEBUG - CP_1: send message {BOOT}", "CP_1", False, AT),
    (PythonOcpp(), f"2026-03-02 08:00:01.250 INFO (MainThread) [ocpp] My charger: receive message {BOOT}", "My charger", True, AT),
    (PythonOcpp(), f"homeassistant  | 2026-03-02 08:00:01.250 INFO (MainThread) [ocpp] Switch_EV: send {BOOT}", "Switch_EV", False, AT),
    (PythonOcpp(), f"[ocpp  ] TRACE 2026/03/02 08:00:01.250 received JSON message from Garage: {BOOT}", "Garage", True, AT),
    (PythonOcpp(), f"evcc  | [ocpp  ] TRACE 2026/03/02 08:00:01.250 send Garage: {BOOT}", "Garage", False, AT),
    (PythonOcpp(), f"evcc  | [ocpp  ] TRACE 2026/03/02 08:00:01.250 recv Garage: {BOOT}", "Garage", True, AT),
    (SteVe(), f"[INFO ] 2026-03-02 08:00:01,250 de.rwth.idsg.steve.ocpp.ws.WebSocketLogger (qtp13-59) - [chargeBoxId=TG 2, sessionId=d72-64] Received: {BOOT}", "TG 2", True, AT),
    (SteVe(), f"[INFO\t]\t2026-03-02\t08:00:01,250\tWebSocketLogger\t(qtp13-59)\t-\t[chargeBoxId=TG2,\tsessionId=d72-64]\tSending:\t{BOOT}", "TG2", False, AT),
    (PlainText(), f"2026-03-02T08:00:01.250Z CP1 > {BOOT}", "CP1", False, AT),
    (PlainText(), f"2026-03-02T09:00:01.250+01:00 CP1 <- {BOOT}", "CP1", True, AT),
    (PlainText(), f"[2026/03/02 08:00:01.25] [CP-1] [received] {BOOT}", "CP-1", True, AT),
    (PlainText(), f"2026-03-02 08:00:01.25 INFO sent: {BOOT}", "", False, AT),
]  # fmt: skip


@pytest.mark.parametrize(("format_", "line", "cp_id", "from_charge_point", "at"), LINES)
def test_a_line_of_each_program_is_read(format_, line, cp_id, from_charge_point, at):
    record = format_.parse(line, UTC)
    assert record == Frame(at, cp_id, from_charge_point, BOOT)


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (
            '{"ts":1772438401.25,"cp_id":"CP1","direction":"in","frame":[2,"1","Heartbeat",{}]}',
            Frame(AT, "CP1", True, [2, "1", "Heartbeat", {}]),
        ),
        (
            '{"stationId":"CP1","origin":"csms","protocol":"ocpp2.0.1","action":"Reset",'
            '"message":[2,"1","Reset",{}],"timestamp":"2026-03-02T08:00:01.250Z"}',
            Frame(AT, "CP1", False, [2, "1", "Reset", {}], "ocpp2.0.1"),
        ),
        (
            '{"stationId":"CP1","event":"message","origin":"cs","message":"[2,\\"1\\",\\"Heartbeat\\",{}]",'
            '"info":{"timestamp":"2026-03-02T08:00:01.250Z"}}',
            Frame(AT, "CP1", True, '[2,"1","Heartbeat",{}]'),
        ),
        ('{"ts":1772438401.25,"cp_id":"CP1","direction":"in","frame":"nonsense"}', Frame(AT, "CP1", True, "nonsense")),
        ('{"ts":1772438401.25,"cp_id":"CP1","direction":"in","message":"a note"}', None),
        ('{"time":1772438401250,"cp_id":"CP1","event":"connected","version":"1.6J"}', Connected(AT, "CP1", "ocpp1.6")),
        ('{"ts":1772438401.25,"cp_id":"CP1","event":"closed","code":1006}', Closed(AT, "CP1", 1006)),
    ],
)
def test_json_lines_have_many_keys(line, record):
    assert JsonLines().parse(line, UTC) == record


def test_steve_logs_connections():
    begin = "[INFO ] 2026-03-02 08:00:01,250 WebSocketLogger (qtp) - [chargeBoxId=CP1, sessionId=1]"
    assert SteVe().parse(f"{begin} Connection is established", UTC) == Connected(AT, "CP1")
    closed = f"{begin} Connection is closed, status: CloseStatus[code=1006, reason=null]"
    assert SteVe().parse(closed, UTC) == Closed(AT, "CP1", 1006, "")


def test_times_without_an_offset_are_in_the_given_zone():
    line = f"2026-03-02 09:00:01.25 CP1 in {BOOT}"
    record = PlainText().parse(line, ZoneInfo("Europe/Luxembourg"))
    assert record is not None
    assert record.ts == AT


@pytest.mark.parametrize("format_", FORMATS, ids=lambda each: each.name)
@pytest.mark.parametrize(
    "line", ["", "[", "{", "]" * 5000, "[2," * 5000, "a: " * 50_000, ": send " * 50_000, "\x00\xff", "{}", "[]"]
)
def test_no_line_is_fatal(format_, line, tmp_path):
    log = tmp_path / "CP1.log"
    log.write_text(f"{line}\n")
    reader = LogReader(format_=format_)
    list(reader.read(str(log)))
    assert reader.counts.lines == 1


def read(path, text, **options):
    path.write_text(text)
    reader = LogReader(**options)
    return reader, [located.record for located in reader.read(str(path))]


def test_messages_of_several_lines_are_joined(tmp_path):
    lines = [
        '2026-03-02 08:00:01.250 INFO (MainThread) [ocpp] CP1: receive message [2,"1","MeterValues",',
        "{",
        '"connectorId": 1, "meterValue": [',
        "{",
        '"sampledValue": [',
        '{"value": "299"}',
        "]",
        "}",
        "]",
        "}]",
        '2026-03-02 08:00:02.250 INFO (MainThread) [ocpp] CP1: send [3,"1",{}]',
    ]
    reader, (values, answer) = read(tmp_path / "home-assistant.log", "\n".join(lines))
    assert isinstance(values, Frame)
    assert values.data.replace("\n", "").endswith('"meterValue": [{"sampledValue": [{"value": "299"}]}]}]')
    assert answer.ts == AT + 1
    assert reader.counts.unreadable == 0
    assert reader.counts.formats == {str(tmp_path / "home-assistant.log"): "python-ocpp"}


def test_lines_that_cannot_be_read_are_counted_and_shown(tmp_path):
    text = f'CP1: receive message {BOOT}\nCP1: receive message [2,"2","Hea\nCP1: send {ANSWER}\nTraceback:\n'
    reader, records = read(tmp_path / "x.log", text)
    assert len(records) == 2
    assert reader.counts.unreadable == 1
    assert reader.counts.ignored == 1
    ((shown,),) = reader.counts.first_unreadable.values()
    assert (shown.line, shown.reason) == (2, "the message has no end")


def test_the_log_of_a_charge_point_has_its_directions_turned(tmp_path):
    _, (boot, answer) = read(tmp_path / "x.log", f"CP1: send {BOOT}\nCP1: receive message {ANSWER}\n")
    assert boot.from_charge_point
    assert not answer.from_charge_point


def test_messages_without_a_time_have_that_of_their_content(tmp_path):
    reader, (boot, answer) = read(tmp_path / "x.log", f"CP1: receive message {BOOT}\nCP1: send {ANSWER}\n")
    assert boot.ts == answer.ts == AT - 0.25
    assert reader.counts.untimed == 2


def test_a_file_without_identities_is_named_after_its_charge_point(tmp_path):
    _, (boot,) = read(tmp_path / "GARAGE-7.log.txt", f"2026-03-02 08:00:01 received {BOOT}\n")
    assert boot.cp_id == "GARAGE-7"


def test_a_file_in_no_known_format_is_refused_and_formats_are_named(tmp_path):
    with pytest.raises(LogError, match="choose one of json, steve, python-ocpp, envelope, text with --format"):
        read(tmp_path / "x.log", "nothing here\n")


def outcome(parse: Callable[[str], object], line: str) -> str:
    """What a parser makes of a line, as a text: NaN differs from itself."""
    try:
        return repr(parse(line))
    except Unreadable as fault:
        return repr(fault)


TEXT_FORMATS = [each for each in FORMATS if not each.is_json]


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin")], ids=str)
@pytest.mark.parametrize("format_", TEXT_FORMATS, ids=lambda each: each.name)
def test_a_line_with_a_known_head_is_read_as_by_its_format(format_: Format, zone):
    chance = random.Random(11)
    known = KnownHeads(format_, zone)
    lines = [line for _, line, *_ in LINES]
    for _ in range(3_000):
        line = chance.choice(lines)
        kind = chance.randrange(6)
        if kind == 0:  # another time
            line = line.replace("08:00:01", f"{chance.randrange(30):02}:00:{chance.randrange(70):02}", 1)
        elif kind == 1:  # another fraction
            line = line.replace("250", str(chance.randrange(10**9))[: chance.randrange(8)], 1)
        elif kind == 2:  # another message
            line = line.replace(
                BOOT, chance.choice([ANSWER, "[2]", "[2,", "", "[ 3,1,{}]", f"{BOOT}  ", f"[9] {ANSWER}"])
            )
        elif kind == 3:  # another offset, or a date elsewhere
            line = line.replace("Z", "+05:30", 1) if chance.random() < 0.5 else f"2024-01-01 00:00:00.000 {line}"
        elif kind == 4:  # damage
            at = chance.randrange(len(line))
            line = line[:at] + chance.choice(["", "[", "]", ":", " ", "7", "[2,"]) + line[at + chance.randrange(3) :]
        expected = outcome(lambda text: format_.parse(text, zone), line)
        assert outcome(known.parse, line) == expected
        assert outcome(known.parse, line) == expected


JSON_HEADS = [
    '{"ts": "2026-03-02T08:00:00+05:30", "cp_id": "CP1", "direction": "out", "frame": %s, "protocol": "ocpp1.6"}',
    '{"ts": 1772438400250, "cp_id": "CP1", "direction": "out", "frame": %s, "protocol": "ocpp1.6"}',
    '{"cp_id":"CP1","timestamp":"2026-03-02T08:00:00.250Z","direction":"in","message":%s}',
    '{"timestamp":"2026-03-02T08:00:00.250","id":"7","direction":"in","message":%s,"stationId":"CP1"}',
    '{"direction":"received","station":"CP[1]","at":"2026-03-02 08:00:00","data":%s}',
]


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin")], ids=str)
@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_json_line_with_a_known_head_is_read_as_by_its_format(zone, is_wanted):
    chance, format_ = random.Random(12), JsonLines()
    # One parser for each key of the time, as a file has one.
    parsers = {head: KnownJsonHeads(format_, zone, lambda _: is_wanted) for head in JSON_HEADS}
    times = ["1772438400.25", "1772438400250", "0.5", "1e9", "007", "null", '"2026-03-02T08:00:61Z"', '"2026-03-02"']
    times += ['"2026-03-02T08:00:01.5+05:30"', '"1772438400"', '"2026-03-02T08:00:01,5Z"', "9" * 400, "-5", "1_0", "1."]
    passed = 0
    for _ in range(5_000):
        head = chance.choice(JSON_HEADS)
        line = head % chance.choice([BOOT, ANSWER, "[2]", '"[3,1,{}]"', "[2,", '[3,"x",{}],"a":[]'])
        kind = chance.randrange(4)
        if kind == 0:  # another time
            line = re.sub(r'1772\d+(\.\d+)?|"2026[^"]+"', chance.choice(times), line, count=1)
        elif kind == 1:  # damage
            at = chance.randrange(len(line))
            line = line[:at] + chance.choice(["", "[", "]", '"', " ", "7", ","]) + line[at + chance.randrange(3) :]
        expected, found = outcome(lambda text: format_.parse(text, zone), line), outcome(parsers[head].parse, line)
        if found.startswith("PassedOver("):
            passed += 1
            assert not is_wanted
            begin = found.removeprefix("PassedOver").removesuffix(")")  # time and charge point
            assert begin in expected or not expected.startswith("Frame(")
        else:
            assert found == expected
    assert (passed > 100) is not is_wanted


def test_an_unreadable_line_of_a_known_head_has_its_time(tmp_path):
    log = tmp_path / "audit.log"
    log.write_text("\n".join(JSON_HEADS[0] % message for message in (BOOT, "[2,]", ANSWER)))
    reader = LogReader()
    assert [type(each.record) for each in reader.read(str(log))] == [Frame, PassedOver, Frame]
    assert (reader.counts.records, reader.counts.unreadable, reader.counts.unreadable_of_wanted) == (2, 0, 1)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("block_bytes", [7, 64, 1 << 20])
def test_every_line_is_read_once_with_its_number(tmp_path, monkeypatch, block_bytes, end):
    monkeypatch.setattr("wattspan.replay.reader.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("wattspan.replay.reader.GUESS_LINES", 5)
    path = tmp_path / "csms.log"
    lines = [f'2026-03-02T08:00:{number:02}Z C\u00e4P1 < [2,"{number}","Heartbeat",{{}}]' for number in range(20)]
    path.write_bytes(end.join(line.encode() for line in lines) + (end if block_bytes == 64 else b""))
    reader = LogReader()
    read = list(reader.read(str(path)))
    assert [(each.line, each.record.data) for each in read] == [
        (number + 1, line[line.index("[") :]) for number, line in enumerate(lines)
    ]
    assert (reader.counts.lines, reader.counts.records, reader.counts.bytes) == (20, 20, path.stat().st_size)


def test_an_endless_line_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("wattspan.replay.reader.BLOCK_BYTES", 16)
    monkeypatch.setattr("wattspan.replay.reader.MAX_LINE_BYTES", 64)
    path = tmp_path / "csms.log"
    path.write_text("x" * 1_000 + '\n2026-03-02T08:00:01Z CP1 < [2,"1","Heartbeat",{}]\n')
    reader = LogReader(format_=PlainText())
    assert [each.record.cp_id for each in reader.read(str(path))] == ["CP1"]
    assert reader.counts.lines > 10
