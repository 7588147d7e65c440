"""How log lines look, and how often the noisy ones come. Where else records go is for `setup` to say.

A JSON line has timestamp, level, service, message, then what is known of trace_id, span_id, cp_id and request_id, and
`extra` for the rest. Trace ids are those of the span that is current, whatever back end made it.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
from opentelemetry import trace

from wattspan.settings import Settings

LIMIT_EVERY_S = 1.0
"""A limited line comes at most once in this time, for each logger and key."""
SDK_EVERY_S = 60.0
"""The same line of an OpenTelemetry exporter comes at most once in this time: a dead Collector is one fault."""
KEYS_KEPT = 1000
"""Keys a limiter remembers; beyond it, it starts anew."""
SERVICE = "wattspan"
TEXT_FIELDS = ("cp_id", "request_id")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class Limiter:
    """Lets one occurrence of a key through in `every_s` seconds and counts the others. Bounded; any thread."""

    __slots__ = ("_clock", "_every_s", "_known")

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._known: dict[Any, tuple[float, int]] = {}

    def passes(self, key: object) -> int | None:
        """How many were held back since the last that passed; None: hold this one back too."""
        now_s = self._clock()
        next_s, held = self._known.get(key, (now_s, 0))
        if now_s < next_s:
            self._known[key] = (next_s, held + 1)
            return None
        if len(self._known) >= KEYS_KEPT:
            self._known.clear()
        self._known[key] = (now_s + self._every_s, 0)
        return held


_lines = Limiter(LIMIT_EVERY_S)


def limited(
    logger: logging.Logger,
    level: int,
    key: str,
    message: str,
    *args: object,
    exc_info: bool = False,
    limiter: Limiter = _lines,
) -> None:
    """Log what a charger can cause at will: once a second for each logger and key, then with how many were left out."""
    if not logger.isEnabledFor(level):
        return
    held = limiter.passes((logger.name, key))
    if held is None:
        return
    extra = {"left_out": held} if held else None
    logger.log(level, message, *args, exc_info=exc_info, extra=extra, stacklevel=2)


class RepeatFilter(logging.Filter):
    """Holds back what OpenTelemetry's exporters say again and again."""

    def __init__(self, limiter: Limiter | None = None) -> None:
        super().__init__()
        self._limiter = limiter or Limiter(SDK_EVERY_S)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        if not record.name.startswith("opentelemetry."):
            return True
        return self._limiter.passes((record.name, record.levelno, record.msg)) is not None


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, service: str = SERVICE) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, without its end."""
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
    """For eyes: time, level, logger, message, then what was given along with it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, without its end; a traceback follows on lines of its own."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        words = "".join(f" {name}={value}" for name, value in given.items())
        name = record.name.removeprefix(f"{SERVICE}.")
        line = f"{at} {record.levelname.lower():8} {name}: {record.getMessage()}{words}"
        if record.exc_info:
            line += f"\n{self.formatException(record.exc_info)}"
        return line


def setup_logging(settings: Settings, stream: TextIO | None = None, service: str = SERVICE) -> logging.Handler:
    """Log to `stream` (None: stderr) as the settings say; replaces what an earlier call installed.

    OTEL_SERVICE_NAME wins over `service`.
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
    return handler


def _trace() -> dict[str, str]:
    """Ids of the current span, and its charge point where the span tells it."""
    span = trace.get_current_span()
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    found = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    cp_id = getattr(span, "cp_id", None)
    return found if cp_id is None else {**found, "cp_id": cp_id}
