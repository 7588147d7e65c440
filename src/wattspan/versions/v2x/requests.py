"""OCPP 2.0.1: the table of its messages. What each means is said in the modules beside it, which 2.1 shares."""

from collections.abc import Mapping

from wattspan.ocppj.frames import FRAMING_201
from wattspan.ocppj.schemas import CODES_2X, Schemas
from wattspan.versions.base import Request, Version
from wattspan.versions.v2x import id_tokens as tokens
from wattspan.versions.v2x import notifications, transactions
from wattspan.versions.v2x.commands import COMMANDS
from wattspan.versions.v2x.reports import NOTICES

REQUESTS: Mapping[str, Request] = dict(NOTICES) | {
    request.action: request
    for request in (
        Request(action="Authorize", answer=tokens.authorize, observe=tokens.authorized),
        Request(action="BootNotification", answer=notifications.boot_notification, observe=notifications.booted),
        Request(action="DataTransfer", answer=notifications.data_transfer),
        Request(action="FirmwareStatusNotification", answer=notifications.noted, observe=notifications.firmware_status),
        Request(action="Heartbeat", answer=notifications.heartbeat, observe=notifications.heartbeat_received),
        Request(action="LogStatusNotification", answer=notifications.noted, observe=notifications.log_status),
        Request(
            action="MeterValues",
            answer=transactions.meter_values,
            observe=transactions.meter_values_received,
            place=None,
        ),
        Request(action="SecurityEventNotification", answer=notifications.noted, observe=notifications.security_event),
        Request(action="SignCertificate", answer=notifications.sign_certificate),
        Request(
            action="StatusNotification",
            answer=notifications.status_notification,
            observe=notifications.status_changed,
            place=transactions.metered_place,
        ),
        Request(
            action="TransactionEvent",
            answer=transactions.transaction_event,
            observe=transactions.transaction_told,
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
