"""/readyz is what load balancers and orchestrators go by: 200 only while charge points can connect."""

from pathlib import Path

import httpx
import pytest

from wattspan import CentralSystem
from wattspan.gateway.gateway import Gateway


async def readiness(csms: CentralSystem) -> tuple[int, str]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{csms.metrics_port}") as client:
        answer = await client.get("/readyz")
    return answer.status_code, answer.text


async def test_it_is_ready_when_the_ocpp_port_is_open_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    start, stop = Gateway.start, Gateway.stop

    async def started(self: Gateway) -> None:
        told.append(await readiness(csms))
        await start(self)

    async def stopped(self: Gateway) -> None:
        await stop(self)
        told.append(await readiness(csms))

    monkeypatch.setattr(Gateway, "start", started)
    monkeypatch.setattr(Gateway, "stop", stopped)
    csms = CentralSystem(database=str(tmp_path / "fleet.db"), port=0, metrics_port=0, api_port=0)
    async with csms:
        told.append(await readiness(csms))
    closed = (503, "the OCPP port is not open\n")
    assert told == [closed, (200, "ready\n"), closed]
