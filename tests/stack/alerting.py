"""The shipped rules and Alertmanager configuration, sixty times as fast, with receivers that keep what they get.

The only change is mechanical (`hurried`): minutes become seconds. Expressions, labels, routes and inhibitions are the
shipped ones. Knows nothing of Wattspan's code.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from stack.process import LOOPBACK, Program, free_ports, on_free_ports
from stack.servers import Prometheus, Target, answers, fetch
from stack.toolchain import ROOT, tool

RULES = ROOT / "alerts" / "rules"
ALERTMANAGER = ROOT / "alerts" / "alertmanager.yml"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
FASTER = 60
DURATION = re.compile(
    r"((?:for|interval|group_wait|group_interval|repeat_interval|resolve_timeout): |\[|offset |_time:)(\d+)([smhd])\b"
)
AGE = re.compile(r"> (300|86400|1209600)\b")
"""Thresholds that are seconds since something."""


def hurried(text: str, faster: int = FASTER) -> str:
    """Every duration divided by `faster`, and a second at least; so are the ages that alerts compare with."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[2]) * SECONDS[match[3]] / faster
        return f"{match[1]}{max(1, round(seconds))}s" if seconds else match[0]

    return AGE.sub(lambda match: f"> {int(match[1]) // faster}", DURATION.sub(shorter, text))


def hurried_rules(folder: Path, rules: Path = RULES, faster: int = FASTER) -> Path:
    """The shipped rules in a folder of their own, hurried."""
    folder.mkdir()
    for path in rules.glob("*.yml"):
        (folder / path.name).write_text(hurried(path.read_text(encoding="utf-8"), faster), encoding="utf-8")
    return folder


@dataclass(frozen=True, slots=True)
class Mail:
    """A message that a mail server accepted. `text` is its subject and its parts."""

    recipients: Sequence[str]
    text: str


@dataclass(slots=True)
class Receivers:
    """A mail server and a webhook, and what they were told, oldest first."""

    mails: list[Mail] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    smtp_port: int = 0
    http_port: int = 0

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        texts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
        self.mails.append(Mail(list(envelope.rcpt_tos), "\n".join([message["Subject"], *texts])))
        return "250 OK"

    def posted(self, alert: str, status: str, /, **labels: str) -> bool:
        """Whether the webhook heard that an alert with these labels is `firing` or `resolved`."""
        return any(
            told["status"] == status and {"alertname": alert, **labels}.items() <= told["labels"].items()
            for post in list(self.posts)
            for told in post["alerts"]
        )

    def mailed(self, recipient: str, *words: str) -> bool:
        """Whether a mail to that address has all of these words."""
        return any(
            mail.recipients == [recipient] and all(word in mail.text for word in words) for mail in list(self.mails)
        )


@contextmanager
def receiving() -> Iterator[Receivers]:
    """Both receivers on free ports, in threads of their own."""
    told = Receivers()

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/alerts":
                told.posts.append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    (told.smtp_port,) = free_ports(1)
    mail = Controller(told, hostname=LOOPBACK, port=told.smtp_port)
    web = ThreadingHTTPServer((LOOPBACK, 0), Webhook)
    told.http_port = web.server_address[1]
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    mail.start()
    try:
        yield told
    finally:
        mail.stop()
        web.shutdown()
        thread.join()
        web.server_close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alertmanager:
    """An Alertmanager with the shipped configuration, hurried, that tells `receivers`."""

    program: Program
    address: str

    @classmethod
    @asynccontextmanager
    async def run(cls, folder: Path, receivers: Receivers) -> AsyncIterator[Alertmanager]:
        """A ready one."""
        text = hurried(ALERTMANAGER.read_text(encoding="utf-8"))
        text = text.replace("mail.wattspan.internal:587", f"{LOOPBACK}:{receivers.smtp_port}")
        text = text.replace("smtp_require_tls: true", "smtp_require_tls: false")
        text = text.replace("webhook.wattspan.internal:8080", f"{LOOPBACK}:{receivers.http_port}")
        config = folder / "alertmanager.yml"
        config.write_text(text, encoding="utf-8")

        def launch(ports: Sequence[int]) -> tuple[Sequence[str | Path], Mapping[str, str]]:
            return [
                tool("alertmanager"),
                f"--config.file={config}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={LOOPBACK}:{ports[0]}",
                "--cluster.listen-address=",
            ], {}

        async def healthy(ports: Sequence[int]) -> bool:
            return await answers(f"http://{LOOPBACK}:{ports[0]}/-/ready")

        async with on_free_ports("alertmanager", launch, healthy, ports=1, folder=folder) as (program, ports):
            yield cls(program=program, address=f"{LOOPBACK}:{ports[0]}")

    async def inhibited(self, alert: str, **labels: str) -> bool:
        """Whether it holds such an alert back because of another."""
        found = json.loads(await fetch(f"http://{self.address}/api/v2/alerts"))
        wanted = {"alertname": alert, **labels}.items()
        return any(each["status"]["inhibitedBy"] for each in found if wanted <= each["labels"].items())


@asynccontextmanager
async def watching(
    folder: Path, *targets: Target, faster: int = FASTER
) -> AsyncIterator[tuple[Prometheus, Alertmanager, Receivers]]:
    """Prometheus with the shipped rules on these targets, Alertmanager, and who is told."""
    rules = hurried_rules(folder / "rules", faster=faster)
    with receiving() as receivers:
        async with Alertmanager.run(folder, receivers) as alertmanager:
            more = {
                "rule_files": [f"{rules}/*.yml"],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.address]}]}]},
            }
            async with Prometheus.run(folder, targets, **more) as prometheus:
                yield prometheus, alertmanager, receivers
