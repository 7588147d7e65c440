"""The central system under attack, in a process of its own: `python -m attack.server DATABASE SETTINGS`.

`bad_plugins` among the settings loads those of `attack.plugins`.
"""

import asyncio
import json
import os
import resource
import sys

import uvloop

from attack import plugins
from wattspan import CentralSystem
from wattspan.cli.process import SWITCH_INTERVAL_S, return_freed_memory, tune_garbage_collection
from wattspan.csms.security.credentials import hash_secret
from wattspan.settings import Settings
from wattspan.telemetry.logs import setup_logging

PASSWORD = "correct horse battery"
GUARDED, SECRET = "GUARDED", "0123456789abcdef"
"""A charge point with a secret."""
FILES = 1_024
"""The usual limit of a process's file descriptors."""


async def serve(database: str, settings: dict[str, object]) -> None:
    """Print the ports and serve until standard input ends."""
    loaded = [each() for each in plugins.ALL] if settings.pop("bad_plugins", False) else []
    async with CentralSystem(
        database=database, port=0, metrics_port=0, api_port=0, admin_password=PASSWORD, plugins=loaded, **settings
    ) as central:
        await central.store.add_charge_point(GUARDED, hash_secret(SECRET, machine_made=True))
        if settings.get("unknown_charge_points") == "pending":
            for number in range(2):
                await central.store.add_charge_point(f"VICTIM{number}", None)
        tune_garbage_collection()  # as `wattspan serve` does
        ports = {"port": central.port, "metrics_port": central.metrics_port, "api_port": central.api_port}
        print(json.dumps({**ports, "pid": os.getpid()}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    os.environ.setdefault("OTEL_SDK_DISABLED", "false")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # as `wattspan serve` does
    return_freed_memory()
    setup_logging(Settings())
    uvloop.run(serve(sys.argv[1], json.loads(sys.argv[2])))
