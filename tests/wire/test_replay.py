"""A log played to a real central system, and exported to a real receiver."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.central import Csms
from support.logs import WRITERS, write_log
from support.otlp import receiver
from support.transcripts import transcripts
from wattspan.cli.main import main
from wattspan.replay.against import Unreachable, play_against
from wattspan.replay.reader import LogReader

PLAIN = next(each for each in transcripts() if each.name == "v16-plain-session")
TRANSCRIPTS = {each.name: each for each in transcripts()}


def log_of(name: str, folder: Path, cp_id: str = "CP1") -> Path:
    return write_log(folder / f"{cp_id}.log", TRANSCRIPTS[name], WRITERS["audit log"], cp_id=cp_id)


async def test_a_log_is_played_to_another_central_system(csms: Csms, tmp_path: Path) -> None:
    for _ in range(3):  # its transaction ids are ahead of the log's
        async with csms.charger("BUSY") as charger:
            await charger.call(
                "StartTransaction",
                {"connectorId": 1, "idTag": "X", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"},
            )
    url = csms.url("/ocpp/{cp_id}")
    comparison = await play_against(url, LogReader().read(str(log_of("v16-plain-session", tmp_path))))
    assert comparison.calls == comparison.equal == 13
    assert not comparison.differences
    assert await csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1") == 7500


async def test_answers_that_differ_are_reported_with_their_line(csms: Csms, tmp_path: Path) -> None:
    path = log_of("v16-plain-session", tmp_path)
    path.write_text(
        path.read_text().replace('"idTagInfo": {"status": "Accepted"}', '"idTagInfo": {"status": "Blocked"}')
    )
    comparison = await play_against(csms.url(""), LogReader().read(str(path)))
    found = {each.detail: each.where.rpartition(":")[2] for each in comparison.differences.values()}
    assert found["Authorize: Blocked in the log, Accepted now"] == "9"
    assert comparison.equal < comparison.calls


async def test_a_central_system_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    records = LogReader().read(str(log_of("v16-plain-session", tmp_path)))
    with pytest.raises(Unreachable):
        await play_against("ws://127.0.0.1:9", records)


async def test_the_command_compares(csms: Csms, tmp_path: Path) -> None:
    path = log_of("v201-plain-session", tmp_path)
    arguments = ["replay", str(path), "--against", csms.url("/{cp_id}"), "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["calls"] == content["equal"] > 5


async def test_the_command_plays_only_the_chosen_charge_points(csms: Csms, tmp_path: Path) -> None:
    paths = [str(log_of("v16-plain-session", tmp_path, cp_id)) for cp_id in ("CP1", "CP2")]
    arguments = ["replay", *paths, "--against", csms.url("/"), "--cp", "CP2"]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == "13 requests sent, 13 answers as in the log\n"
    assert await csms.metric("ocpp_cp_connected", cp_id="CP1") is None


@pytest.mark.parametrize("name", ["v16-plain-session", "v21-dc-with-soc"])
def test_spans_and_metrics_leave_with_the_times_of_the_log(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, transcript = log_of(name, tmp_path), TRANSCRIPTS[name]
    with receiver() as received:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.endpoint)
        result = CliRunner().invoke(main, ["replay", str(path), "--otlp", "--interval", "60"])
        assert result.exit_code == 0, result.output
        spans = {span.name: span for span in received.spans()}
        points = received.metric("ocpp_tx_energy_wh")
    began_ns, ended_ns = transcript.began_ts * 1e9, (transcript.began_ts + 7200) * 1e9
    assert {"BootNotification", "charging session"} <= spans.keys()
    assert all(began_ns <= span.start_time_unix_nano <= span.end_time_unix_nano <= ended_ns for span in spans.values())
    assert len({point.time_unix_nano for point in points}) > 3
    assert all(began_ns <= point.time_unix_nano <= ended_ns for point in points)


def test_a_collector_that_is_not_there_ends_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log_of("v16-plain-session", tmp_path)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    result = CliRunner().invoke(main, ["replay", str(path), "--otlp"])
    assert "set OTEL_EXPORTER_OTLP_ENDPOINT" in result.output
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")
    result = CliRunner().invoke(main, ["replay", str(path), "--otlp"])
    assert result.exit_code == 1
    assert "the Collector did not take the" in result.output
