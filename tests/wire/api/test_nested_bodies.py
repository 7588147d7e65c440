"""Bodies that are deep or have huge numbers are the asker's fault, and cost nobody anything."""

import pytest

from support.central import Csms
from support.operators import Operator

JSON = {"Content-Type": "application/json"}

BODIES = {
    "brackets": b"[" * 500_000,
    "closed brackets": b"[" * 400_000 + b"]" * 400_000,
    "objects": b'{"a":' * 150_000 + b"1" + b"}" * 150_000,
    "a deep payload": b'{"vendorId":"V","data":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "a payload of 300 levels": b'{"vendorId":"V","data":' + b"[" * 300 + b"]" * 300 + b"}",
    "a payload of 200 levels of objects": b'{"vendorId":"V","data":' + b'{"a":' * 200 + b"1" + b"}" * 201,
    "a number of 100,000 digits": b'{"vendorId":"V","data":' + b"9" * 100_000 + b"}",
    "a number of 1,000 digits": b'{"vendorId":"V","data":' + b"9" * 1_000 + b"}",
    "an infinite number": b'{"vendorId":"V","data":1e999}',
    "no number": b'{"vendorId":"V","data":NaN}',
    "half of a surrogate pair": rb'{"vendorId":"V","data":"\ud800"}',
    "a key twice": b'{"vendorId":"V","vendorId":"W"}',
    "no UTF-8": b'{"vendorId":"\xff\xfe"}',
}


@pytest.mark.parametrize("path", ["/session", "/charge-points/CP1/commands/DataTransfer", "/id-tags/TAG1", "/jobs"])
async def test_a_strange_body_is_the_askers_fault(csms: Csms, operator: Operator, path: str) -> None:
    method = "PUT" if path.startswith("/id-tags") else "POST"
    for claim, body in BODIES.items():
        answer = await operator.send(method, path, content=body, headers=JSON)
        assert 400 <= answer.status_code < 500, (claim, answer.status_code, answer.text[:300])
        assert len(answer.content) < 20_000, claim
    assert (await operator.send("GET", "/charge-points")).status_code == 200
