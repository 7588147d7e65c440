"""Exports log records by OTLP: warnings and above, and the end of each session."""

import logging

from opentelemetry.instrumentation.logging.handler import LoggingHandler

from wattspan.telemetry.sdk_private import LoggerProvider
from wattspan.telemetry.sessions import SESSIONS_LOG


def export_logs(loggers: LoggerProvider) -> logging.Handler:
    """Add a handler to the root logger and return it. Records of OpenTelemetry's own loggers are never exported."""
    handler = LoggingHandler(logger_provider=loggers)
    handler.addFilter(
        lambda record: (
            (record.levelno >= logging.WARNING or record.name == SESSIONS_LOG)
            and not record.name.startswith("opentelemetry.")
        )
    )
    logging.getLogger().addHandler(handler)
    return handler
