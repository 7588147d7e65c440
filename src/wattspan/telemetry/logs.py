"""The format of log lines and the rate limit of repeated ones. Export by OTLP is in `otlp.log_handler`.

A JSON line has timestamp, level, service, message, then trace_id, span_id, cp_id and request_id where they are known,
and `extra` for the rest. Trace ids are those of the current span, whatever provider created it.
"""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

import orjson
from opentelemetry import trace

LIMIT_EVERY_S = 1.0
"""The shortest time between two lines of one logger and key, s."""
SDK_EVERY_S = 60.0
"""The shortest time between equal lines of an OpenTelemetry exporter, s: a dead Collector is one fault."""
MAX_KEYS = 1000
"""The number of keys a limiter remembers; at the limit it forgets all of them."""
MAX_LINES = 10
"""Lines a second of one logger and key, of all charge points."""
MAX_NAMED = 20
"""Charge points whose left-out lines are counted by name in one line."""
OTHERS = "(others)"
NO_FIELDS: Mapping[str, object] = {}
SERVICE = "wattspan"
SDK_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
"""What OTEL_LOG_LEVEL means for the SDK's own log lines."""
TEXT_FIELDS = ("cp_id", "request_id")

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What ends a line, moves a terminal's cursor or reverses the text: control characters, separators, marks of
direction; and surrogates, which can't be written."""
_QUOTED = re.compile(r'[\s"=]')
_TRACEBACK_INDENT = "    "

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class Limiter:
    """Passes one occurrence of a key every `every_s` seconds and counts the others. Bounded; for any thread."""

    __slots__ = ("_clock", "_every_s", "_known")

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._known: dict[Any, tuple[float, int]] = {}

    def passes(self, key: object) -> int | None:
        """Return how many were suppressed since the last that passed; None: suppress this one, too."""
        now_s = self._clock()
        next_s, suppressed = self._known.get(key, (now_s, 0))
        if now_s < next_s:
            self._known[key] = (next_s, suppressed + 1)
            return None
        if len(self._known) >= MAX_KEYS:
            self._known.clear()
        self._known[key] = (now_s + self._every_s, 0)
        return suppressed


class _Reason:
    """The lines of one logger and key: how many passed within this second, and what was left out since."""

    __slots__ = ("left_out", "level", "next_s", "passed", "second_ends_s")

    def __init__(self) -> None:
        self.second_ends_s = 0.0
        self.passed = 0
        self.next_s: dict[str, float] = {}
        self.left_out: dict[str, int] = {}
        self.level = logging.WARNING


