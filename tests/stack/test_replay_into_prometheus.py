"""An old log becomes Prometheus history: promtool makes blocks of it, and a real Prometheus answers from them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from stack.servers import Prometheus
from stack.toolchain import tool
from support.logs import WRITERS, write_log
from support.transcripts import Transcript, transcripts
from wattspan.cli.main import main


@pytest.mark.parametrize("name", ["v16-plain-session", "v201-dc-with-soc"])
async def test_blocks_are_made_and_queried(name: str, tmp_path: Path) -> None:
    transcript = next(each for each in transcripts() if each.name == name)
    log = write_log(tmp_path / "csms.log", transcript, WRITERS["ocpp package"])
    samples, blocks = tmp_path / "samples.om", tmp_path / "prometheus"
    result = CliRunner().invoke(main, ["replay", str(log), "--openmetrics", str(samples), "--interval", "30"])
    assert result.exit_code == 0, result.output
    promtool = tool("prometheus").with_name("promtool")
    command = (promtool, "tsdb", "create-blocks-from", "openmetrics", samples, blocks)
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
    async with Prometheus.run(tmp_path, []) as prometheus:
        for step in transcript.steps:
            if step.get("metric") != "ocpp_tx_energy_wh" or not step["value"]:
                continue
            at_s = transcript.began_ts + _at(transcript, step) + 30
            found = await prometheus.query('ocpp_tx_energy_wh{cp_id="CP1"}', at_s=at_s)
            assert step["value"] in [value for _, value in found]
        ended_s = transcript.began_ts + max(step.get("at", 0) for step in transcript.steps)
        ((_, total_wh),) = await prometheus.query("ocpp_cp_energy_total_wh", at_s=ended_s)
    expected = next(step["has"]["energy_wh"] for step in transcript.steps if "session" in step)
    assert total_wh == expected


def _at(transcript: Transcript, wanted: object) -> float:
    """The time of the last message before a step that has no time of its own."""
    at: float = 0.0
    for step in transcript.steps:
        at = step.get("at", at)
        if step is wanted:
            return at
    raise AssertionError(wanted)
