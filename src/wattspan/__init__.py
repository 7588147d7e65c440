"""Wattspan: an OCPP central system whose every message is an OpenTelemetry span and whose fleet is a set of metrics.

What it offers is imported when it is first named: a command that asks a server needs none of the server's libraries.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wattspan.app import CentralSystem
    from wattspan.csms.commands import CommandResult
    from wattspan.csms.plugins.base import FramePassed, Plugin, PluginContext
    from wattspan.errors import CommandError, SettingsError, StoreError, WattspanError
    from wattspan.settings import Settings, load_settings
    from wattspan.telemetry.tracing import setup_tracing

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

_HOMES = {
    "app": ("CentralSystem",),
    "csms.commands": ("CommandResult",),
    "csms.plugins.base": ("FramePassed", "Plugin", "PluginContext"),
    "errors": ("CommandError", "SettingsError", "StoreError", "WattspanError"),
    "settings": ("Settings", "load_settings"),
    "telemetry.tracing": ("setup_tracing",),
}


def __getattr__(name: str) -> Any:
    """PEP 562."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"wattspan.{home}"), name)
    raise AttributeError(f"module 'wattspan' has no attribute {name!r}")
