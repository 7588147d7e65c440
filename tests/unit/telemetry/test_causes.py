"""Which command a session or a reboot is attributed to, and when to none."""

from typing import Any

import pytest

from support.fleet_events import started
from support.recorders import NOW_TS, NS, attributes, hot
from wattspan.domain.apply import apply
from wattspan.domain.fleet import Fleet
from wattspan.domain.model import Transaction
from wattspan.telemetry import catalogue
from wattspan.telemetry.causes import BOOTS, START_S
from wattspan.telemetry.recorder import MessageSpan


class Story:
    """Commands that were accepted, and what charge points sent after them."""

    def __init__(self) -> None:
        self.recording, self.fleet, self.now_ts = hot(), Fleet(), NOW_TS
        self.causes = self.recording.recorder.causes

    def command(self, action: str, connector_id: str | None = None, remote_start_id: int | None = None) -> MessageSpan:
        """Send a command, which is accepted."""
        span = self.recording.recorder.message("CP1", action, round(self.now_ts * NS))
        self.causes.command(span, connector_id, self.now_ts, remote_start_id)
        return span

    def session(self, number: str, connector_id: str, **fields: Any) -> Transaction:
        """Begin a transaction."""
        apply(self.fleet, started(transaction_id=number, connector_id=connector_id, at=self.now_ts))
        transaction = self.fleet.session_of("CP1", connector_id, number)
        assert transaction is not None
        for name, value in fields.items():
            setattr(transaction, name, value)
        self.message("StartTransaction", transaction)
        return transaction

    def message(self, action: str, transaction: Transaction | None = None) -> None:
        """Receive a message and answer it."""
        span = self.recording.recorder.message("CP1", action, round(self.now_ts * NS))
        self.causes.message(self.fleet, span, transaction, self.now_ts)
        self.recording.recorder.answered(span, connector_id=None, session=None, error=None, store_wait_s=0.0)


def causes_of(transaction: Transaction) -> list[str]:
    """Return the span ids of the commands that the session is attributed to."""
    found = [dict(entry.attributes) for entry in transaction.timeline]
    return [each[catalogue.COMMAND_SPAN] for each in found if catalogue.COMMAND_SPAN in each]


@pytest.fixture
def story() -> Story:
    return Story()


def test_two_remote_starts_on_one_charge_point_lead_each_to_its_own_session(story: Story) -> None:
    first, second = story.command("RemoteStartTransaction", "1"), story.command("RemoteStartTransaction", "2")
    on_two, on_one = story.session("20", "2"), story.session("10", "1")
    assert causes_of(on_one) == [f"{first.span_id:016x}"]
    assert causes_of(on_two) == [f"{second.span_id:016x}"]
    assert not story.causes.pending


def test_a_second_remote_start_on_one_connector_replaces_the_first(story: Story) -> None:
    story.command("RemoteStartTransaction", "1")
    second = story.command("RemoteStartTransaction", "1")
    assert causes_of(story.session("10", "1")) == [f"{second.span_id:016x}"]
    assert not story.causes.pending


def test_a_remote_start_of_no_connector_leads_to_the_next_session_on_any(story: Story) -> None:
    command = story.command("RemoteStartTransaction")
    assert causes_of(story.session("20", "2")) == [f"{command.span_id:016x}"]
    assert causes_of(story.session("10", "1")) == []


def test_in_2x_the_id_of_the_remote_start_decides(story: Story) -> None:
    command = story.command("RequestStartTransaction", "1", remote_start_id=7)
    assert causes_of(story.session("10", "1", remote_start_id=8)) == []
    assert causes_of(story.session("20", "2", remote_start_id=7)) == [f"{command.span_id:016x}"]


@pytest.mark.parametrize(("after_s", "found"), [(START_S, 1), (START_S + 1, 0)])
def test_a_session_after_the_time_has_another_cause(story: Story, after_s: float, found: int) -> None:
    story.command("RemoteStartTransaction", "1")
    story.now_ts += after_s
    assert len(causes_of(story.session("10", "1"))) == found
    assert not story.causes.pending


@pytest.mark.parametrize("action", BOOTS)
def test_a_reboot_within_the_time_of_its_command_is_attributed_to_it(story: Story, action: str) -> None:
    command = story.command(action)
    story.now_ts += BOOTS[action]
    story.message("BootNotification")
    boot = story.recording.span("BootNotification")
    assert [int.from_bytes(link.span_id) for link in boot.links] == [command.span_id]
    assert attributes(boot)[catalogue.OCPP_CAUSE] == action
    reboot = story.recording.span(catalogue.REBOOT_SPAN)
    assert int.from_bytes(reboot.parent_span_id) == command.span_id


@pytest.mark.parametrize("action", BOOTS)
def test_a_reboot_after_the_time_of_its_command_has_another_cause(story: Story, action: str) -> None:
    story.command(action)
    story.now_ts += BOOTS[action] + 1
    story.message("BootNotification")
    assert not story.recording.span("BootNotification").links
    assert not story.causes.pending
