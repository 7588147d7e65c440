"""Reports to the service manager that started the process: ready, alive, stopping (systemd's sd_notify(3)).

Without `NOTIFY_SOCKET` it does nothing.
"""

import asyncio
import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send a state such as `READY=1`. A service manager that does not take it is ignored."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
        channel.setblocking(False)
        channel.sendto(state.encode(), address)


async def wait_for_stop(stop: asyncio.Event) -> None:
    """Report that the process is ready, then wait until `stop` is set, and report that it stops.

    Meanwhile it reports twice within the time of the service manager's watchdog (`WATCHDOG_USEC`) that the event loop
    runs.
    """
    notify("READY=1")
    interval_s = int(os.environ.get("WATCHDOG_USEC") or 0) / 2e6 or None
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                await stop.wait()
        if not stop.is_set():
            notify("WATCHDOG=1")
    notify("STOPPING=1")
