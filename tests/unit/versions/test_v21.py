from typing import Any

import pytest

from support.schema_files import result_faults
from wattspan.errors import CallFault
from wattspan.versions.v21.requests import v21

ACTION = "GetCertificateChainStatus"


class Cp:
    cp_id = "CP1"
    now_ts = 1_790_000_000.0


def asked(**fields: str) -> dict[str, Any]:
    hash_data = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "c"}
    return {"certificateHashData": hash_data | fields, "source": "OCSP", "urls": ["x"]}


def test_the_answer_about_certificates_fits_its_schema_whatever_was_asked() -> None:
    """Found by `make fuzz`: the answer repeated a hash algorithm that OCPP does not have, and serials of any length."""
    call = {"certificateStatusRequests": [asked(), asked(hashAlgorithm="SH"), asked(serialNumber="9" * 99)] * 3}
    answer = v21.requests[ACTION].answer(call, Cp())  # type: ignore[arg-type]
    assert result_faults("ocpp2.1", ACTION, answer) == []


def test_certificates_of_no_known_algorithm_are_a_fault() -> None:
    with pytest.raises(CallFault):
        v21.requests[ACTION].answer({"certificateStatusRequests": [asked(hashAlgorithm="SH")]}, Cp())  # type: ignore[arg-type]
