"""Passwords, tokens and keys are told back by nothing: no answer, log line, metric or audit row."""

import asyncio
import json
import logging
from typing import Any

import pytest

from support.central import Csms
from support.operators import Operator, anonymous

MARK = "Zq7vXw2"
"""In everything here that is secret."""
LONG = MARK + "x" * 600


def bodies() -> list[tuple[str, str, Any]]:
    """Requests with a secret in them, each wrong in its own way."""
    user = {"name": "eve", "password": MARK, "role": "viewer"}
    return [
        ("POST", "/session", {"name": "admin", "password": MARK}),
        ("POST", "/session", {"name": "admin", "password": [MARK]}),
        ("POST", "/session", {"name": "admin", "password": LONG}),
        ("POST", "/session", {"name": "admin", "password": MARK, "more": MARK}),
        ("POST", "/registrations", {"name": "eve", "password": MARK}),
        ("POST", "/users", user),
        ("POST", "/users", user | {"password": {"of": MARK}}),
        ("POST", "/users", user | {"role": MARK}),
        ("PATCH", "/users/admin", {"password": MARK}),
        ("PUT", "/session/password", {"old": MARK, "new": MARK}),
        ("PUT", "/charge-points/CP1/credentials", {"secret": f"{MARK} with a space"}),
        ("PUT", "/charge-points/CP1/credentials", {"secret": LONG}),
        ("PUT", "/charge-points/CP1/credentials", {"secret": {"of": MARK}}),
        ("PUT", "/charge-points/CP1/configuration/AuthorizationKey", {"value": LONG}),
        ("POST", "/charge-points/CP1/commands/ChangeConfiguration", {"key": "AuthorizationKey", "value": LONG}),
        ("POST", "/charge-points/CP1/commands/ChangeConfiguration", {"key": "AuthorizationKey", "value": [MARK]}),
        ("POST", "/charge-points/CP1/commands/ChangeConfiguration", {"key": "AuthorizationKey", MARK: MARK}),
        ("POST", "/charge-points/CP1/commands/SetVariables", {"setVariableData": MARK}),
    ]


async def test_nothing_tells_a_secret_back(csms: Csms, operator: Operator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = []
    async with csms.charger("CP1") as charger, anonymous(csms) as stranger:
        for method, path, body in bodies():
            answer = await operator.send(method, path, json=body)
            assert 400 <= answer.status_code < 500, (path, answer.text)
            answers.append(answer)
            broken = json.dumps(body)[:-1].encode()
            answers.append(await operator.send(method, path, content=broken, headers={"Content-Type": "text/plain"}))
        answers.append(await stranger.send("GET", "/session", headers={"Authorization": f"Bearer {MARK}"}))
        answers.append(await stranger.send("GET", "/session", headers={"Cookie": f"wattspan_session={MARK}"}))
        answers.append(await operator.send("POST", "/users", json={}, headers={"X-CSRF-Token": MARK}))
        path = "/charge-points/CP1/configuration/AuthorizationKey"
        asking = asyncio.create_task(operator.send("PUT", path, json={"value": MARK * 3}))
        frame = await charger.expect("ChangeConfiguration")
        await charger.send_raw(json.dumps([4, frame[1], "InternalError", f"no {MARK}", {"value": MARK}]))
        answers.append(await asking)
        audit = await operator.ask("GET", "/audit", params={"limit": 500})
    assert [answer.text for answer in answers if MARK in answer.text] == []
    seen = [record.getMessage() for record in caplog.records if record.name.startswith(("wattspan", "uvicorn"))]
    assert [text for text in seen if MARK in text] == []
    assert MARK not in str(audit)
    assert MARK not in "".join(await csms.page())
