"""Operations as calls of OCPP 1.6 and its security extension."""

from collections.abc import Mapping

from wattspan.csms.operations import parameters as op
from wattspan.csms.operations.context import (
    Builder,
    OcppCall,
    OperationContext,
    chosen_or_random,
    get_log,
    group_of,
    invalid,
    limited_transaction,
    listed_tags,
    random_id,
    removed_tags,
    schedule_of,
    signed_fields,
    transaction_of,
    wire_time_of,
    without_none,
)
from wattspan.domain.model import Transaction
from wattspan.domain.timestamps import wire_time_or_none
from wattspan.errors import TransactionNotIdentified
from wattspan.versions.base import Payload

MAX_ID_TAG = 20
"""Characters of an idTag (OCPP 1.6 §7.28)."""


def _remote_start(operation: op.RemoteStart, _: OperationContext) -> OcppCall:
    return "RemoteStartTransaction", without_none(idTag=operation.id_tag, connectorId=operation.connector_id)


def _remote_stop(operation: op.RemoteStop, context: OperationContext) -> OcppCall:
    return "RemoteStopTransaction", {"transactionId": _number(transaction_of(operation, context), "RemoteStop")}


def _number(transaction: Transaction, action: str) -> int:
    """Return OCPP's id of a transaction. Raises TransactionNotIdentified for an id that 1.6 can't express."""
    if not transaction.transaction_id.lstrip("-").isdigit():
        reason = "the transaction began under another OCPP version"
        raise TransactionNotIdentified(transaction.cp_id, action, reason)
    return int(transaction.transaction_id)


def _unlock(operation: op.Unlock, context: OperationContext) -> OcppCall:
    if operation.evse_connector_id is not None:
        raise invalid(context, operation, "/evse_connector_id", "needs OCPP 2.x: OCPP 1.6 has no EVSEs")
    return "UnlockConnector", {"connectorId": operation.connector_id}


def _reset(operation: op.Reset, _: OperationContext) -> OcppCall:
    return "Reset", {"type": "Hard" if operation.hard else "Soft"}


def _reserve(operation: op.Reserve, context: OperationContext) -> OcppCall:
    return "ReserveNow", without_none(
        connectorId=operation.connector_id,
        expiryDate=wire_time_of(operation.expires_at),
        idTag=operation.id_tag,
        parentIdTag=group_of(operation, context, MAX_ID_TAG),
        reservationId=chosen_or_random(operation.reservation_id),
    )


def _cancel_reservation(operation: op.CancelReservation, _: OperationContext) -> OcppCall:
    return "CancelReservation", {"reservationId": operation.reservation_id}


def _set_limit(operation: op.SetLimit, context: OperationContext) -> OcppCall:
    transaction = limited_transaction(operation, context)
    purpose = "TxDefaultProfile" if operation.connector_id else "ChargePointMaxProfile"
    profile = without_none(
        chargingProfileId=chosen_or_random(operation.profile_id),
        transactionId=None if transaction is None else _number(transaction, "SetLimit"),
        stackLevel=operation.stack_level,
        chargingProfilePurpose=purpose if transaction is None else "TxProfile",
        chargingProfileKind="Absolute",
        chargingSchedule=schedule_of(operation, context),
    )
    connector_id = operation.connector_id if transaction is None else int(transaction.connector_id)
    return "SetChargingProfile", {"connectorId": connector_id, "csChargingProfiles": profile}


def _clear_limit(operation: op.ClearLimit, _: OperationContext) -> OcppCall:
    return "ClearChargingProfile", without_none(
        id=operation.profile_id, connectorId=operation.connector_id, stackLevel=operation.stack_level
    )


def _set_availability(operation: op.SetAvailability, _: OperationContext) -> OcppCall:
    kind = "Operative" if operation.operative else "Inoperative"
    return "ChangeAvailability", {"connectorId": operation.connector_id, "type": kind}


def _trigger(operation: op.Trigger, _: OperationContext) -> OcppCall:
    return "TriggerMessage", without_none(requestedMessage=operation.message, connectorId=operation.connector_id)