class LineLimiter:
    """Passes one line a second for each logger, key and charge point, and MAX_LINES a second for each logger and key.

    The others are counted, by charge point. Bounded; for any thread.
    """

    def __init__(self, every_s: float = LIMIT_EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._reasons: dict[tuple[str, str], _Reason] = {}

    def passes(self, logger: str, key: str, cp_id: str = "", level: int = logging.WARNING) -> int | None:
        """Return how many of the charge point were left out since the last that passed; None: leave this one out."""
        now_s = self._clock()
        reason = self._reasons.get((logger, key))
        if reason is None:
            if len(self._reasons) >= MAX_KEYS:
                self._reasons.clear()
            reason = self._reasons[logger, key] = _Reason()
        reason.level = level
        if now_s >= reason.second_ends_s:
            reason.second_ends_s, reason.passed = now_s + self._every_s, 0
        if reason.passed >= MAX_LINES or now_s < reason.next_s.get(cp_id, now_s):
            counted = cp_id if cp_id in reason.left_out or len(reason.left_out) < MAX_KEYS else OTHERS
            reason.left_out[counted] = reason.left_out.get(counted, 0) + 1
            return None
        if len(reason.next_s) >= MAX_KEYS:
            reason.next_s.clear()
        reason.next_s[cp_id] = now_s + self._every_s
        reason.passed += 1
        return reason.left_out.pop(cp_id, 0)

    def report(self) -> None:
        """Log what was left out and is in no line yet: one line for each logger and key, with the counts."""
        for (logger, key), reason in list(self._reasons.items()):
            if not (left_out := reason.left_out):
                continue
            reason.left_out = {}
            by_cp_id = sorted(left_out.items(), key=lambda each: each[1], reverse=True)
            count = sum(left_out.values())
            extra = {
                "reason": key,
                "left_out": count,
                "left_out_by_cp_id": {cp_id or OTHERS: each for cp_id, each in by_cp_id[:MAX_NAMED]},
            }
            logging.getLogger(logger).log(reason.level, "%d lines were left out: %s", count, key, extra=extra)


_line_limiter = LineLimiter()


def report_left_out() -> None:
    """Log how many lines of `limited` were left out, by reason and charge point. Called every few seconds."""
    _line_limiter.report()


def limited(
    logger: logging.Logger,
    level: int,
    key: str,
    message: str,
    *args: object,
    exc_info: bool = False,
    fields: Mapping[str, object] = NO_FIELDS,
    limiter: LineLimiter | None = None,
) -> None:
    """Log what a charge point can cause at will: one line a second for each logger, key and `cp_id` among `fields`.

    The others are counted: by the next line as `left_out`, or by `report_left_out`.
    """
    if not logger.isEnabledFor(level):
        return
    suppressed = (limiter or _line_limiter).passes(logger.name, key, str(fields.get("cp_id", "")), level)
    if suppressed is None:
        return
    extra = {**fields, "left_out": suppressed} if suppressed else fields
    logger.log(level, message, *args, exc_info=exc_info, extra=extra, stacklevel=2)


class RepeatFilter(logging.Filter):
    """Suppresses the lines that OpenTelemetry's exporters repeat."""

    def __init__(self, limiter: Limiter | None = None) -> None:
        super().__init__()
        self._limiter = limiter or Limiter(SDK_EVERY_S)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written."""
        if not record.name.startswith("opentelemetry."):
            return True
        return self._limiter.passes((record.name, record.levelno, record.msg)) is not None


class JsonFormatter(logging.Formatter):
    """Formats a record as one line with a JSON object."""

    def __init__(self, service: str = SERVICE) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, without a line break."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "message": record.getMessage(),
        }
        extra: dict[str, Any] = {"logger": record.name}
        line |= _trace()
        for name, value in vars(record).items():
            if name not in _STANDARD:
                (line if name in TEXT_FIELDS else extra)[name] = value
        if record.exc_info:
            extra["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            extra["stack"] = record.stack_info
        return orjson.dumps(line | {"extra": extra}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    """Formats a record for a terminal: time, level, logger, message, then the `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, without a line break; a traceback follows on further lines, indented.

        Charge points and users choose parts of the text, and must not be able to write a line of their own.
        """
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        fields = "".join(f" {name}={_field(value)}" for name, value in extra.items())
        name = record.name.removeprefix(f"{SERVICE}.")
        line = f"{at} {record.levelname.lower():8} {name}: {printable(record.getMessage())}{fields}"
        if record.exc_info:
            lines = self.formatException(record.exc_info).split("\n")
            line += "".join(f"\n{_TRACEBACK_INDENT}{printable(each)}" for each in lines)
        return line


def printable(text: str) -> str:
    """Return the text on one line and without control characters: each is written as an escape such as `\\x1b`."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _field(value: object) -> str:
    """Return the value of a field; in quotes if it could be taken for several fields."""
    text = str(value)
    return printable(json.dumps(text, ensure_ascii=False) if _QUOTED.search(text) else text)


class LogSettings(Protocol):
    """The settings that decide about log lines."""

    @property
    def log_level(self) -> str: ...
    @property
    def log_format(self) -> str: ...


def setup_logging(settings: LogSettings, stream: TextIO | None = None, service: str = SERVICE) -> logging.Handler:
    """Write logs to `stream` (None: stderr) and return the handler; replaces the handler of an earlier call.

    OTEL_SERVICE_NAME overrides `service`.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    handler.setFormatter(JsonFormatter(name) if settings.log_format == "json" else TextFormatter())
    handler.addFilter(RepeatFilter())
    handler.set_name(SERVICE)
    root = logging.getLogger()
    for old in [each for each in root.handlers if each.get_name() == SERVICE]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    sdk_level = os.environ.get("OTEL_LOG_LEVEL", "").strip().lower()
    logging.getLogger("opentelemetry").setLevel(SDK_LEVELS.get(sdk_level, logging.NOTSET))
    return handler


def _trace() -> dict[str, str]:
    """Return the ids of the current span, and its charge point if the span has one."""
    span = trace.get_current_span()
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    cp_id = getattr(span, "cp_id", None)
    return ids if cp_id is None else {**ids, "cp_id": cp_id}
