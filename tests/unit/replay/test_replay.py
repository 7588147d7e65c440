"""Every transcript as a log of every format: the sessions and energies are those that the transcript states."""

# ruff: noqa: E501  lines are as long as programs write them

import gzip
import json
import random
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.logs import WRITERS, messages, write_log
from support.transcripts import Transcript, transcripts
from wattspan.cli.main import main
from wattspan.replay import parallel
from wattspan.replay.report import Report, mask_token, report_of
from wattspan.replay.run import Options, play_share, replay

TRANSCRIPTS = transcripts()


def report(path: Path, **options: object) -> Report:
    return replay(Options(files=[str(path)], curves=True, **options))  # type: ignore[arg-type]


def figures(found: Report) -> list[tuple[object, ...]]:
    """What a report says of its sessions and charge points."""
    sessions = [
        (each["transaction_id"], each["connector_id"], each["energy_wh"], each["began_at"], each["ended_at"])
        for each in found.sessions
    ]
    points = [(each["vendor"], each["model"], each["boots"], each["energy_wh"]) for each in found.charge_points]
    return [*sessions, *points]


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda each: each.name)
def test_the_figures_are_those_of_the_transcript_in_every_format(transcript: Transcript, tmp_path: Path) -> None:
    found = {name: report(write_log(tmp_path / f"{name}.log", transcript, writer)) for name, writer in WRITERS.items()}
    expected = {
        step["session"]: step["has"]["energy_wh"] for step in transcript.steps if "energy_wh" in step.get("has", {})
    }
    first = found["audit log"]
    energies = {each["transaction_id"]: each["energy_wh"] for each in first.sessions}
    assert energies.items() >= expected.items()
    assert len({str(figures(each)) for each in found.values()}) == 1
    assert {each.files["messages"] for each in found.values()} == {len(list(messages(transcript)))}
    assert {each.files["unreadable_lines"] for each in found.values()} == {0}


def transcript_of(name: str) -> Transcript:
    return next(each for each in TRANSCRIPTS if each.name == name)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "plain.log", transcript_of("v16-plain-session"), WRITERS["ocpp package"])


def test_a_broken_log_is_read_as_far_as_it_can_be(log: Path) -> None:
    whole = log.read_bytes()
    chance = random.Random(7)
    for _ in range(200):
        broken = bytearray(whole)
        for _ in range(chance.randrange(1, 40)):
            at = chance.randrange(len(broken))
            if chance.random() < 0.5:
                broken[at] = chance.randrange(256)
            else:
                del broken[at : at + chance.randrange(200)]
        log.write_bytes(bytes(broken))
        found = report(log)
        assert found.files["messages"] <= len(whole.splitlines())


def test_a_compressed_log_and_several_logs_are_read(log: Path, tmp_path: Path) -> None:
    packed = tmp_path / "other.log.gz"
    text = log.read_text().replace("CP1:", "CP2:")
    packed.write_bytes(gzip.compress(text.encode()))
    found = replay(Options(files=[str(log), str(packed)]))
    assert [each["cp_id"] for each in found.charge_points] == ["CP1", "CP2"]
    assert [each["energy_wh"] for each in found.charge_points] == [7500, 7500]
    assert not found.findings


def run(*args: object, **kwargs: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, args)], **kwargs)  # type: ignore[arg-type]


def test_the_command_prints_a_report(log: Path) -> None:
    result = run(log)
    assert result.exit_code == 0, result.output
    assert "CP1\tocpp1.6\tAcme\tWallbox 11\t1\t1\t1\t7.50 kWh\t0\n" in result.output
    assert "…01" in result.output
    assert "CARD0001" not in result.output
    assert "Nothing odd was found." in result.output
    assert "CARD0001" in run(log, "--unmasked").output


def test_the_command_reads_standard_input_and_prints_json(log: Path) -> None:
    result = run("-", "--json", input=log.read_text())
    content = json.loads(result.stdout)
    assert content["sessions"][0]["energy_wh"] == 7500
    assert content["sessions"][0]["curve"]
    assert content["files"]["formats"] == {"-": "python-ocpp"}


