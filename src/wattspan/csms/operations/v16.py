"""Operations as calls of OCPP 1.6 and its security extension."""

from collections.abc import Mapping

from wattspan.csms.operations import parameters as op
from wattspan.csms.operations.context import (
    Builder,
    OcppCall,
    OperationContext,
    chosen_or_random,
    get_log,
    listed_tags,
    schedule_of,
    transaction_of,
    wire_time_of,
    without_none,
)
from wattspan.domain.timestamps import wire_time_or_none
from wattspan.errors import TransactionNotIdentified
from wattspan.versions.base import Payload


def _remote_start(operation: op.RemoteStart, _: OperationContext) -> OcppCall:
    return "RemoteStartTransaction", without_none(idTag=operation.id_tag, connectorId=operation.connector_id)


def _remote_stop(operation: op.RemoteStop, context: OperationContext) -> OcppCall:
    transaction_id = transaction_of(operation, context).transaction_id
    if not transaction_id.lstrip("-").isdigit():
        reason = "the transaction began under another OCPP version"
        raise TransactionNotIdentified(context.cp.cp_id, "RemoteStop", reason)
    return "RemoteStopTransaction", {"transactionId": int(transaction_id)}


def _unlock(operation: op.Unlock, _: OperationContext) -> OcppCall:
    return "UnlockConnector", {"connectorId": operation.connector_id}


def _reset(operation: op.Reset, _: OperationContext) -> OcppCall:
    return "Reset", {"type": "Hard" if operation.hard else "Soft"}


def _reserve(operation: op.Reserve, _: OperationContext) -> OcppCall:
    return "ReserveNow", without_none(
        connectorId=operation.connector_id,
        expiryDate=wire_time_of(operation.expires_at),
        idTag=operation.id_tag,
        parentIdTag=operation.parent_id_tag,
        reservationId=chosen_or_random(operation.reservation_id),
    )


def _cancel_reservation(operation: op.CancelReservation, _: OperationContext) -> OcppCall:
    return "CancelReservation", {"reservationId": operation.reservation_id}


def _set_limit(operation: op.SetLimit, context: OperationContext) -> OcppCall:
    profile = {
        "chargingProfileId": chosen_or_random(operation.profile_id),
        "stackLevel": operation.stack_level,
        "chargingProfilePurpose": "TxDefaultProfile" if operation.connector_id else "ChargePointMaxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule_of(operation, context),
    }
    return "SetChargingProfile", {"connectorId": operation.connector_id, "csChargingProfiles": profile}


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
    entries = [
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
    fields: Payload = {"listVersion": version, "updateType": operation.update, "localAuthorizationList": entries}
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
    )


def _update_firmware(operation: op.UpdateFirmware, context: OperationContext) -> OcppCall:
    retrieve_at = wire_time_of(operation.retrieve_at) or context.now
    return "UpdateFirmware", {"location": operation.location, "retrieveDate": retrieve_at}


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