def _send_local_list(operation: op.SendLocalList, context: OperationContext) -> OcppCall:
    removed: list[Payload] = [{"idTag": each} for each in removed_tags(operation, context)]
    entries: list[Payload] = [
        {
            "idTag": tag.id_token,
            "idTagInfo": without_none(
                status=tag.status,
                expiryDate=wire_time_or_none(tag.expiry_ts),
                parentIdTag=tag.parent,
            ),
        }
        for tag in listed_tags(operation, context)
    ]
    version = operation.version or int(context.now_ts)
    fields: Payload = {
        "listVersion": version,
        "updateType": operation.update,
        "localAuthorizationList": [*entries, *removed],
    }
    return "SendLocalList", fields


def _get_local_list_version(_operation: op.GetLocalListVersion, _: OperationContext) -> OcppCall:
    return "GetLocalListVersion", {}


def _get_logs(operation: op.GetLogs, context: OperationContext) -> OcppCall:
    if operation.kind == "security":
        return get_log(operation, context)
    return "GetDiagnostics", without_none(
        location=operation.location or context.upload_url(),
        startTime=wire_time_of(operation.from_at),
        stopTime=wire_time_of(operation.until_at),
        retries=operation.retries,
        retryInterval=operation.retry_interval_s,
    )


def _update_firmware(operation: op.UpdateFirmware, context: OperationContext) -> OcppCall:
    """UpdateFirmware (§5.19), or SignedUpdateFirmware of the security extension (whitepaper L01)."""
    retrieve_at = wire_time_of(operation.retrieve_at) or context.now
    tries = without_none(retries=operation.retries, retryInterval=operation.retry_interval_s)
    signed = signed_fields(operation, context)
    if not signed:
        if operation.install_at is not None:
            raise invalid(context, operation, "/install_at", "needs signed firmware in OCPP 1.6")
        return "UpdateFirmware", {"location": operation.location, "retrieveDate": retrieve_at, **tries}
    firmware = without_none(
        location=operation.location,
        retrieveDateTime=retrieve_at,
        installDateTime=wire_time_of(operation.install_at),
        **signed,
    )
    return "SignedUpdateFirmware", {"requestId": random_id(), "firmware": firmware, **tries}


def _get_configuration(operation: op.GetConfiguration, _: OperationContext) -> OcppCall:
    return "GetConfiguration", {"key": list(operation.keys)} if operation.keys else {}


def _change_configuration(operation: op.ChangeConfiguration, _: OperationContext) -> OcppCall:
    return "ChangeConfiguration", {"key": operation.key, "value": operation.value}


def _set_password(operation: op.SetPassword, _: OperationContext) -> OcppCall:
    """AuthorizationKey (security whitepaper §4.1): the bytes of the key in hex."""
    return "ChangeConfiguration", {"key": "AuthorizationKey", "value": operation.secret.encode().hex()}


def _request_certificate_renewal(_operation: op.RequestCertificateRenewal, _: OperationContext) -> OcppCall:
    """ExtendedTriggerMessage (security whitepaper §4.3)."""
    return "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}


BUILDERS: Mapping[type[op.Operation], Builder] = {
    op.RemoteStart: _remote_start,
    op.RemoteStop: _remote_stop,
    op.Unlock: _unlock,
    op.Reset: _reset,
    op.Reserve: _reserve,
    op.CancelReservation: _cancel_reservation,
    op.SetLimit: _set_limit,
    op.ClearLimit: _clear_limit,
    op.SetAvailability: _set_availability,
    op.Trigger: _trigger,
    op.SendLocalList: _send_local_list,
    op.GetLocalListVersion: _get_local_list_version,
    op.GetLogs: _get_logs,
    op.UpdateFirmware: _update_firmware,
    op.GetConfiguration: _get_configuration,
    op.ChangeConfiguration: _change_configuration,
    op.SetPassword: _set_password,
    op.RequestCertificateRenewal: _request_certificate_renewal,
}
"""How each operation is called in OCPP 1.6."""
