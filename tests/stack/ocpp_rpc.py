"""Charge points that nobody here wrote, which do what a test tells them, call by call.

npm's ocpp-rpc in strict mode speaks 1.6 and 2.0.1, the crate ocpp-client 2.1. Knows nothing of Wattspan's code.
`ocpp_go.py` has others, which play a session by themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from stack.process import START_S, Program, running
from stack.toolchain import CLIENTS, tool

Payload = dict[str, Any]

SPOKEN_BY_OCPP_RPC = {"ocpp1.6", "ocpp2.0.1"}


class CallError(AssertionError):
    """The central system answered a CALL with a CALLERROR, or not at all."""

    def __init__(self, action: str, code: str, message: str) -> None:
        super().__init__(f"{action}: {code} {message}")
        self.action = action
        self.code = code


@dataclass(slots=True, kw_only=True)
class OcppRpcCharger:
    """A charge point on npm's ocpp-rpc or the crate ocpp-client. It redials by itself when the connection breaks.

    `commands` are the central system's CALLs with our answers (None: NotImplemented), `faults` every frame that broke
    the protocol or a schema, `disconnects` the close codes it saw; all in order of arrival.
    """

    program: Program
    commands: list[Payload] = field(default_factory=list)
    faults: list[Payload] = field(default_factory=list)
    disconnects: list[int] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: asyncio.Queue[Payload] = field(default_factory=asyncio.Queue)
    _opened: int = 0

    @classmethod
    @asynccontextmanager
    async def run(
        cls, folder: Path, *, url: str, identity: str, password: str | None = None, protocol: str = "ocpp1.6"
    ) -> AsyncIterator[OcppRpcCharger]:
        """A connected charge point; `url` is without the identity. At the end it closes, and fails on any fault.

        2.1, which ocpp-rpc does not speak, is spoken by ocpp-client; it sends no password.
        """
        environment = {
            "CSMS_URL": url,
            "IDENTITY": identity,
            "PROTOCOL": protocol,
            "NODE_PATH": str(tool("ocpp-rpc").parent.parent),
        } | ({"PASSWORD": password} if password is not None else {})
        script: list[str | Path] = ["node", CLIENTS / "ocpp_rpc.cjs"]
        command = script if protocol in SPOKEN_BY_OCPP_RPC else [tool("ocpp-client")]
        pipes = (asyncio.subprocess.PIPE, asyncio.subprocess.PIPE)
        async with running(
            f"{Path(command[0]).name}-{identity}", command, folder=folder, environment=environment, stdio=pipes
        ) as program:
            charger = cls(program=program)
            reader = asyncio.create_task(charger._read())
            try:
                await charger.connected(1)
                yield charger
                await charger._leave(reader)
            finally:
                reader.cancel()

    async def call(self, action: str, payload: Payload | None = None, *, within_s: float = START_S) -> Payload:
        """The answer, which fits its schema; CallError on a CALLERROR or a broken connection. One call at a time."""
        pipe = self.program.child.stdin
        assert pipe is not None
        pipe.write(json.dumps({"call": action, "payload": payload or {}}).encode() + b"\n")
        await pipe.drain()
        async with asyncio.timeout(within_s):
            told = await self._answers.get()
        if told["event"] != "answer":
            raise CallError(action, told.get("code", ""), told.get("message", ""))
        answer: Payload = told["payload"]
        return answer

    async def connected(self, times: int) -> None:
        """Returns when it has connected so many times in all (2: it is back after one break)."""

        async def enough() -> bool:
            return self._opened >= times

        await self.program.until(enough, f"connected {times} times ({self.faults})")

    async def command(self, action: str) -> Payload:
        """The first CALL of this action from the central system: `action`, `payload`, and `answer`, which we gave."""
        async with asyncio.timeout(START_S):
            while not (found := [each for each in self.commands if each["action"] == action]):
                self._changed.clear()
                await self._changed.wait()
        return found[0]

    async def _read(self) -> None:
        """Sorts what the program tells; ends with its output. Answers wait for `call`, the rest is kept."""
        assert self.program.child.stdout is not None
        async for line in self.program.child.stdout:
            told = json.loads(line)
            match told.pop("event"):
                case "answer" | "error" as event:
                    self._answers.put_nowait(told | {"event": event})
                case "command":
                    self.commands.append(told)
                case "fault":
                    self.faults.append(told)
                case "open":
                    self._opened += 1
                case "disconnect":
                    self.disconnects.append(told["code"])
            self._changed.set()
        self._answers.put_nowait({"event": "end", "code": "end", "message": "the charge point's program ended"})

    async def _leave(self, reader: asyncio.Task[None]) -> None:
        assert self.program.child.stdin is not None
        self.program.child.stdin.close()

        async def ended() -> bool:
            return self.program.exit_code is not None

        await self.program.until(ended, "through with closing")
        await reader  # its last words may be read after its end is known
        if self.program.exit_code != 0:
            raise self.program.error(f"saw faults: {json.dumps(self.faults, indent=1)}")


class RunOcppRpc(Protocol):
    """Starts a charge point, as `OcppRpcCharger.run` does, in a test's own folder."""

    def __call__(
        self, *, url: str, identity: str, password: str | None = None, protocol: str = "ocpp1.6"
    ) -> AbstractAsyncContextManager[OcppRpcCharger]: ...


