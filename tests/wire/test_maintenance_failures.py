"""A periodic task that fails is counted and logged, and done again."""

from __future__ import annotations

import logging

import pytest

from support.central import Csms
from support.waiting import eventually
from wattspan.errors import StoreUnavailable


async def test_a_failed_task_is_counted_logged_and_tried_again(
    csms: Csms, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wattspan.maintenance.REGISTRY_S", 0.01)
    caplog.set_level(logging.WARNING, logger="wattspan.store.maintenance_task")
    await csms.restart()
    name = "ocpp_central_maintenance_failures_total"
    assert await csms.metric(name, task="registry") is None

    async def unavailable(*_: object) -> None:
        raise StoreUnavailable("the database is locked")

    with monkeypatch.context() as broken:
        broken.setattr("wattspan.csms.registry.RunningFleet.add_registered", unavailable)

        async def again() -> bool:
            return (await csms.metric(name, task="registry") or 0) >= 2

        await eventually(again)
    (record, *_) = [each for each in caplog.records if vars(each).get("event.name") == "maintenance failed"]
    assert vars(record)["task"] == "registry"
    assert "the database is locked" in record.getMessage()