def test_what_is_odd_is_found_with_its_line(tmp_path: Path) -> None:
    lines = [
        '2026-03-02 08:00:00 A in [2,"1","StartTransaction",{"connectorId":1,"idTag":"T","meterStart":0,"timestamp":"2026-03-02T08:00:00Z"}]',
        '2026-03-02 08:00:09 A out [3,"1",{"transactionId":5,"idTagInfo":{"status":"Accepted"}}]',
        '2026-03-02 08:00:10 A in [2,"2","StartTransaction",{"connectorId":1,"idTag":"T","meterStart":0,"timestamp":"2026-03-02T08:00:00Z"}]',
        '2026-03-02 08:00:10 A out [3,"2",{"transactionId":5,"idTagInfo":{"status":"Accepted"}}]',
        '2026-03-02 08:00:20 A out [2,"c","Reset",{"type":"Soft"}]',
        '2026-03-02 08:00:21 A in [3,"c",{"status":"Rejected"}]',
        '2026-03-02 08:00:30 A in [2,"3","MeterValues",{"connectorId":"one"}]',
        '2026-03-02 08:00:30 A out [3,"3",{}]',
        '2026-03-02 08:00:40 A in [2,"4","StatusNotification",{"connectorId":1,"errorCode":"GroundFailure","status":"Faulted","timestamp":"2030-01-01T00:00:00Z"}]',
        '2026-03-02 08:00:40 A out [3,"4",{}]',
        '2026-03-02 08:00:41 A in [2,"5","Nonsense",{}]',
        '2026-03-02 08:00:41 A out [4,"5","NotImplemented","",{}]',
        '2026-03-02 08:01:00 A in [2,"6","Heartbeat",{}]',
        '2026-03-02 12:01:00 A in [2,"7","StopTransaction",{"transactionId":99,"meterStop":5,"timestamp":"2026-03-02T12:01:00Z"}]',
        '2026-03-02 12:01:00 A out [3,"7",{}]',
        '2026-03-02 12:00:00 A in [2,"8","Heartbeat",{}]',
    ]  # fmt: skip
    log = tmp_path / "odd.log"
    log.write_text("\n".join(lines))
    found = {(each["kind"], each["first_where"].rpartition(":")[2]) for each in report(log).findings}
    assert found >= {
        ("slow_answer", "1"),
        ("repeated_start", "4"),
        ("command_rejected", "6"),
        ("schema_fault", "7"),
        ("fault", "10"),
        ("clock", "10"),
        ("protocol_fault", "12"),
        ("no_answer", "13"),
        ("gap", "14"),
        ("unmatched_stop", "15"),
        ("time_order", "16"),
    }


