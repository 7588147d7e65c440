"""What is reported to the service manager: received on a real socket, as systemd would."""

import asyncio
import socket
from pathlib import Path

import pytest

from wattspan.cli.service_manager import notify, wait_for_stop

WATCHDOG_S = 0.05


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    path = tmp_path / "notify"
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(str(path))
    channel.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    yield channel
    channel.close()


async def received(channel: socket.socket) -> str:
    return (await asyncio.get_running_loop().sock_recv(channel, 100)).decode()


async def test_it_is_ready_then_alive_then_stopping(manager, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_S * 1e6)))
    stop = asyncio.Event()
    waiting = asyncio.create_task(wait_for_stop(stop))
    assert await received(manager) == "READY=1"
    assert [await received(manager) for _ in range(3)] == ["WATCHDOG=1"] * 3
    stop.set()
    await waiting
    reports = []
    while "STOPPING=1" not in reports:
        reports.append(await received(manager))
    assert set(reports) <= {"WATCHDOG=1", "STOPPING=1"}


async def test_without_a_watchdog_it_only_waits(manager):
    stop = asyncio.Event()
    waiting = asyncio.create_task(wait_for_stop(stop))
    assert await received(manager) == "READY=1"
    stop.set()
    await waiting
    assert await received(manager) == "STOPPING=1"


async def test_an_abstract_socket(monkeypatch, tmp_path):
    name = f"wattspan-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify("READY=1")
        assert channel.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify"])
async def test_nobody_listens(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    stop = asyncio.Event()
    stop.set()
    await wait_for_stop(stop)
