"""Secrets of charge points are in no log, span, metric, answer or row, whatever happens to them."""

import asyncio
import logging
import re
from base64 import b64encode
from pathlib import Path

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.typing import Subprotocol

from support.chargers import BOOT
from support.databases import query
from support.operators import admin
from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.telemetry import logs

CLIENTS = ("websockets.client", "httpx", "httpcore.connection", "httpcore.http11")
"""Loggers of the test's own side, which tell all they send."""
CHOSEN, WRONG = "chosen by somebody", "a wrong attempt"
BY_COMMAND, REFUSED = "set by a command", "refused by it"


def _files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and "fleet.db" in path.name)


def _every_form(secret: str) -> list[str]:
    return [secret, secret.encode().hex(), b64encode(secret.encode()).decode()]


async def test_a_secret_that_is_made_used_rotated_and_mistaken_is_found_nowhere(
    make_secured, tmp_path, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(logs._line_limiter, "_every_s", 0.0)  # every line is looked at, whatever was logged just before
    monkeypatch.setattr(logs._line_limiter, "_reasons", {})
    monkeypatch.setattr(logs, "MAX_LINES", 1_000_000)
    audit = tmp_path / "audit.jsonl"
    secured = await make_secured(unknown_charge_points="reject", plugins=["audit"], audit_log=str(audit))
    csms = secured.csms
    spans = InMemorySpanExporter()
    csms.central.telemetry.tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    secrets, told = {CHOSEN, WRONG}, []
    await csms.store.add_charge_point("CP2", await asyncio.to_thread(hash_secret, CHOSEN, False))
    async with admin(csms) as operator:
        made = (await operator.ask("POST", "/charge-points", 201, json={"cp_id": "CP1"}))["secret"]
        secrets.add(made)
        for cp_id, secret in (("CP1", WRONG), ("CP2", CHOSEN), ("CP2", WRONG)):
            await secured.outcome(cp_id, tls=False, secret=secret)
        basic = b64encode(f"CP1:{WRONG}".encode()).decode()
        async with csms.raw_charger("/ws/CP1", Authorization=f"Basic {basic}") as refused:
            told.append(f"{refused.headers}")
        async with secured.charger("CP1", secret=made, subprotocols=[Subprotocol("ocpp2.0.1")]) as charger:
            await csms.central.wait_until_connected("CP1")
            rotating = asyncio.create_task(operator.send("POST", "/charge-points/CP1/credentials/rotate"))
            command = await charger.expect("SetVariables")
            secrets.add(command[3]["setVariableData"][0]["attributeValue"])
            await charger.send_raw(f'[4,"{command[1]}","InternalError","no","{{}}"]')
            told.append((await rotating).text)
        async with secured.charger("CP2", secret=CHOSEN) as charger:
            await charger.call("BootNotification", BOOT)
            await csms.central.wait_until_connected("CP2")
            rotating = asyncio.create_task(operator.send("POST", "/charge-points/CP2/credentials/rotate"))
            command = await charger.expect("ChangeConfiguration")
            secrets.add(bytes.fromhex(command[3]["value"]).decode())
            await charger.reply(command, {"status": "Accepted"})
            told.append((await rotating).text)
            for command, answer in ((BY_COMMAND, {"status": "Accepted"}), (REFUSED, {"status": "Rejected"})):
                value = {"key": "AuthorizationKey", "value": command}
                path = "/charge-points/CP2/commands/ChangeConfiguration"
                sending = asyncio.create_task(operator.send("POST", path, json=value))
                await charger.reply(await charger.expect("ChangeConfiguration"), answer)
                told.append((await sending).text)
        paths = ("/charge-points/CP1", "/charge-points/CP2", "/charge-points", "/audit", "/settings")
        told += [(await operator.send("GET", path)).text for path in paths]
    await csms.durable()
    page = "\n".join(await csms.page())
    await csms.central._core.plugins.stop()
    secrets |= {BY_COMMAND, REFUSED}
    assert len(secrets) == 7
    everywhere = {
        "logs": "".join(str(each.__dict__) + each.getMessage() for each in caplog.records if each.name not in CLIENTS),
        "spans": "".join(span.to_json() for span in spans.get_finished_spans()),
        "metrics": page,
        "answers": "".join(told),
        "audit log": await asyncio.to_thread(audit.read_text),
        "database": (await asyncio.to_thread(_files, tmp_path)).decode("latin-1"),
    }
    assert all(everywhere.values())
    found = {
        (place, form)
        for place, text in everywhere.items()
        for secret in secrets
        for form in _every_form(secret)
        if form in text
    }
    assert not found


async def test_two_charge_points_with_one_secret_can_not_be_told_from_the_books(secured, tmp_path):
    secret = new_secret()
    await secured.register("CP1", secret)
    await secured.register("CP2", secret)
    rows = query(str(tmp_path / "fleet.db"), "select secret from charge_points")
    assert len({row[0] for row in rows}) == 2
    assert not any(re.search(secret, row[0]) for row in rows)
