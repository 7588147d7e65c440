"""Recorded conversations as test data: a file of JSON lines, played to a real central system at its own times.

The first line describes it: `{"transcript", "version", "began", "source"}`, and perhaps `settings` of the central
system. Every other line is one step, in order; `at` is seconds after `began`:

    {"at": 0, "is": "connected"}            what happens to the link or to us: one of HAPPENINGS
    {"at": 1, "cp": [2, "1", "Heartbeat", {}]}     the charge point sends this very frame
    {"at": 1, "text": "…"}                         the charge point sends this very text, which is no frame
    {"at": 1, "csms": [3, "1", {…}]}               we send a frame that has these fields, and maybe more
    {"at": 9, "csms": [2, "*", "Reset", {…}]}      somebody has us send this command; "*" is its message id from here on
        "own": true: nobody has us; we send it by ourselves
    {"metric": "ocpp_tx_active", "labels": {…}, "value": 1}   stands on the page now; null: not there.
        cp_id goes without saying; null where the metric has none
    {"events": ["ChargePointConnected", …]}        every event of the whole conversation, in order
    {"event": "TransactionStopped", "has": {…}}    one of them with these fields
    {"session": "1", "has": {…}, "phases": […]}    a session that was exported as a trace: [phase, from, to] in seconds
                                                    ("ends": how often, if more than once; the last is looked at)
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from websockets.typing import Subprotocol

from support.central import Csms
from support.chargers import Charger
from support.clock import Clock
from wattspan.csms.plugins.base import Plugin
from wattspan.domain.events import Event
from wattspan.domain.model import Transaction
from wattspan.errors import CommandError
from wattspan.ocppj.schemas import Schemas
from wattspan.telemetry.sessions import Phase, phases

FOLDER = Path(__file__).parent.parent / "transcripts"
SCHEMAS = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}
STEPS = ("is", "cp", "text", "csms", "metric", "events", "event", "session")
EXPECTATIONS = ("metric", "events", "event", "session")
HAPPENINGS = ("connected", "disconnected", "lost", "restarted", "killed")
CP = "CP1"
ID = "*"

Step = dict[str, Any]


class TranscriptFault(Exception):
    """The file is no transcript, or would prove nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One file. `began_ts` is Unix seconds; every `at` counts from there."""

    path: Path
    version: str
    began_ts: float
    settings: dict[str, Any]
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @classmethod
    def read(cls, path: Path) -> "Transcript":
        """Raises TranscriptFault for steps that nobody knows, and where nothing is expected of metrics and events."""
        head, *steps = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        if not head.get("transcript") or not head.get("source") or head.get("version") not in SCHEMAS:
            raise TranscriptFault(f"{path.name}: the first line names transcript, source, version and began")
        for number, step in enumerate(steps, 2):
            if sum(kind in step for kind in STEPS) != 1 or step.get("is", HAPPENINGS[0]) not in HAPPENINGS:
                raise TranscriptFault(f"{path.name}:{number}: exactly one of {', '.join(STEPS)}")
        expected = {kind for step in steps for kind in EXPECTATIONS if step.get(kind)}
        if not {"metric", "events"} <= expected:
            raise TranscriptFault(f"{path.name}: expects nothing of the metrics, or not all events")
        times = [step["at"] for step in steps if "at" in step]
        if times != sorted(times) or any("at" not in step for step in steps if step.keys() & {"cp", "text", "is"}):
            raise TranscriptFault(f"{path.name}: times are missing or go backwards")
        return cls(
            path=path,
            version=head["version"],
            began_ts=datetime.fromisoformat(head["began"]).timestamp(),
            settings=head.get("settings", {}),
            steps=tuple(steps),
        )


def transcripts() -> list[Transcript]:
    """Every file there is."""
    return [Transcript.read(path) for path in sorted(FOLDER.glob("*.jsonl"))]


def schema_faults(transcript: Transcript) -> list[str]:
    """What breaks the schemas of the version in what either side sends; `"sloppy": true` is on purpose."""
    schemas = Schemas.load(SCHEMAS[transcript.version])
    asked: dict[Any, str] = {}
    found = []
    for number, step in enumerate(transcript.steps, 2):
        frame = step.get("cp") or step.get("csms")
        if frame is None or step.get("sloppy"):
            continue
        if frame[0] == 2:
            asked[frame[1]] = frame[2]
            faults = schemas.call_faults(frame[2], frame[3])
        elif frame[0] == 3 and "cp" in step:
            faults = schemas.result_faults(asked[frame[1]], frame[2])
        else:
            continue  # what we answer is given in part
        found += [f"{transcript.path.name}:{number}: {fault.path} {fault.message}" for fault in faults]
    return found


class Listener(Plugin):
    """Keeps every event."""

    name = "listener"

    def __init__(self) -> None:
        self.received: list[Event] = []

    async def on_event(self, event: Event) -> None:
        self.received.append(event)


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session, and its trace at its end; a late stop may still correct the session's figures."""

    session: Transaction
    phases: list[Phase]
    timeline: list[str]

    @classmethod
    def of(cls, session: Transaction) -> "EndedSession":
        return cls(session, list(phases(session)), [entry.name for entry in session.timeline if not entry.phase])


