"""OCPP 2.1: commands that are new or answer otherwise than in 2.0.1. Tariffs and costs are carried, not computed."""

from collections.abc import Iterable, Mapping

from wattspan.domain import events as ev
from wattspan.versions.base import Command, Payload
from wattspan.versions.fields import whole
from wattspan.versions.v2x import charging
from wattspan.versions.v2x import commands as v201_commands
from wattspan.versions.v2x import device_model as variables
from wattspan.versions.v2x.commands import CHOICE, NO_STATUS, command

_DER = CHOICE | {"NotSupported", "NotFound"}
_TARIFF = CHOICE | {"TooManyElements", "ConditionNotSupported"}


def _schedule_updated(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """UpdateDynamicSchedule (OCPP 2.1 K28)."""
    profile_id, update = whole(call.get("chargingProfileId")), call.get("scheduleUpdate")
    if not charging.accepted(answer) or profile_id is None or not isinstance(update, dict):
        return ()
    return (ev.DynamicScheduleUpdated(cp_id=cp_id, received_ts=received_ts, profile_id=profile_id, update=update),)


def _streams_read(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """GetPeriodicEventStream (OCPP 2.1 N13): the streams that are open."""
    for told in variables.objects(answer.get("constantStreamData")):
        yield from stream_opened(told, cp_id, received_ts)


def stream_opened(told: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """A ConstantStreamData (OCPP 2.1 §2.15)."""
    stream_id, monitor_id = whole(told.get("id")), whole(told.get("variableMonitoringId"))
    if stream_id is None or monitor_id is None:
        return ()
    given = told.get("params")
    params = given if isinstance(given, dict) else {}
    return (
        ev.EventStreamOpened(
            cp_id=cp_id,
            received_ts=received_ts,
            stream_id=stream_id,
            monitor_id=monitor_id,
            interval_s=whole(params.get("interval")),
            values=whole(params.get("values")),
        ),
    )


CHANGED: Mapping[str, Command] = {
    row.action: row
    for row in (
        command("AFRRSignal"),
        command("AdjustPeriodicEventStream"),
        command("ChangeTransactionTariff", _TARIFF | {"TxNotFound", "NoCurrencyChange"}),
        command("ClearDERControl", _DER),
        command("ClearDisplayMessage", CHOICE | {"Unknown"}),
        command("ClearTariffs", CHOICE | {"NoTariff"}, results=("clearTariffsResult", "status")),
        command("GetDERControl", _DER),
        command("GetPeriodicEventStream", NO_STATUS, observe=_streams_read),
        command("GetTariffs", CHOICE | {"NoTariff"}, connector=charging.evse),
        command("NotifyAllowedEnergyTransfer"),
        command("NotifyWebPaymentStarted", NO_STATUS, connector=charging.evse),
        command("RequestBatterySwap"),
        command("SetDERControl", _DER),
        command("SetDefaultTariff", _TARIFF | {"DuplicateTariffId"}, connector=charging.evse),
        command("SetDisplayMessage", v201_commands.COMMANDS["SetDisplayMessage"].statuses | {"LanguageNotSupported"}),
        command("UpdateDynamicSchedule", observe=_schedule_updated),
        command("UsePriorityCharging", CHOICE | {"NoProfile"}),
    )
}

COMMANDS: Mapping[str, Command] = {**v201_commands.COMMANDS, **CHANGED}
"""Every message of OCPP 2.1 from us to a charging station."""
