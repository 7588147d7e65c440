"""Alerts on logs, from a record by OTLP to the webhook: Collector, VictoriaLogs, vmalert, Alertmanager, all as shipped.

Rules and routes are sixty times as fast (`alerting.hurried`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from stack.alerting import Alertmanager, Receivers, hurried, hurried_rules, receiving
from stack.process import eventually
from stack.servers import Collector
from stack.shipped import LOG_RULES, VictoriaLogs, Vmalert

WITHIN_S = 120.0
"""vmalert evaluates half a minute behind the clock, so that late records count."""


class Site:
    """A Collector to send records to, and who is notified of what they say."""

    def __init__(self, collector: Collector, logs: VictoriaLogs, receivers: Receivers) -> None:
        self.collector, self.logs, self.receivers = collector, logs, receivers

    def log(self, service: str, severity: str, count: int = 1, **attributes: str) -> None:
        """Send so many records of a service."""
        provider = LoggerProvider(Resource({"service.name": service}))
        exporter = OTLPLogExporter(endpoint=f"{self.collector.http_endpoint}/v1/logs")
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        for _ in range(count):
            provider.get_logger("test").emit(
                severity_text=severity,
                severity_number=SeverityNumber[severity],
                body="a record",
                attributes={name.replace("_", "."): value for name, value in attributes.items()},
            )
        provider.shutdown()

    async def notified(self, alert: str, status: str, /, **labels: str) -> None:
        """Wait until the webhook was notified."""

        async def posted() -> bool:
            return self.receivers.posted(alert, status, **labels)

        await eventually(posted, within_s=WITHIN_S)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    rules = hurried_rules(tmp_path / "log-rules", LOG_RULES)
    with receiving() as receivers:
        async with (
            VictoriaLogs.run(tmp_path) as logs,
            Collector.run(tmp_path, logs=logs.address) as collector,
            Alertmanager.run(tmp_path, receivers) as alertmanager,
            Vmalert.run(tmp_path, logs=logs.address, alertmanager=alertmanager.address, rules=rules),
        ):
            yield Site(collector, logs, receivers)


async def test_errors_of_a_service_are_told_from_the_sixth_on(site: Site) -> None:
    stays_below, goes_above = "five", "six"

    async def keep_logging() -> bool:
        # As many in each window of five seconds, for as long as vmalert takes to see them.
        site.log(stays_below, "WARN", 10)
        site.log(goes_above, "ERROR", 6)
        return site.receivers.posted("UnexpectedErrorsLogged", "firing", service_name=goes_above)

    site.log(stays_below, "ERROR", 5)
    await eventually(keep_logging, within_s=WITHIN_S)
    assert not site.receivers.posted("UnexpectedErrorsLogged", "firing", service_name=stays_below)
    await site.notified("UnexpectedErrorsLogged", "resolved", service_name=goes_above)


async def test_an_exception_is_told_and_logs_that_stop_until_they_go_on(site: Site) -> None:
    await site.notified("LogsStopped", "firing")
    site.log("another", "ERROR", exception_type="ValueError")
    site.log("wattspan", "WARN", exception_type="ValueError")
    await site.notified("TracebackLogged", "firing", service_name="wattspan", severity="warning", component="logs")
    await site.notified("LogsStopped", "resolved")
    await site.notified("TracebackLogged", "resolved", service_name="wattspan")
    assert not site.receivers.posted("TracebackLogged", "firing", service_name="another")


def test_hurrying_changes_the_windows_of_rules_on_logs(tmp_path: Path) -> None:
    (path,) = LOG_RULES.glob("*.yml")
    text = hurried(path.read_text(encoding="utf-8"))
    assert [window in text for window in ("_time:5s", "_time:60s", "_time:5m", "_time:1h")] == [
        True,
        True,
        False,
        False,
    ]
