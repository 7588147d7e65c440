"""What the specifications say, often got wrong. Each docstring has the words of docs/quirks.md."""

import pytest
from websockets.typing import Subprotocol

from support.chargers import CallErrorReceived, status
from wattspan.domain.status import CALL_ERROR_CODES, bounded_error
from wattspan.versions import VERSIONS

SPELLING = {"ocpp1.6": "OccurenceConstraintViolation"}
"""Every other version: OccurrenceConstraintViolation."""


async def test_unknown_identity(make_csms):
    """unknown identity: 404"""
    csms = await make_csms(unknown_charge_points="refuse")
    async with csms.raw_charger("/ws/STRANGER") as charger:
        assert charger.status == 404
    assert await csms.metric("ocpp_central_handshakes_rejected_total", reason="unknown") == 1
    assert [line for line in await csms.page() if "cp_id=" in line] == []


@pytest.mark.parametrize("spoken", VERSIONS)
async def test_the_spelling_of_occurrence_constraint_violation(make_csms, spoken):
    """1.6 spells `OccurenceConstraintViolation`, 2.x `OccurrenceConstraintViolation`; the `ocpp` package lacks
    MessageTypeNotSupported and RpcFrameworkError
    """
    csms = await make_csms(strict=True)
    async with csms.charger("CP1", subprotocols=[Subprotocol(spoken)]) as charger:
        with pytest.raises(CallErrorReceived) as refused:
            await charger.call("Authorize", {})
        assert refused.value.code == SPELLING.get(spoken, "OccurrenceConstraintViolation")
        name = "ocpp_cp_errors_total"
        assert await csms.metric(name, cp_id="CP1", error_type=refused.value.code) == 1


def test_the_codes_that_the_ocpp_package_lacks_are_labels():
    """1.6 spells `OccurenceConstraintViolation`, 2.x `OccurrenceConstraintViolation`; the `ocpp` package lacks
    MessageTypeNotSupported and RpcFrameworkError
    """
    assert {"MessageTypeNotSupported", "RpcFrameworkError"} <= CALL_ERROR_CODES
    assert bounded_error("MessageTypeNotSupported", {}) == "MessageTypeNotSupported"


@pytest.mark.parametrize("spoken", VERSIONS)
async def test_permessage_deflate(csms, spoken):
    """permessage-deflate must be supported by a 2.x CSMS"""
    async with csms.charger("CP1", compression="deflate", subprotocols=[Subprotocol(spoken)]) as charger:
        assert "permessage-deflate" in charger.socket.response.headers["Sec-WebSocket-Extensions"]
        assert await charger.call("DataTransfer", {"vendorId": "v", "data": "d" * 100_000})


async def test_a_charger_may_skip_heartbeat(timed, clock):
    """a charger may skip Heartbeat when it sent something else (1.6 §4.6)"""
    async with timed.charger("CP1") as charger:
        await charger.call("Heartbeat")
        for minute in range(1, 11):
            clock.be_at(minute * 60)
            await charger.call("StatusNotification", status("Available"))
        # The last heartbeat is told as it was; that it lives is seen by the last message.
        assert await timed.metric("ocpp_cp_last_heartbeat_ts", cp_id="CP1") == clock.began_ts
        assert await timed.metric("ocpp_cp_last_msg_ts", cp_id="CP1") == clock.began_ts + 600
        assert await timed.metric("ocpp_cp_connected", cp_id="CP1") == 1
