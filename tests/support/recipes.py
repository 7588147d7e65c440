"""Blocks of documents, docs/backends.md above all, so that tests run what the page says."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def recipe(name: str, /, *, page: str = "backends.md", **instead: str) -> str:
    """The block below `<!-- name -->` on a page; what `SPOTS` calls by the names of `instead` is replaced by those."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- {re.escape(name)} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    for spot, value in instead.items():
        assert SPOTS[spot] in block, f"{name} has no {SPOTS[spot]}"
        block = block.replace(SPOTS[spot], value)
    return str(block)


SPOTS: Mapping[str, str] = {
    "vendor": "https://otlp.vendor.example",
    "gateway": "https://otlp-gateway.vendor.example/otlp",
    "dynatrace": "https://environment.live.dynatrace.com",
    "datadog": "https://otlp.datadoghq.com",
    "prometheus": "http://prometheus:9090",
    "secret": "/run/secrets/vendor_key",
    "first": "127.0.0.1:9001",
    "second": "127.0.0.1:9002",
    "front": "127.0.0.1:9000",
    "bind": "bind :443",
    "pair": "/etc/haproxy/csms.pem",
    "authority": "/etc/haproxy/fleet-ca.pem",
    "node": "10.0.0.11:9000",
}
"""What is somebody's own in the recipes."""


def variables(script: str) -> dict[str, str]:
    """What a shell exports that runs it, of OTEL_…."""
    told = subprocess.run(["sh", "-euc", f"{script}\nenv"], check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in told.splitlines() if line.startswith("OTEL_"))
