"""OCPP 2.0.1 and the table of its requests. The functions are in the modules beside it; 2.1 uses them too."""

from collections.abc import Mapping

from wattspan.ocppj.frames import FRAMING_201
from wattspan.ocppj.schemas import CODES_2X, Schemas
from wattspan.versions import common
from wattspan.versions.base import Request, Version
from wattspan.versions.v2x import id_tokens as tokens
from wattspan.versions.v2x import notifications, transactions
from wattspan.versions.v2x.commands import COMMANDS
from wattspan.versions.v2x.reports import REPORTS

REQUESTS: Mapping[str, Request] = dict(REPORTS) | {
    request.action: request
    for request in (
        Request(action="Authorize", answer=tokens.authorize, observe=tokens.authorized),
        Request(action="BootNotification", answer=common.boot_notification, observe=notifications.booted),
        Request(action="DataTransfer", answer=common.data_transfer),
        Request(action="FirmwareStatusNotification", answer=common.acknowledge, observe=common.firmware_status),
        Request(action="Heartbeat", answer=common.heartbeat, observe=common.heartbeat_received),
        Request(action="LogStatusNotification", answer=common.acknowledge, observe=common.log_status),
        Request(
            action="MeterValues",
            answer=common.acknowledge,
            observe=transactions.meter_values_received,
            place=None,
        ),
        Request(action="SecurityEventNotification", answer=common.acknowledge, observe=common.security_event),
        Request(action="SignCertificate", answer=notifications.sign_certificate),
        Request(
            action="StatusNotification",
            answer=notifications.status_notification,
            observe=notifications.status_changed,
            place=transactions.evse_place,
        ),
        Request(
            action="TransactionEvent",
            answer=transactions.transaction_event,
            observe=transactions.transaction_event_received,
            place=None,
        ),
    )
}

v201 = Version(
    subprotocol="ocpp2.0.1",
    name="2.0.1",
    schemas=Schemas.load("v201"),
    codes=CODES_2X,
    framing=FRAMING_201,
    requests=dict(REQUESTS),
    commands=dict(COMMANDS),
)
