"""Transcripts as logs: the same conversation in each format that `wattspan replay` reads."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from support.recorded import RecordedStep
from support.transcripts import CP, Transcript


class Message(NamedTuple):
    """A message of a transcript. `ts` is Unix seconds."""

    ts: float
    from_charge_point: bool
    frame: list[Any]


def messages(transcript: Transcript) -> Iterator[Message]:
    """Yield the messages; a command gets an id of its own, which the transcript leaves open."""
    at, commands = 0.0, 0
    for step in transcript.steps:
        at = step.get("at", at)
        frame = step.get("cp") or step.get("csms")
        if frame is None:
            continue
        if frame[1] == "*":
            commands += frame[0] == 2
            frame = [frame[0], f"command-{commands}", *frame[2:]]
        yield Message(transcript.began_ts + at, "cp" in step, frame)


Writer = Callable[[Message, str, str], str]
"""(message, charge point, subprotocol) to lines."""


def _stamp(ts: float) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]


def _json(message: Message, cp_id: str, protocol: str) -> str:
    direction = "in" if message.from_charge_point else "out"
    return json.dumps({"ts": message.ts, "cp_id": cp_id, "direction": direction, "frame": message.frame})


def _citrineos(message: Message, cp_id: str, protocol: str) -> str:
    origin = "cs" if message.from_charge_point else "csms"
    at = datetime.fromtimestamp(message.ts, UTC).isoformat()
    entry = {"stationId": cp_id, "origin": origin, "protocol": protocol, "message": message.frame, "timestamp": at}
    return json.dumps(entry)


def _python_ocpp(message: Message, cp_id: str, protocol: str) -> str:
    word = "receive message" if message.from_charge_point else "send"
    return f"{_stamp(message.ts)} INFO ocpp {cp_id}: {word} {json.dumps(message.frame)}"


def _home_assistant(message: Message, cp_id: str, protocol: str) -> str:
    word = "receive message" if message.from_charge_point else "send"
    text = json.dumps(message.frame, indent=1) if message.from_charge_point else json.dumps(message.frame)
    return f"{_stamp(message.ts).replace(',', '.')} INFO (MainThread) [ocpp] {cp_id}: {word} {text}"


def _steve(message: Message, cp_id: str, protocol: str) -> str:
    word = "Received" if message.from_charge_point else "Sending"
    begin = f"[INFO ] {_stamp(message.ts)} de.rwth.idsg.steve.ocpp.ws.WebSocketLogger (qtp1-2) - "
    return f"{begin}[chargeBoxId={cp_id}, sessionId=d7264f05] {word}: {json.dumps(message.frame)}"


def _evcc(message: Message, cp_id: str, protocol: str) -> str:
    word = "recv" if message.from_charge_point else "send"
    stamp = _stamp(message.ts).replace("-", "/").replace(",", ".")
    return f"[ocpp  ] TRACE {stamp} {word} {cp_id}: {json.dumps(message.frame)}"


def _text(message: Message, cp_id: str, protocol: str) -> str:
    at = datetime.fromtimestamp(message.ts, UTC).isoformat()
    return f"{at} {cp_id} {'<' if message.from_charge_point else '>'} {json.dumps(message.frame)}"


WRITERS: dict[str, Writer] = {
    "audit log": _json,
    "CitrineOS": _citrineos,
    "ocpp package": _python_ocpp,
    "Home Assistant": _home_assistant,
    "SteVe": _steve,
    "evcc": _evcc,
    "text": _text,
}


def write_log(path: Path, transcript: Transcript, writer: Writer, *, cp_id: str = "CP1") -> Path:
    """Write a transcript as a log of one format, and return its path."""
    lines = [writer(message, cp_id, transcript.version) for message in messages(transcript)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_recorded_log(path: Path, steps: Iterable[RecordedStep], *, cp_id: str = CP) -> Path:
    """Write what passed a central system, with the begin and end of each connection, and return the path."""
    with path.open("w", encoding="utf-8") as file:
        for step in steps:
            entry: dict[str, Any] = {"ts": step.at_ns / 1e9, "cp_id": cp_id}
            if step.subprotocol is not None:
                entry |= {"event": "connected", "protocol": step.subprotocol}
            elif step.code is not None:
                entry |= {"event": "closed", "code": step.code}
            else:
                direction = "in" if step.from_charge_point else "out"
                entry |= {"direction": direction, "frame": step.data.decode()}
            file.write(f"{json.dumps(entry)}\n")
    return path
