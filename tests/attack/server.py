"""The central system under attack, in a process of its own: `python -m attack.server DATABASE SETTINGS`."""

import asyncio
import json
import os
import sys

import uvloop

from wattspan import CentralSystem


async def serve(database: str, settings: dict[str, object]) -> None:
    """Print the ports and serve until standard input ends."""
    async with CentralSystem(
        database=database, port=0, metrics_port=0, api_port=0, log_level="error", **settings
    ) as central:
        if settings.get("unknown_charge_points") == "pending":
            for number in range(2):
                await central.store.add_charge_point(f"VICTIM{number}", None)
        print(json.dumps({"port": central.port, "metrics_port": central.metrics_port, "pid": os.getpid()}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    os.environ.setdefault("OTEL_SDK_DISABLED", "false")
    uvloop.run(serve(sys.argv[1], json.loads(sys.argv[2])))
