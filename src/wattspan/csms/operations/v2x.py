"""Operations as calls of OCPP 2.0.1 and 2.1, in which they are the same."""

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
from wattspan.domain.model import ChargePoint
from wattspan.domain.status import OCCUPIED
from wattspan.domain.timestamps import wire_time_or_none
from wattspan.errors import OperationUnsupported
from wattspan.versions.base import Payload

FIRST_CONNECTOR = "1"
"""The connector of an EVSE that UnlockConnector names if no other is known to be meant."""
MAX_ID_TOKEN = 36
"""Characters of an idToken that every 2.x version carries; 2.1 alone has 255."""


def _token(id_tag: str) -> Payload:
    """Return an IdTokenType of type Central: the CSMS vouches for the token (2.0.1 Part 2 §2.42)."""
    return {"idToken": id_tag, "type": "Central"}


def _evse(connector_id: int | None) -> Payload | None:
    return {"id": connector_id} if connector_id else None


def _remote_start(operation: op.RemoteStart, _: OperationContext) -> OcppCall:
    return "RequestStartTransaction", without_none(
        idToken=_token(operation.id_tag), remoteStartId=random_id(), evseId=operation.connector_id
    )


def _remote_stop(operation: op.RemoteStop, context: OperationContext) -> OcppCall:
    return "RequestStopTransaction", {"transactionId": transaction_of(operation, context).transaction_id}


def _unlock(operation: op.Unlock, context: OperationContext) -> OcppCall:
    """UnlockConnector (2.0.1 F05), of one connector of an EVSE."""
    if operation.connector_id < 1:
        raise invalid(context, operation, "/connector_id", "must name an EVSE")
    chosen = operation.evse_connector_id or int(_connector_in_use(context.cp, str(operation.connector_id)))
    return "UnlockConnector", {"evseId": operation.connector_id, "connectorId": chosen}


def _connector_in_use(cp: ChargePoint, evse_id: str) -> str:
    """Return the connector of an EVSE that is occupied, or else the only one that reported a status, or the first."""
    evse = cp.connectors.get(evse_id)
    outlets = {} if evse is None else {each: status for each, status in evse.outlets.items() if each.isdigit()}
    occupied = [each for each, status in outlets.items() if status == OCCUPIED]
    candidates = occupied or list(outlets)
    return candidates[0] if len(candidates) == 1 else FIRST_CONNECTOR


def _reset(operation: op.Reset, _: OperationContext) -> OcppCall:
    return "Reset", {"type": "Immediate" if operation.hard else "OnIdle"}


def _reserve(operation: op.Reserve, context: OperationContext) -> OcppCall:
    group = group_of(operation, context, MAX_ID_TOKEN)
    return "ReserveNow", without_none(
        id=chosen_or_random(operation.reservation_id),
        expiryDateTime=wire_time_of(operation.expires_at),
        idToken=_token(operation.id_tag),
        groupIdToken=_token(group) if group else None,
        evseId=operation.connector_id or None,
    )


def _cancel_reservation(operation: op.CancelReservation, _: OperationContext) -> OcppCall:
    return "CancelReservation", {"reservationId": operation.reservation_id}


def _set_limit(operation: op.SetLimit, context: OperationContext) -> OcppCall:
    transaction = limited_transaction(operation, context)
    purpose = "TxDefaultProfile" if operation.connector_id else "ChargingStationMaxProfile"
    profile = without_none(
        id=chosen_or_random(operation.profile_id),
        transactionId=None if transaction is None else transaction.transaction_id,
        stackLevel=operation.stack_level,
        chargingProfilePurpose=purpose if transaction is None else "TxProfile",
        chargingProfileKind="Absolute",
        chargingSchedule=[{"id": 1, **schedule_of(operation, context)}],
    )
    evse_id = operation.connector_id if transaction is None else int(transaction.connector_id)
    return "SetChargingProfile", {"evseId": evse_id, "chargingProfile": profile}


def _clear_limit(operation: op.ClearLimit, _: OperationContext) -> OcppCall:
    criteria = without_none(evseId=operation.connector_id, stackLevel=operation.stack_level)
    return "ClearChargingProfile", without_none(
        chargingProfileId=operation.profile_id, chargingProfileCriteria=criteria or None
    )


def _set_availability(operation: op.SetAvailability, _: OperationContext) -> OcppCall:
    status = "Operative" if operation.operative else "Inoperative"
    return "ChangeAvailability", without_none(operationalStatus=status, evse=_evse(operation.connector_id))


def _trigger(operation: op.Trigger, _: OperationContext) -> OcppCall:
    return "TriggerMessage", without_none(requestedMessage=operation.message, evse=_evse(operation.connector_id))


def _send_local_list(operation: op.SendLocalList, context: OperationContext) -> OcppCall:
    removed: list[Payload] = [{"idToken": _token(each)} for each in removed_tags(operation, context)]
    entries: list[Payload] = [
        {
            "idToken": _token(tag.id_token),
            "idTokenInfo": without_none(
                status=tag.status,
                cacheExpiryDateTime=wire_time_or_none(tag.expiry_ts),
                groupIdToken=_token(tag.parent) if tag.parent else None,
            ),
        }
        for tag in listed_tags(operation, context)
    ]
    entries += removed
    fields: Payload = {"versionNumber": operation.version or int(context.now_ts), "updateType": operation.update}
    # The schema wants at least one entry in a list that is given; without a list, Full empties the charge point's.
    return "SendLocalList", {**fields, **({"localAuthorizationList": entries} if entries else {})}


def _get_local_list_version(_operation: op.GetLocalListVersion, _: OperationContext) -> OcppCall:
    return "GetLocalListVersion", {}


def _update_firmware(operation: op.UpdateFirmware, context: OperationContext) -> OcppCall:
    retrieve_at = wire_time_of(operation.retrieve_at) or context.now
    firmware = without_none(
        location=operation.location,
        retrieveDateTime=retrieve_at,
        installDateTime=wire_time_of(operation.install_at),
        **signed_fields(operation, context),
    )
    return "UpdateFirmware", without_none(
        requestId=random_id(),
        firmware=firmware,
        retries=operation.retries,
        retryInterval=operation.retry_interval_s,
    )


def _no_configuration_keys(operation: op.Operation, context: OperationContext) -> OcppCall:
    reason = "OCPP 2.x has a device model instead of configuration keys"
    raise OperationUnsupported(context.cp.cp_id, type(operation).__name__, reason)


def _set_password(operation: op.SetPassword, _: OperationContext) -> OcppCall:
    """BasicAuthPassword (2.0.1 Part 2 A01)."""
    variable = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": operation.secret,
    }
    return "SetVariables", {"setVariableData": [variable]}


def _request_certificate_renewal(_operation: op.RequestCertificateRenewal, _: OperationContext) -> OcppCall:
    """TriggerMessage for SignCertificate (2.0.1 Part 2 A02.FR.01)."""
    return "TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"}


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
    op.GetLogs: get_log,
    op.UpdateFirmware: _update_firmware,
    op.GetConfiguration: _no_configuration_keys,
    op.ChangeConfiguration: _no_configuration_keys,
    op.SetPassword: _set_password,
    op.RequestCertificateRenewal: _request_certificate_renewal,
}
"""How each operation is called in OCPP 2.x."""
