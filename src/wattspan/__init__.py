"""Wattspan: an OCPP central system whose every message is an OpenTelemetry span and whose fleet is a set of metrics."""

from wattspan.app import CentralSystem
from wattspan.csms.commands import CommandResult
from wattspan.csms.plugins.base import FramePassed, Plugin, PluginContext
from wattspan.errors import CommandError, SettingsError, StoreError, WattspanError
from wattspan.settings import Settings, load_settings
from wattspan.telemetry.setup import setup_tracing

__version__ = "0.1.0"

__all__ = [
    "CentralSystem",
    "CommandError",
    "CommandResult",
    "FramePassed",
    "Plugin",
    "PluginContext",
    "Settings",
    "SettingsError",
    "StoreError",
    "WattspanError",
    "load_settings",
    "setup_tracing",
]
