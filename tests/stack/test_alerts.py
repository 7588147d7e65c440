"""Alerts: the gates each shown to fail, and faults that end as e-mail and webhook, with the shipped rules."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import ocpp.v16.call as to_charger
import pytest
from ocpp.v16.enums import ResetType

from stack.alerting import ALERTMANAGER, RULES, Alertmanager, Receivers, hurried, watching
from stack.process import LOOPBACK, eventually, free_ports
from stack.servers import Prometheus, Target, promtool
from stack.toolchain import ROOT, tool
from support.central import Csms
from support.chargers import BOOT, START, Charger, energy, meter_values, status
from support.monitoring import read_yaml
from wattspan.errors import CommandTimeout

TESTS = ROOT / "alerts" / "tests"
ROUTES = {
    "severity=critical component=host": "on-call,webhook",
    "severity=critical escalation=true alertname=CriticalAlertUnresolved": "escalation,webhook",
    "severity=warning component=charge-point": "webhook",
    "severity=info alertname=CommandRejected": "webhook",
    "severity=none alertname=Watchdog": "watchdog",
    "severity=unheard-of": "webhook",
}
EXPORT_TIMEOUT_S = 60.0
ON_CALL, ESCALATION = "on-call@wattspan.internal", "escalation@wattspan.internal"


def passes(*command: str | Path, cwd: Path = ROOT) -> bool:
    """Whether a checker finds nothing to say."""
    done = subprocess.run([*map(str, command)], check=False, cwd=cwd, capture_output=True, text=True)
    return done.returncode == 0


def amtool() -> str:
    """Alertmanager's own checker: installed, or beside the Alertmanager that was made."""
    return shutil.which("amtool") or str(tool("alertmanager").with_name("amtool"))


def lint(path: Path) -> bool:
    return passes(promtool(), "check", "rules", "--lint=all", "--lint-fatal", path)


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yml")), ids=lambda path: path.stem)
def test_promtool_has_nothing_to_say_of_the_rules(path: Path, tmp_path: Path) -> None:
    assert lint(path)
    broken = tmp_path / path.name
    broken.write_text(path.read_text(encoding="utf-8").replace("expr:", "expr: sum(", 1), encoding="utf-8")
    assert not lint(broken)


