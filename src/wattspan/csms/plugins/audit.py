"""A log of every connection and message of every charge point, one JSON object a line, with id tokens masked."""

import asyncio
import logging
from pathlib import Path
from typing import IO, Any

import orjson

from wattspan.csms.plugins.base import FramePassed, Plugin, PluginContext
from wattspan.domain.device_model import Variable
from wattspan.domain.events import ChargePointConnected, ChargePointDisconnected, Event
from wattspan.private_files import private_opener

log = logging.getLogger("wattspan.audit")

SECRET_KEYS = frozenset({"authorizationkey", "apnpassword", "basicauthpassword", "password"})
"""In lower case, as are the following: charge points write keys in other cases, too."""
TOKEN_KEYS = frozenset(
    {"idtag", "idtags", "parentidtag", "idtoken", "idtokens", "additionalidtoken", "groupidtoken", "parentidtoken"}
    | {"customeridentifier", "emaid", "prioritizedemaids"}
)
PLAIN_KEYS = frozenset({"type"})
"""Keys within an id token whose values are shown."""
CREDENTIAL_SETTING = "authorizationkey"
"""The configuration key of 1.6 that holds a secret, in lower case: keys are case-insensitive (CiString50)."""
VALUE_KEYS = frozenset({"actualValue", "additionalInfo", "attributeValue", "value"})
"""The fields of 2.x that contain, or may repeat, the value of a variable."""
MASK = "***"
FLUSH_BYTES = 32 * 1024


class AuditLog(Plugin):
    """Appends to the file of the setting `audit_log`, or to the log; `audit_unmasked` turns masking off."""

    name = "audit"
    events = (ChargePointConnected, ChargePointDisconnected)
    wants_frames = True

    async def start(self, context: PluginContext) -> None:
        self._masked = not context.settings["audit_unmasked"]
        self._file: IO[bytes] | None = None
        self._unflushed = 0
        if context.settings["audit_log"] is not None:
            path = Path(context.settings["audit_log"])
            self._file = await asyncio.to_thread(_open, path)

    async def on_event(self, event: Event) -> None:
        line: dict[str, Any] = {"ts": event.received_ts, "cp_id": event.cp_id}
        if isinstance(event, ChargePointConnected):
            await self._write({**line, "event": "connected", "protocol": event.protocol})
        elif isinstance(event, ChargePointDisconnected) and not event.replaced:
            await self._write({**line, "event": "closed", "code": event.code})

    async def on_frame(self, frame: FramePassed) -> None:
        content = self._content(frame.data)
        await self._write({"ts": frame.ts, "cp_id": frame.cp_id, "direction": frame.direction, "frame": content})

    async def _write(self, entry: dict[str, Any]) -> None:
        line = orjson.dumps(entry)
        if self._file is None:
            log.info("%s", line.decode(), extra={"cp_id": entry["cp_id"]})
            return
        self._file.write(line + b"\n")
        self._unflushed += len(line)
        if self._unflushed > FLUSH_BYTES:
            self._unflushed = 0
            await asyncio.to_thread(self._file.flush)

    async def stop(self) -> None:
        if self._file is not None:
            await asyncio.to_thread(self._file.close)

    def _content(self, data: bytes) -> Any:
        """Return the message as JSON. Of a text that is not JSON only the length, unless masking is off."""
        try:
            content = orjson.loads(data)
        except orjson.JSONDecodeError:
            return {"unreadable": len(data)} if self._masked else data.decode("utf-8", "replace")
        return mask(content) if self._masked else content


def _open(path: Path) -> IO[bytes]:
    return open(path, "ab", 64 * 1024, opener=private_opener)


def mask(value: Any) -> Any:
    """Return the same structure with id tokens and secrets replaced."""
    return _masked(value, SECRET_KEYS | TOKEN_KEYS)


def mask_secrets(value: Any) -> Any:
    """Return the same structure with passwords and keys replaced."""
    return _masked(value, SECRET_KEYS)


def _masked(value: Any, keys: frozenset[str]) -> Any:
    if isinstance(value, dict):
        setting = value.get("key")
        if isinstance(setting, str) and setting.strip().casefold() == CREDENTIAL_SETTING:
            return {**value, "value": MASK} if "value" in value else value
        if _names_a_secret(value.get("variable")):
            return _without_values(value)
        if isinstance(value.get("vpn"), dict):
            value = {**value, "vpn": {**value["vpn"], "key": MASK}}
        return {key: _masked_value(key, inner, keys) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, keys) for inner in value]
    return value


def _names_a_secret(variable: Any) -> bool:
    name = variable.get("name") if isinstance(variable, dict) else None
    return isinstance(name, str) and Variable(component="", variable=name).secret


def _without_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: MASK if key in VALUE_KEYS else _without_values(inner) for key, inner in value.items()}
    return [_without_values(inner) for inner in value] if isinstance(value, list) else value


def _masked_value(key: str, value: Any, keys: frozenset[str]) -> Any:
    return _hidden(value) if key.casefold() in keys else _masked(value, keys)


def _hidden(value: Any) -> Any:
    """Return the same structure with every value replaced, at any depth."""
    if isinstance(value, dict):
        return {key: inner if key in PLAIN_KEYS else _hidden(inner) for key, inner in value.items()}
    return [_hidden(inner) for inner in value] if isinstance(value, list) else MASK