def now() -> str:
    """The time of a charger's clock as OCPP 1.6 writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def sampled(energy_wh: int, current_a: float) -> list[Payload]:
    """A meter value of an outlet (OCPP 1.6 §7.33)."""
    values = [
        {"value": str(energy_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh", "location": "Outlet"},
        {"value": str(current_a), "measurand": "Current.Import", "unit": "A", "phase": "L1", "location": "Outlet"},
    ]
    return [{"timestamp": now(), "sampledValue": values}]


async def boot(charger: OcppRpcCharger) -> None:
    """From power-on to an idle connector; AssertionError when it is not let in."""
    answer = await charger.call(
        "BootNotification", {"chargePointVendor": "npm", "chargePointModel": "ocpp-rpc", "firmwareVersion": "2.2.1"}
    )
    assert answer["status"] == "Accepted", answer
    assert answer["interval"] > 0, answer
    await status(charger, "Available")


async def status(charger: OcppRpcCharger, value: str, *, connector_id: int = 1, error_code: str = "NoError") -> None:
    """StatusNotification (OCPP 1.6 §4.9)."""
    facts = {"connectorId": connector_id, "errorCode": error_code, "status": value, "timestamp": now()}
    assert await charger.call("StatusNotification", facts) == {}


async def start(charger: OcppRpcCharger, *, id_tag: str, meter_wh: int = 1000, connector_id: int = 1) -> int:
    """From plugged-in to charging; the transaction's id. AssertionError when the token is refused."""
    answer = await charger.call("Authorize", {"idTag": id_tag})
    assert answer["idTagInfo"]["status"] == "Accepted", answer
    await status(charger, "Preparing", connector_id=connector_id)
    answer = await charger.call(
        "StartTransaction",
        {"connectorId": connector_id, "idTag": id_tag, "meterStart": meter_wh, "timestamp": now()},
    )
    assert answer["idTagInfo"]["status"] == "Accepted", answer
    await status(charger, "Charging", connector_id=connector_id)
    transaction_id: int = answer["transactionId"]
    return transaction_id


async def meter(
    charger: OcppRpcCharger, transaction_id: int, readings_wh: Sequence[int], *, connector_id: int = 1
) -> None:
    """One MeterValues a reading, each with the register and 16 A."""
    for energy_wh in readings_wh:
        facts = {"connectorId": connector_id, "transactionId": transaction_id, "meterValue": sampled(energy_wh, 16.0)}
        assert await charger.call("MeterValues", facts) == {}


async def stop(
    charger: OcppRpcCharger, transaction_id: int, *, id_tag: str, meter_wh: int, connector_id: int = 1
) -> None:
    """From charging to idle, then a heartbeat."""
    await status(charger, "Finishing", connector_id=connector_id)
    answer = await charger.call(
        "StopTransaction",
        {
            "transactionId": transaction_id,
            "idTag": id_tag,
            "meterStop": meter_wh,
            "timestamp": now(),
            "reason": "Local",
        },
    )
    assert answer.get("idTagInfo", {"status": "Accepted"})["status"] == "Accepted", answer
    await status(charger, "Available", connector_id=connector_id)
    assert "currentTime" in await charger.call("Heartbeat")


async def charge(charger: OcppRpcCharger, *, id_tag: str) -> int:
    """A whole session of 3000 Wh (1000 to 4000) on connector 1, boot and heartbeat included; the transaction's id."""
    await boot(charger)
    transaction_id = await start(charger, id_tag=id_tag)
    await meter(charger, transaction_id, (2000, 3000, 4000))
    await stop(charger, transaction_id, id_tag=id_tag, meter_wh=4000)
    return transaction_id
