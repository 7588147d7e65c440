"""Logs as they come from real machines: other encodings, cut, collected by somebody else, written twice."""

import gzip
import html
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from support.logs import WRITERS, write_log
from support.transcripts import Transcript, transcripts
from wattspan.replay import run
from wattspan.replay.report import Report

PLAIN: Transcript = next(each for each in transcripts() if each.name == "v16-plain-session")
FORMATS = ["audit log", "ocpp package"]
BERLIN = ZoneInfo("Europe/Berlin")


def replay(*paths: Path, zone: ZoneInfo | None = None) -> Report:
    return run.replay(run.Options(files=[str(path) for path in paths], zone=zone or UTC))


@pytest.fixture(params=FORMATS)
def text(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The log of one session."""
    return write_log(tmp_path / "plain", PLAIN, WRITERS[request.param]).read_text()


def outside(text: str, line: Callable[[str], str]) -> bytes:
    return "".join(f"{line(each)}\n" for each in text.splitlines()).encode()


def docker(line: str) -> str:
    return json.dumps({"log": f"{line}\n", "stream": "stderr", "time": "2026-03-02T08:00:00.123456789Z"})


def journald(line: str) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": "1772438400123456", "_HOSTNAME": "csms", "MESSAGE": line})


ODD: dict[str, Callable[[str], bytes]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "UTF-8 with a mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16 of PowerShell": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16, the other order": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "gzip by another name": lambda text: gzip.compress(text.encode()),
    "two gzip files in one": lambda text: gzip.compress(text[:999].encode()) + gzip.compress(text[999:].encode()),
    "gzip of UTF-16": lambda text: gzip.compress(text.encode("utf-16")),
    "emptied while it was written": lambda text: bytes(4096) + text.encode(),
    "colours": lambda text: outside(text, lambda line: f"\x1b[32m{line}\x1b[0m"),
    "every line twice": lambda text: outside(text, lambda line: f"{line}\n{line}"),
    "Docker": lambda text: outside(text, docker),
    "journald": lambda text: outside(text, journald),
    "syslog": lambda text: outside(text, lambda line: f"Mar 02 08:00:00 host csms[12]: {line}"),
}


@pytest.mark.parametrize("block_bytes", [61, 1 << 20])
@pytest.mark.parametrize("odd", ODD)
def test_a_log_says_the_same_however_it_was_kept(
    text: str, odd: str, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattspan.replay.reader.BLOCK_BYTES", block_bytes)
    plain, kept = tmp_path / "plain.log", tmp_path / "kept.log"
    plain.write_text(text)
    kept.write_bytes(ODD[odd](text))
    expected, found = replay(plain), replay(kept)
    assert [dict(row) | {"where": ""} for row in found.sessions] == [
        dict(row) | {"where": ""} for row in expected.sessions
    ]
    assert (found.charge_points, found.findings) == (expected.charge_points, [])
    assert (found.files["messages"], found.files["unreadable_lines"]) == (26, 0)
    assert found.files["repeated_lines"] == (26 if odd == "every line twice" else 0)


@pytest.mark.parametrize(
    "line",
    [
        lambda line: f'Information,3/2/2026 9:00:01 AM,CSMS,0,None,"{line.replace(chr(34), chr(34) * 2)}"',
        lambda line: f"<Event><EventData><Data>{html.escape(line)}</Data></EventData></Event>",
        lambda line: f"event={json.dumps(line)}",
    ],
    ids=["CSV", "XML", "text in JSON"],
)
def test_quotes_that_an_export_escapes_are_made_plain(line: Callable[[str], str], tmp_path: Path) -> None:
    log = write_log(tmp_path / "plain.log", PLAIN, WRITERS["ocpp package"])
    expected = replay(log)
    log.write_bytes(outside(log.read_text(), line))
    found = replay(log)
    assert list(found.sessions) == list(expected.sessions)
    assert (found.charge_points, found.findings) == (expected.charge_points, [])


def test_the_lines_of_a_json_array_are_read(tmp_path: Path) -> None:
    log = write_log(tmp_path / "plain.log", PLAIN, WRITERS["audit log"])
    log.write_text("[\n" + ",\n".join(log.read_text().splitlines()) + "\n]\n")
    found = replay(log)
    assert (found.files["messages"], found.files["unreadable_lines"], len(found.sessions)) == (26, 0, 1)


@pytest.mark.parametrize("damage", [lambda packed: packed[:-40], lambda packed: packed[:-60] + b"X" * 60])
def test_a_damaged_compressed_file_is_read_as_far_as_it_goes(
    text: str, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    log = tmp_path / "csms.log.gz"
    log.write_bytes(damage(gzip.compress(text.encode())))
    found = replay(log)
    assert found.files["messages"] > 5
    assert any("compressed file" in each["reason"] for each in found.files["first_unreadable"])


def test_the_older_file_of_a_rotated_log_comes_first_within_a_second(text: str, tmp_path: Path) -> None:
    lines = text.splitlines(keepends=True)
    older, newer = tmp_path / "csms.log.1", tmp_path / "csms.log"
    for half in range(1, len(lines)):
        older.write_text("".join(lines[:half]))
        newer.write_text("".join(lines[half:]))
        found = replay(newer, older)
        assert (found.findings, [row["energy_wh"] for row in found.sessions]) == ([], [7500.0])


def test_an_empty_file_among_rotated_ones_says_nothing(text: str, tmp_path: Path) -> None:
    full, empty = tmp_path / "csms.log.1", tmp_path / "csms.log"
    full.write_text(text)
    empty.write_text("")
    assert replay(empty, full).files["messages"] == 26
    assert replay(empty).files["messages"] == 0


def test_the_second_hour_is_an_hour_later_when_clocks_are_turned_back(tmp_path: Path) -> None:
    began = datetime(2026, 10, 25, 0, 10, tzinfo=UTC)  # 02:10 in Berlin, where 03:00 is 02:00 again at 01:00 UTC
    log = tmp_path / "csms.log"
    lines = []
    for number in range(13):  # every ten minutes, each answered ten seconds later
        at = began + timedelta(minutes=10 * number)
        for later_s, word, message in (
            (0, "receive message", f'[2,"{number}","Heartbeat",{{}}]'),
            (10, "send", f'[3,"{number}",{{"currentTime":"{at.isoformat()}"}}]'),
        ):
            local = (at + timedelta(seconds=later_s)).astimezone(BERLIN)
            lines.append(f"{local:%Y-%m-%d %H:%M:%S} INFO ocpp CP1: {word} {message}\n")
    log.write_text("".join(lines))
    found = replay(log, zone=BERLIN)
    assert {each["kind"] for each in found.findings} == {"slow_answer"}
    (answers,) = found.answers
    assert (answers["count"], answers["mean_s"]) == (13, 10.0)
    assert found.files["ended_at"] == "2026-10-25T02:10:10.000+00:00"
