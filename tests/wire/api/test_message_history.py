"""Kept messages by HTTP: paired, masked, searchable, and readable by the replay."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.central import Csms
from support.chargers import START, stop
from support.operators import Operator
from wattspan.cli.replay import replay_command
from wattspan.history import messages as message_log

HISTORY = "/charge-points/CP1/message-history"


async def test_each_call_is_beside_its_answer_with_its_time_and_trace_and_masked(
    csms: Csms, operator: Operator
) -> None:
    async with csms.charger("CP1") as charger:
        await charger.call("Heartbeat")
        await charger.call("StartTransaction", START)
        await charger.send("NoSuchAction", {})
        await charger.expect()
        asked = asyncio.create_task(operator.ask("POST", "/charge-points/CP1/reset", json={}))
        await charger.reply(await charger.expect("Reset"), {"status": "Accepted"})
        reset = await asked
        await csms.durable()
        newest, refused, started, beat = (await operator.ask("GET", HISTORY))["items"]
    assert (beat["action"], beat["direction"], list(beat["answer"])) == ("Heartbeat", "in", ["currentTime"])
    assert started["call"]["idTag"] == "***"
    assert started["answer"]["idTagInfo"]["status"] == "Accepted"
    assert refused["error"][0] == "NotImplemented"
    assert (newest["action"], newest["direction"], newest["trace_id"]) == ("Reset", "out", reset["trace_id"])
    assert all(len(each["trace_id"]) == 32 and each["duration_s"] >= 0 for each in (beat, started, refused, newest))
    assert len({each["trace_id"] for each in (beat, started, refused)}) == 3

    async def actions(**query: object) -> list[str]:
        return [each["action"] for each in (await operator.ask("GET", HISTORY, params=query))["items"]]

    assert await actions(action="heartbeat") == ["Heartbeat"]
    assert await actions(search="currenttime") == ["Heartbeat"]
    page = await operator.ask("GET", HISTORY, params={"limit": 3})
    assert await actions(cursor=page["next"]) == ["Heartbeat"]
    assert await actions(until_at="2020-01-01T00:00:00Z") == []


async def test_the_download_is_read_by_the_replay_also_after_a_restart(
    csms: Csms, operator: Operator, tmp_path: Path
) -> None:
    async with csms.charger("CP1") as charger:
        started = await charger.call("StartTransaction", START)
        await charger.call("StopTransaction", stop(started["transactionId"]))
        await csms.durable()
    await csms.central._history.messages.flush()
    answer = await operator.send("GET", f"{HISTORY}/download")
    file = tmp_path / "messages.jsonl"
    file.write_text(answer.text)
    assert "TAG1" not in answer.text
    shown = CliRunner().invoke(replay_command, [str(file)])
    assert shown.exit_code == 0, shown.output
    assert "7.5" in shown.output or "7500" in shown.output or "7,500" in shown.output


async def test_what_exceeds_the_queue_is_dropped_and_counted(
    csms: Csms, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_log, "MAX_QUEUED", 3)
    monkeypatch.setattr(message_log, "MAX_PER_S", 0)  # the task processes none
    async with csms.charger("CP1") as charger:
        for _ in range(3):
            await charger.call("Heartbeat")
        await csms.durable()
        assert len((await operator.ask("GET", HISTORY))["items"]) == 1
        assert await csms.metric("ocpp_central_history_dropped_total", kind="messages") == 4
        await charger.call("Heartbeat")
        await csms.durable()
        assert len((await operator.ask("GET", HISTORY))["items"]) == 2