@pytest.mark.parametrize(
    ("start", "stop", "text"),
    [
        ("1000", "1000", "start and stop have the same one, but readings between them rise"),
        ("1000", "3", "that of the stop can't follow the ones before"),
    ],
)
def test_energy_that_is_not_as_the_charge_point_said_is_found(start: str, stop: str, text: str, tmp_path: Path) -> None:
    reading = (
        f'{{"timestamp":"2026-03-02T08:{minute:02}:00Z","sampledValue":[{{"value":"{1000 + 100 * minute}"}}]}}'
        for minute in range(1, 9)
    )
    lines = [
        f'2026-03-02 08:00:00 A in [2,"1","StartTransaction",{{"connectorId":1,"idTag":"T","meterStart":{start},"timestamp":"2026-03-02T08:00:00Z"}}]',
        '2026-03-02 08:00:00 A out [3,"1",{"transactionId":5,"idTagInfo":{"status":"Accepted"}}]',
        f'2026-03-02 08:09:00 A in [2,"2","MeterValues",{{"connectorId":1,"transactionId":5,"meterValue":[{",".join(reading)}]}}]',
        '2026-03-02 08:09:00 A out [3,"2",{}]',
        f'2026-03-02 08:10:00 A in [2,"3","StopTransaction",{{"transactionId":5,"meterStop":{stop},"timestamp":"2026-03-02T08:10:00Z"}}]',
        '2026-03-02 08:10:00 A out [3,"3",{}]',
    ]  # fmt: skip
    log = tmp_path / "odd.log"
    log.write_text("\n".join(lines))
    (found,) = report(log).findings
    assert found["text"] == f"the energy of a session is not the difference of its registers: {text}"
    assert found["first_where"].endswith(":6")


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda each: each.name)
def test_the_curve_of_a_session_that_ended_reaches_its_energy(transcript: Transcript, tmp_path: Path) -> None:
    for session in report(write_log(tmp_path / "x.log", transcript, WRITERS["audit log"])).sessions:
        first, last = session["curve"][0], session["curve"][-1]
        assert (first["at"], first["energy_wh"]) == (session["began_at"], 0)
        if session["ended_at"] is not None:
            assert (last["at"], last["energy_wh"]) == (session["ended_at"], session["energy_wh"])


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_html_report_is_one_file_that_shows_the_curve(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    hostile = log.read_text().replace("CP1:", "<script>alert(1)</script>:")
    log.write_text(hostile)
    assert run(log, "--html", path).exit_code == 0
    page = _Page()
    page.feed(path.read_text())
    assert {"table", "svg", "rect", "h1"} <= set(page.tags)
    assert "script" not in page.tags
    assert page.addresses == []


@pytest.mark.parametrize(("token", "shown"), [("", ""), ("A", "…"), ("CARD0001", "…01"), ("0" * 20 + "ABCD", "…ABCD")])
def test_an_id_tag_is_shown_in_part(token: str, shown: str) -> None:
    assert mask_token(token) == shown


def test_a_file_without_messages_is_refused_with_the_formats(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("hello\n")
    result = run(path)
    assert result.exit_code == 1
    assert "choose one of json, steve, python-ocpp, envelope, text with --format" in result.output


def test_samples_have_the_times_of_the_log(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples.om"
    assert run(log, "--openmetrics", path, "--interval", "300").exit_code == 0
    lines = path.read_text().splitlines()
    assert lines[-1] == "# EOF"
    began_ts = transcript_of("v16-plain-session").began_ts
    energy = [line.rsplit(" ", 2)[1:] for line in lines if line.startswith("ocpp_tx_energy_wh{")]
    assert [value for value, at in energy if float(at) == began_ts + 1200] == ["2400.0"]
    times = [float(line.rsplit(" ", 1)[1]) for line in lines[:-1]]
    assert times == sorted(times)


@pytest.fixture
def odd_logs(tmp_path: Path) -> list[str]:
    """Logs of all transcripts and charge points, with lines out of order, broken lines and repeated faults."""
    chance = random.Random(3)
    for number, transcript in enumerate(TRANSCRIPTS):
        path = write_log(tmp_path / f"{number}.log", transcript, WRITERS["audit log"], cp_id=f"CP{number % 17}")
        lines = path.read_text().splitlines()
        for _ in range(len(lines) // 10):
            at, to = (chance.randrange(len(lines)) for _ in range(2))
            lines[at], lines[to] = lines[to], lines[at]
        lines.insert(chance.randrange(len(lines)), lines[0][:-9])
        path.write_text("\n".join(lines))
    return [str(path) for path in sorted(tmp_path.glob("*.log"))]


def test_several_processes_find_exactly_what_one_does(odd_logs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    options = Options(files=odd_logs, curves=True)
    monkeypatch.setattr(parallel, "LARGE_BYTES", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    one = replay(options)
    assert one.findings
    assert one.sessions
    assert parallel.replay_files(options) == one


@pytest.mark.parametrize("count", [2, 3, 7])
def test_any_division_of_the_charge_points_gives_the_same_report(
    odd_logs: list[str], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("wattspan.replay.findings.MAX_FINDINGS", 12)
    monkeypatch.setattr("wattspan.replay.player.MAX_SESSIONS", 9)
    monkeypatch.setattr("wattspan.replay.report.MAX_SESSIONS", 9)
    options = Options(files=odd_logs, curves=True)
    one = replay(options)
    assert one.findings_left_out
    assert report_of([play_share(replace(options, share=(index, count))) for index in range(count)]) == one


def test_a_report_as_json_is_one_object_with_all_of_it(log: Path) -> None:
    found = report(log)
    shown = json.loads("".join(found.json_parts()))
    assert list(shown) == [each.name for each in fields(found)]
    assert shown == {each.name: getattr(found, each.name) for each in fields(found)} | {
        "sessions": list(found.sessions)
    }
    assert list(found.sessions[:1]) == [found.sessions[0]]
    assert found.sessions[0]["curve"]
