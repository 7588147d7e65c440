"""Exports log records by OTLP: warnings and above, the end of each session, and the events of `evidence`."""

import logging

from opentelemetry.instrumentation.logging.handler import LoggingHandler

from wattspan.telemetry.catalogue import EVENT_NAME
from wattspan.telemetry.otlp.drops import DROPS_LOG
from wattspan.telemetry.sdk_private import LoggerProvider
from wattspan.telemetry.sessions import SESSIONS_LOG


def export_logs(loggers: LoggerProvider) -> logging.Handler:
    """Add a handler to the root logger and return it. Records of OpenTelemetry's own loggers are never exported."""
    handler = LoggingHandler(logger_provider=loggers)
    handler.addFilter(
        lambda record: (
            (record.levelno >= logging.WARNING or record.name == SESSIONS_LOG or EVENT_NAME in vars(record))
            and not record.name.startswith("opentelemetry.")
            and record.name != DROPS_LOG
        )
    )
    logging.getLogger().addHandler(handler)
    return handler
