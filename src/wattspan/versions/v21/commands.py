"""Commands of OCPP 2.1 that are new, or whose answers differ from 2.0.1. No tariff or cost is computed."""

from collections.abc import Iterable, Mapping

from wattspan.domain import events as ev
from wattspan.versions.base import Command, Payload
from wattspan.versions.common import CHOICE, NO_STATUS, command, is_accepted
from wattspan.versions.fields import whole
from wattspan.versions.v2x import charging
from wattspan.versions.v2x import commands as v201_commands
from wattspan.versions.v2x import device_model as variables

_DER = CHOICE | {"NotSupported", "NotFound"}
_TARIFF = CHOICE | {"TooManyElements", "ConditionNotSupported"}


def _schedule_updated(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe UpdateDynamicSchedule (OCPP 2.1 K28)."""
    profile_id, update = whole(call.get("chargingProfileId")), call.get("scheduleUpdate")
    if not is_accepted(answer) or profile_id is None or not isinstance(update, dict):
        return ()
    return (ev.DynamicScheduleUpdated(cp_id=cp_id, received_ts=received_ts, profile_id=profile_id, update=update),)


def _streams_read(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe GetPeriodicEventStream (OCPP 2.1 N13): the open streams."""
    for stream in variables.objects(answer.get("constantStreamData")):
        yield from stream_opened(stream, cp_id, received_ts)


def stream_opened(stream: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Return the event of a ConstantStreamData (OCPP 2.1 §2.15); none if it has no ids."""
    stream_id, monitor_id = whole(stream.get("id")), whole(stream.get("variableMonitoringId"))
    if stream_id is None or monitor_id is None:
        return ()
    found = stream.get("params")
    params = found if isinstance(found, dict) else {}
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
"""Every command of OCPP 2.1, by action."""
