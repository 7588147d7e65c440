"""Wattspan: an OCPP central system whose every message is an OpenTelemetry span and whose fleet is a set of metrics.

Exports are imported when they are first used, so `import wattspan` is fast and needs no server libraries. Events,
errors and `setup_tracing` come with the package itself, the rest with the extra: `pip install "wattspan[server]"`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wattspan import events, testing
    from wattspan.app import CentralSystem
    from wattspan.csms.commands import CommandResult
    from wattspan.csms.plugins.base import FramePassed, Plugin, PluginContext
    from wattspan.errors import (
        AlreadyRegistered,
        AuthorityError,
        CommandError,
        CommandInvalid,
        CommandRefused,
        CommandTimeout,
        ConnectionLost,
        LastAdmin,
        LimitReached,
        NodeUnreachable,
        NotConnected,
        NotRegistered,
        OperationUnsupported,
        Overloaded,
        RegistryError,
        ResponseInvalid,
        SerialConflict,
        SettingsError,
        Stale,
        StoreError,
        StoreUnavailable,
        StoreUnusable,
        TransactionNotIdentified,
        WattspanError,
    )
    from wattspan.settings import Settings, load_settings
    from wattspan.telemetry.tracing import setup_tracing

__version__ = "0.1.0"

__all__ = [
    "AlreadyRegistered",
    "AuthorityError",
    "CentralSystem",
    "CommandError",
    "CommandInvalid",
    "CommandRefused",
    "CommandResult",
    "CommandTimeout",
    "ConnectionLost",
    "FramePassed",
    "LastAdmin",
    "LimitReached",
    "NodeUnreachable",
    "NotConnected",
    "NotRegistered",
    "OperationUnsupported",
    "Overloaded",
    "Plugin",
    "PluginContext",
    "RegistryError",
    "ResponseInvalid",
    "SerialConflict",
    "Settings",
    "SettingsError",
    "Stale",
    "StoreError",
    "StoreUnavailable",
    "StoreUnusable",
    "TransactionNotIdentified",
    "WattspanError",
    "__version__",
    "events",
    "load_settings",
    "setup_tracing",
    "testing",
]

_MODULES = {
    "CentralSystem": "app",
    "CommandResult": "csms.commands",
    "FramePassed": "csms.plugins.base",
    "Plugin": "csms.plugins.base",
    "PluginContext": "csms.plugins.base",
    "Settings": "settings",
    "load_settings": "settings",
    "setup_tracing": "telemetry.tracing",
}
"""The module of each export, below this package; of those not named here, `errors`."""


def __getattr__(name: str) -> Any:
    """Import and return an export (PEP 562). Raises ImportError that names the extra if the extra is missing."""
    if name not in __all__:
        raise AttributeError(f"module 'wattspan' has no attribute {name!r}")
    try:
        if name in ("events", "testing"):
            return import_module(f"wattspan.{name}")
        return getattr(import_module(f"wattspan.{_MODULES.get(name, 'errors')}"), name)
    except ModuleNotFoundError as exc:
        from wattspan._extras import missing_extra  # noqa: PLC0415  a module here would show in dir()

        message = missing_extra(exc.name, f"wattspan.{name}")
        if message is None:
            raise
        raise ImportError(message, name=exc.name) from exc


def __dir__() -> list[str]:
    """Return the exports and nothing else."""
    return __all__