@dataclass(slots=True)
class Playback:
    """A transcript that is played to a central system. `listener` and `sessions` outlive its restarts."""

    transcript: Transcript
    csms: Csms
    clock: Clock
    listener: Listener
    sessions: list[EndedSession] = field(default_factory=list)
    charger: Charger | None = None
    _command: tuple[str, asyncio.Task[Any] | None] | None = None

    async def run(self) -> None:
        """Tell it all, checking what is to be checked on the way. AssertionError names the line."""
        for number, step in enumerate(self.transcript.steps, 2):
            if "at" in step:
                self.clock.be_at(step["at"])
            kind = next(kind for kind in STEPS if kind in step)
            if kind != "csms":
                await self._heard()
            try:
                await getattr(self, f"_{kind}")(step)
            except (AssertionError, TimeoutError) as fault:
                raise AssertionError(f"{self.transcript.path.name}:{number}: {fault}") from fault
        await self._leave("disconnected")

    # what happens

    async def _is(self, step: Step) -> None:
        happening = step["is"]
        if happening == "connected":
            await self._leave("lost")
            charger = self.csms.charger(CP, subprotocols=[Subprotocol(self.transcript.version)])
            self.charger = await charger.__aenter__()
            await self.csms.becomes(1, "ocpp_cp_connected", cp_id=CP)
        elif happening in ("restarted", "killed"):
            await (self.csms.restart() if happening == "restarted" else self._kill())
            self.charger = None
            self.listen()
        else:
            await self._leave(happening)

    async def _kill(self) -> None:
        await self.csms.kill()
        await self.csms.start()

    async def _leave(self, how: str) -> None:
        if self.charger is None:
            return
        if how == "lost":
            self.charger.vanish()
        else:
            await self.charger.socket.close()
        self.charger = None
        await self.csms.becomes(0, "ocpp_cp_connected", cp_id=CP)

    def listen(self) -> None:
        """Hear of the sessions that end from now on."""
        self.csms.central.fleet.on_stopped.append(lambda session: self.sessions.append(EndedSession.of(session)))

    # frames

    async def _cp(self, step: Step) -> None:
        assert self.charger is not None, "the charge point is not connected"
        frame = step["cp"]
        if frame[0] == 2 or self._command is None or frame[1] != ID:
            await self.charger.send_raw(json.dumps(frame))
            return
        (message_id, task), self._command = self._command, None
        await self.charger.send_raw(json.dumps([frame[0], message_id, *frame[2:]]))
        if task is not None:
            with suppress(CommandError):
                await task

    async def _text(self, step: Step) -> None:
        assert self.charger is not None, "the charge point is not connected"
        await self.charger.send_raw(step["text"])

    async def _csms(self, step: Step) -> None:
        assert self.charger is not None, "the charge point is not connected"
        frame = step["csms"]
        if frame[0] == 2:
            commands = self.csms.central.commands
            task = None if step.get("own") else asyncio.create_task(commands.send_payload(CP, frame[2], frame[3]))
            sent = await self.charger.expect(frame[2])
            self._command = (sent[1], task)
            assert sent[3] == frame[3]
            return
        sent = await self.charger.expect()
        assert sent[:2] == frame[:2], f"{sent} came"
        assert has(sent[2:], frame[2:]), f"{sent} came"

    # what is expected

    async def _metric(self, step: Step) -> None:
        labels = {"cp_id": CP, **step.get("labels", {})}
        labels = {name: value for name, value in labels.items() if value is not None}
        shown = await self.csms.metric(step["metric"], **labels)
        assert shown == step["value"], f"{step['metric']} is {shown}"

    async def _events(self, step: Step) -> None:
        names = [type(event).__name__ for event in self.listener.received]
        assert names == step["events"], f"events were {json.dumps(names)}"

    async def _event(self, step: Step) -> None:
        named = [event for event in self.listener.received if type(event).__name__ == step["event"]]
        assert any(has(_fields(event), step["has"]) for event in named), f"there were {named}"

    async def _session(self, step: Step) -> None:
        named = [ended for ended in self.sessions if ended.session.transaction_id == step["session"]]
        assert len(named) == step.get("ends", 1), f"it ended {len(named)} times"
        ended = named[-1]
        fields = {"energy_wh": ended.session.meter.energy_wh, **_fields(ended.session)}
        assert has(fields, step["has"]), f"it was {fields}"
        began_ts = self.transcript.began_ts
        stretches = [[each.name, each.began_ts - began_ts, each.ended_ts - began_ts] for each in ended.phases]
        assert stretches == step["phases"], f"phases were {json.dumps(stretches)}"
        assert ended.timeline == step.get("timeline", []), f"the timeline was {ended.timeline}"

    async def _heard(self) -> None:
        """Wait until every plugin has handled all events, and those that it recorded itself."""
        for runner in self.csms.central._core.plugins._runners:
            await runner._queue.join()


def has(whole: Any, part: Any) -> bool:
    """Whether `whole` has all that `part` has; "*" stands for anything at all."""
    if part == ID:
        return True
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and has(whole[name], part[name]) for name in part)
    if isinstance(part, list):
        return len(whole) >= len(part) and all(map(has, whole, part))
    return bool(whole == part)


def _fields(of: Any) -> dict[str, Any]:
    return {name: getattr(of, name) for name in type(of).__dataclass_fields__}


@asynccontextmanager
async def playback(transcript: Transcript, make: Callable[..., Any]) -> AsyncIterator[Playback]:
    """A central system that lives in the transcript's time."""
    clock, listener = Clock(transcript.began_ts), Listener()
    plugins = ["orphans", listener]
    csms = await make(plugins=plugins, clock_ns=clock, ping_interval_s=0, **transcript.settings)
    played = Playback(transcript, csms, clock, listener)
    played.listen()
    yield played
