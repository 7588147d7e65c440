"""Recorded conversations, played over a real socket: the metrics, events and sessions they result in."""

import json

import pytest

from support.transcripts import FOLDER, Transcript, TranscriptFault, playback, schema_faults, transcripts
from wattspan.versions import VERSIONS

TRANSCRIPTS = transcripts()


@pytest.mark.parametrize("transcript", [pytest.param(each, id=each.name) for each in TRANSCRIPTS])
async def test_a_conversation_leaves_what_it_should(make_csms, transcript):
    if transcript.version not in VERSIONS:
        pytest.skip(f"{transcript.version} is not supported")
    async with playback(transcript, make_csms) as played:
        await played.run()


@pytest.mark.parametrize("transcript", [pytest.param(each, id=each.name) for each in TRANSCRIPTS])
def test_a_conversation_is_what_the_specification_has_both_sides_say(transcript):
    assert schema_faults(transcript) == []


SCENES = (
    "plain-session",
    "offline-replay",
    "reboot-in-mid-session",
    "remote-start",
    "reservation",
    "three-phase-ac",
    "dc-with-soc",
    "smart-charging",
    "firmware-update",
    "fault-and-recovery",
    "certificates-and-security-events",
)


@pytest.mark.parametrize("version", ["v16", "v201", "v21"])
def test_every_version_has_every_scene(version):
    found = {path.stem for path in FOLDER.glob(f"{version}-*.jsonl")}
    assert {f"{version}-{scene}" for scene in SCENES} <= found


HEAD = {"transcript": "t", "version": "ocpp1.6", "began": "2026-03-02T08:00:00Z", "source": "s"}
SOME = [{"at": 0, "is": "connected"}, {"events": ["ChargePointConnected"]}, {"metric": "m", "value": 1}]


@pytest.mark.parametrize(
    ("head", "steps"),
    [
        (HEAD, SOME[:2]),
        (HEAD, SOME[::2]),
        (HEAD, [SOME[0], {"events": []}, SOME[2]]),
        (HEAD, [*SOME, {"at": 1, "is": "asleep"}]),
        (HEAD, [*SOME, {"at": 1, "cpp": [2, "1", "Heartbeat", {}]}]),
        (HEAD, [*SOME, {"at": -1, "is": "lost"}]),
        (HEAD, [*SOME, {"is": "lost"}]),
        ({**HEAD, "version": "ocpp1.5"}, SOME),
    ],
)
def test_a_file_that_proves_nothing_is_a_fault(tmp_path, head, steps):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, [head, *steps])))
    with pytest.raises(TranscriptFault):
        Transcript.read(path)


def test_a_file_that_expects_something_is_read(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, [HEAD, *SOME])))
    assert Transcript.read(path).began_ts == 1_772_438_400.0