@pytest.mark.parametrize("path", sorted(TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_alert_fires_and_stays_quiet_as_its_promtool_tests_say(path: Path) -> None:
    assert passes(promtool(), "test", "rules", path)


@pytest.mark.parametrize(
    ("before", "after"), [("for: 5m", "for: 6m"), ("for: 5m", "for: 3m"), ("_connected) == 0", "_connected) == 1")]
)
def test_promtool_tests_fail_when_a_rule_is_changed(before: str, after: str, tmp_path: Path) -> None:
    shutil.copytree(RULES, tmp_path / "rules")
    shutil.copytree(TESTS, tmp_path / "tests")
    rule = tmp_path / "rules" / "charge_points.yml"
    rule.write_text(rule.read_text(encoding="utf-8").replace(before, after, 1), encoding="utf-8")
    assert lint(rule)
    assert not passes(promtool(), "test", "rules", tmp_path / "tests" / "charge_points.yml")


def test_amtool_accepts_the_configuration_and_no_broken_one(tmp_path: Path) -> None:
    assert passes(amtool(), "check-config", ALERTMANAGER)
    broken = tmp_path / "alertmanager.yml"
    broken.write_text(ALERTMANAGER.read_text(encoding="utf-8").replace("receiver: on-call", "receiver: nobody"))
    assert not passes(amtool(), "check-config", broken)


@pytest.mark.parametrize(("labels", "receivers"), ROUTES.items())
def test_routes_lead_to_their_receivers(labels: str, receivers: str) -> None:
    test = [amtool(), "config", "routes", "test", f"--config.file={ALERTMANAGER}"]
    assert passes(*test, f"--verify.receivers={receivers}", *labels.split())
    assert not passes(*test, "--verify.receivers=nobody", *labels.split())


def informing() -> list[str]:
    """The names of all alerts that only inform."""
    rules = [rule for path in RULES.glob("*.yml") for group in read_yaml(path)["groups"] for rule in group["rules"]]
    return sorted({rule["alert"] for rule in rules if rule.get("labels", {}).get("severity") == "info"})


@pytest.mark.parametrize("alert", informing())
def test_alertmanager_itself_sends_no_mail_for_an_alert_that_only_informs(alert: str) -> None:
    test = [amtool(), "config", "routes", "test", f"--config.file={ALERTMANAGER}"]
    assert passes(*test, "--verify.receivers=webhook", "severity=info", f"alertname={alert}")


def test_hurrying_changes_durations_and_nothing_else() -> None:
    text = "    for: 5m\n    labels: {window: 1h}\n    expr: rate(x[5m] offset 90s) > 300 and y > 30 # in 5m"
    assert (
        hurried(text) == "    for: 5s\n    labels: {window: 1h}\n    expr: rate(x[5s] offset 2s) > 5 and y > 30 # in 5m"
    )


class Site:
    """A central system that is watched, chargers on it, and who is told. Chargers are connected until `site` ends."""

    def __init__(self, csms: Csms, prometheus: Prometheus, alertmanager: Alertmanager, receivers: Receivers) -> None:
        self.csms, self.prometheus, self.alertmanager, self.receivers = csms, prometheus, alertmanager, receivers
        self.chargers = AsyncExitStack()

    async def charger(self, cp_id: str) -> Charger:
        """A charger that boots once Prometheus has seen its counters at 0, which is what increase() counts from."""
        charger = await self.chargers.enter_async_context(self.csms.charger(cp_id))
        await eventually(partial(self.prometheus.query, f'ocpp_cp_boots_total{{cp_id="{cp_id}"}}'))
        await charger.call("BootNotification", BOOT)
        return charger

    async def told(self, alert: str, status: str = "firing", /, **labels: str) -> None:
        """Wait until the webhook was told."""
        await until(lambda: self.receivers.posted(alert, status, **labels), f"{alert} {status}")

    async def resolved(self, alert: str, **labels: str) -> None:
        await self.told(alert, "resolved", **labels)

    async def mailed(self, recipient: str, *words: str) -> None:
        """Wait until the mail server has accepted such a mail."""
        await until(lambda: self.receivers.mailed(recipient, *words), f"mail to {recipient}: {words}")


async def until(holds: Any, what: str) -> None:
    async def ask() -> bool:
        return bool(holds())

    try:
        await eventually(ask, within_s=EXPORT_TIMEOUT_S)
    except AssertionError as error:
        raise AssertionError(f"never told: {what}") from error


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    port, metrics_port = free_ports(2)
    csms = Csms(tmp_path / "fleet.db", port=port, metrics_port=metrics_port, command_timeout_s=1.0)
    await csms.start()
    try:
        async with watching(tmp_path, Target(address=f"{LOOPBACK}:{metrics_port}")) as watched:
            site = Site(csms, *watched)
            # A first event is one only if the server was read a (hurried) while before it.
            await eventually(partial(site.prometheus.query, "ocpp_central_up offset 6s"))
            async with site.chargers:
                yield site
    finally:
        await csms.stop()


async def test_a_charger_that_is_gone_is_told_of_once_and_not_for_its_silence(site: Site) -> None:
    silent = await site.charger("SILENT")
    charger = await site.charger("GONE")
    charger.vanish()  # at once: nobody is to call it silent before it is known to be gone
    await site.told("ChargePointDisconnected", cp_id="GONE")
    await site.told("ChargePointStaleHeartbeat", cp_id="SILENT")
    await eventually(
        partial(site.alertmanager.inhibited, "ChargePointStaleHeartbeat", cp_id="GONE"), within_s=EXPORT_TIMEOUT_S
    )
    assert not site.receivers.posted("ChargePointStaleHeartbeat", "firing", cp_id="GONE")

    async with asyncio.TaskGroup() as group:
        group.create_task(site.resolved("ChargePointDisconnected", cp_id="GONE"))
        alive = group.create_task(stay_alive(silent))
        await site.charger("GONE")
        await site.resolved("ChargePointStaleHeartbeat", cp_id="SILENT")
        alive.cancel()


async def stay_alive(charger: Charger) -> None:
    while True:
        await charger.call("Heartbeat")
        await asyncio.sleep(0.5)


async def test_faults_of_a_charger_are_told_from_the_first_on_and_critical_ones_by_mail(site: Site) -> None:
    charger = await site.charger("BAD")
    await charger.call("StatusNotification", status("Faulted", error_code="GroundFailure"))
    await site.told("ChargePointErrorDetected", cp_id="BAD", error_type="GroundFailure")

    flapping = asyncio.create_task(flap(charger))
    await site.told("HighErrorRate", cp_id="BAD")
    await site.mailed(ON_CALL, "[FIRING] HighErrorRate", "BAD", "docs/runbooks.md#higherrorrate")
    await site.mailed(ESCALATION, "[ESCALATED] HighErrorRate")
    flapping.cancel()
    await asyncio.wait([flapping])
    await site.resolved("HighErrorRate", cp_id="BAD")
    await site.mailed(ON_CALL, "[RESOLVED] HighErrorRate")
    await site.resolved("ChargePointErrorDetected", cp_id="BAD", error_type="OverVoltage")


async def flap(charger: Charger) -> None:
    while True:
        await charger.call("StatusNotification", status("Faulted", error_code="OverVoltage"))
        await charger.call("StatusNotification", status("Available"))  # else it is the same fault
        await asyncio.sleep(0.2)


async def test_what_happens_in_a_session_is_told(site: Site) -> None:
    charger = await site.charger("TX")
    transaction = (await charger.call("StartTransaction", START))["transactionId"]
    await charger.call("MeterValues", meter_values(transaction, energy(2000), ampere(31), offered(32)))
    await site.mailed(ON_CALL, "[FIRING] NearCurrentLimit", "Connector 1 of TX")
    await charger.call("MeterValues", meter_values(transaction, energy(25000), ampere(16), offered(32)))
    await site.told("EnergyJump", cp_id="TX")
    await site.mailed(ON_CALL, "[RESOLVED] NearCurrentLimit")

    await charger.socket.close()
    await site.csms.becomes(0, "ocpp_cp_connected", cp_id="TX")
    again = await site.charger("TX")
    await site.told("ChargePointRebootDuringTransaction", cp_id="TX")
    await site.told("ChargePointMultipleReboots", cp_id="TX")
    await again.socket.close()
    await site.told("ChargePointMultipleDisconnects", cp_id="TX")
    await site.resolved("EnergyJump", cp_id="TX")
    await site.resolved("ChargePointRebootDuringTransaction", cp_id="TX")


def ampere(value: float) -> dict[str, str]:
    return {"value": str(value), "measurand": "Current.Import", "unit": "A"}


def offered(value: float) -> dict[str, str]:
    return {"value": str(value), "measurand": "Current.Offered", "unit": "A"}


async def test_commands_without_a_good_answer_are_told(site: Site) -> None:
    charger = await site.charger("STUBBORN")
    reset = to_charger.Reset(type=ResetType.soft)
    asked = asyncio.create_task(site.csms.central.call("STUBBORN", reset))
    await charger.reply(await charger.expect("Reset"), {"status": "Rejected"})
    await asked
    with pytest.raises(CommandTimeout):
        await site.csms.central.call("STUBBORN", reset)
    await site.told("CommandRejected", cp_id="STUBBORN", action="Reset", status="Rejected")
    await site.told("CommandTimedOut", cp_id="STUBBORN", action="Reset")
    await site.resolved("CommandRejected", cp_id="STUBBORN")
    assert not any("STUBBORN" in mail.text for mail in site.receivers.mails), "it only informs, or warns"
    await site.resolved("CommandTimedOut", cp_id="STUBBORN")


async def test_a_central_system_that_is_down_is_mailed_and_silences_its_chargers(site: Site) -> None:
    for _ in range(2):
        await (await site.charger("CP1")).socket.close()
    await site.told("ChargePointMultipleReboots", cp_id="CP1")
    await site.csms.stop()
    await site.mailed(ON_CALL, "[FIRING] CentralSystemDown", "The central system is down")
    await eventually(partial(site.alertmanager.inhibited, "ChargePointMultipleReboots", cp_id="CP1"))
    await eventually(partial(site.alertmanager.inhibited, "ServiceDown", job="wattspan"))
    await site.csms.start()
    await site.resolved("CentralSystemDown")
    await site.mailed(ON_CALL, "[RESOLVED] CentralSystemDown")
