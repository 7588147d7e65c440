"""`wattspan replay` as its user sees it: what it prints, what it refuses and why."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.logs import WRITERS, write_log
from support.transcripts import transcripts
from wattspan.cli.main import main

TRANSCRIPTS = {each.name: each for each in transcripts()}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "CP1.log", TRANSCRIPTS["v16-fault-and-recovery"], WRITERS["audit log"])


def run(*args: object, **kwargs: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, args)], **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["--html", "--openmetrics"])
def test_a_file_that_cannot_be_written_is_an_error_before_anything_is_read(option: str, log: Path) -> None:
    result = run(log, option, log.parent / "nowhere" / "out")
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("url", ["http://csms.example/{cp_id}", "csms.example", "ws://"])
def test_an_address_that_is_no_websocket_url_is_refused(url: str, log: Path) -> None:
    result = run(log, "--against", url)
    assert result.exit_code == 2
    assert f"'{url}' is no WebSocket URL; an example is ws://csms.example/ocpp/{{cp_id}}" in result.stderr


@pytest.mark.parametrize("option", [["--otlp"], ["--html", os.devnull], ["--openmetrics", os.devnull], ["--unmasked"]])
def test_what_means_nothing_with_against_is_refused(option: list[str], log: Path) -> None:
    result = run(log, "--against", "ws://127.0.0.1:9/", *option)
    assert result.exit_code == 2
    assert f"{option[0]} cannot be combined with --against" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--format", "steve"], "no messages; the format may be another one: try without --format"),
        (["--cp", "CP2"], "no messages of CP2"),
        (["--cp", "CP2", "--cp", "CP3"], "no messages of CP2, CP3"),
    ],
)
def test_a_report_without_messages_says_what_was_looked_for(arguments: list[str], reason: str, log: Path) -> None:
    assert run(log, *arguments).stdout.splitlines()[-1] == f"24 lines, {reason}"


def test_one_is_not_many(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text('2026-03-02T08:00:00Z CP1 < [2,"1","Heartbeat",{}]\n2026-03-02T08:00:01Z CP1 < [2,"2"\n')
    output = run(path, "--html", tmp_path / "x.html").stdout
    assert "2 lines, 1 message, " in output
    assert "1 line could not be read:" in output
    assert "1 message of 1 charge point, " in (tmp_path / "x.html").read_text()


def test_a_page_of_a_log_without_messages_names_no_times(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("")
    assert run(tmp_path / "x.log", "--html", tmp_path / "x.html").exit_code == 0
    page = (tmp_path / "x.html").read_text()
    assert "No messages." in page
    assert "?" not in page


def test_sessions_have_their_phases_and_errors(log: Path, tmp_path: Path) -> None:
    header, row = (line.split("\t") for line in run(log).stdout.partition("\nSessions\n")[2].splitlines()[:2])
    found = dict(zip(header, row, strict=True))
    assert found["phases"] == "preparing 1 s, charging 6 min"
    assert found["errors"] == "1"
    run(log, "--html", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert "preparing 1 s, charging 6 min; 1 error" in page


def test_progress_leaves_no_trace_on_the_terminal(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wattspan.replay.run.PROGRESS_RECORDS", 1)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    main(["replay", str(log)], standalone_mode=False)
    shown, _, rest = capsys.readouterr().err.rpartition(" MB")
    assert shown
    assert rest == "\033[K\r\033[K"
