"""Reads values from the answers to operations, whose fields differ between OCPP versions."""

from wattspan.csms.commands import CommandResult


def local_list_version(result: CommandResult) -> int | None:
    """Return the version in an answer to GetLocalListVersion, or None if it has none."""
    version = result.payload.get("listVersion", result.payload.get("versionNumber"))
    return version if isinstance(version, int) else None
