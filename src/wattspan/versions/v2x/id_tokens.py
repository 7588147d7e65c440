"""Id tokens of OCPP 2.0.1 and 2.1: Authorize (Part 2 C), and the idTokenInfo in other answers."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from wattspan.domain import events as ev
from wattspan.domain.timestamps import wire_time
from wattspan.errors import CallFault
from wattspan.ocppj.schemas import CODES_2X
from wattspan.versions.base import ACCEPTED, INVALID, ChargePointContext, IdTokenInfo, Payload
from wattspan.versions.fields import text

NO_AUTHORIZATION = "NoAuthorization"
GROUP_TYPE = "Central"
"""The type of our group ids, which exist in this system only."""
UNVERIFIABLE = "CertChainError"


class IdToken(NamedTuple):
    """An IdTokenType. The token is personal data, its type is not."""

    id_token: str
    type: str


def token_of(call: Payload, name: str = "idToken") -> IdToken | None:
    """Return the id token in a message; None if there is none. Sent as plain text, as in 1.6, it has the type ""."""
    token = call.get(name)
    if type(token) is dict:
        return IdToken(text(token.get("idToken")), text(token.get("type"), 20))
    return IdToken(text(token), "") if text(token) else None


def id_token_info(info: IdTokenInfo) -> Payload:
    """Return the IdTokenInfoType with the fields that are known."""
    answer: Payload = {"status": info.status}
    if info.expiry_ts is not None:
        answer["cacheExpiryDateTime"] = wire_time(info.expiry_ts)
    if info.parent is not None:
        answer["groupIdToken"] = {"idToken": info.parent, "type": GROUP_TYPE}
    if info.evse_ids:
        answer["evseId"] = list(info.evse_ids)
    return answer


async def authorization(
    token: IdToken, cp: ChargePointContext, *, connector_id: str | None = None, start_key: str | None = None
) -> Payload:
    """Return the idTokenInfo of a token. A start without authorisation (a button, C02) is accepted."""
    if token.type == NO_AUTHORIZATION:
        return {"status": ACCEPTED}
    info = await cp.authorize(token.id_token, kind=token.type, connector_id=connector_id, start_key=start_key)
    return id_token_info(info)


async def authorize(call: Payload, cp: ChargePointContext) -> Payload:
    """Answer Authorize (C01, C07). Raises CallFault if there is no token.

    No certificate authority is configured, so the contract certificate of a vehicle can't be verified, whether it was
    sent whole or as hashes. C07.FR.17 requires CertChainError and Invalid for that, whatever is known about the token.
    """
    token = token_of(call)
    if token is None:
        raise CallFault(CODES_2X.occurrence, "there is no idToken")
    if call.get("certificate") or call.get("iso15118CertificateHashData"):
        return {"idTokenInfo": {"status": INVALID}, "certificateStatus": UNVERIFIABLE}
    return {"idTokenInfo": await authorization(token, cp)}


def authorized(call: Payload, answer: Payload, cp_id: str, received_ts: float) -> Iterable[ev.Event]:
    """Observe the check of an id token."""
    return (ev.Authorized(cp_id=cp_id, received_ts=received_ts, status=status_of(answer)),)


def status_of(answer: Payload) -> str:
    """Return the AuthorizationStatus in an answer; "" if there is none."""
    info: Any = answer.get("idTokenInfo")
    return text(info.get("status"), 50) if isinstance(info, dict) else ""
