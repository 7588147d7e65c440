"""The commands of docs/operating.md, run as they stand there, in their order, as one story."""

from __future__ import annotations

import base64
import re
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from stack.shell import Shell
from support.chargers import BOOT, Charger
from support.documents import ROOT, blocks

pytestmark = pytest.mark.timeout(600)

TEXT = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
SERVE = "wattspan serve\n"
API = "http://127.0.0.1:8080"
"""Where the document has it."""
PASSWORD = "correct horse battery"


def machine(folder: Path) -> Shell:
    """A machine on which the commands run: its folders are below this one."""
    return Shell(
        folder,
        {
            "WATTSPAN_CONFIG": str(folder / "etc" / "wattspan.toml"),
            "ADMIN_PASSWORD": PASSWORD,
            "SAMS_PASSWORD": PASSWORD,
        },
        {
            "/etc/wattspan": str(folder / "etc"),
            "/var/lib/wattspan": str(folder / "lib"),
            "/var/backups/wattspan": str(folder / "backups"),
        },
    )


async def connects(address: str, cp_id: str, secret: str) -> None:
    """A charge point with this secret is let in."""
    basic = base64.b64encode(f"{cp_id}:{secret}".encode()).decode()
    async with Charger(f"ws://{address}/ws/{cp_id}", additional_headers={"Authorization": f"Basic {basic}"}) as charger:
        assert (await charger.call("BootNotification", BOOT))["status"] == "Accepted"


async def test_the_commands_of_the_document_do_what_it_says(tmp_path: Path) -> None:
    story, printed = machine(tmp_path), []
    async with AsyncExitStack() as until_the_end:
        there: dict[str, str] = {}
        for block in blocks(TEXT, "sh"):
            before, serves, after = block.partition(SERVE)
            printed.append(await story.run(before))
            if serves:
                there = await until_the_end.enter_async_context(story.server("first"))
                story.replaced[API] = f"http://{there['API']}"
                assert not after
        everything = "\n".join(printed)
        secret = re.search(r"^[\w-]{16,}$", everything, re.MULTILINE)
        assert secret is not None
        await connects(there["charge points"], "CP1", secret[0])
    for wanted in ("CP1\tno", '"id_tag": "04AA"', "sam\toperator", "robin\tadmin"):
        assert wanted in everything, everything
    assert printed[-1].splitlines()[1].startswith("CP1\t")  # out of the backup
    trusted = ssl.create_default_context(cafile=str(tmp_path / "etc" / "cert.pem"))
    async with story.server("second") as there, httpx.AsyncClient(verify=trusted, trust_env=False) as http:
        assert (await http.get(f"https://{there['API']}/")).status_code == 200
        story.environment |= {"SSL_CERT_FILE": str(tmp_path / "etc" / "cert.pem")}
        listed = await story.run(
            f'echo "$ADMIN_PASSWORD" | wattspan login --url https://{there["API"]} --user robin; wattspan cp list'
        )
        assert "CP1\tno" in listed
