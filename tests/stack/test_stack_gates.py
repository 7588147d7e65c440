"""The real readers of the stack's files take them, and take no broken ones."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from stack.servers import COLLECTOR_CONFIG, JAEGER_CONFIG, promtool
from stack.shipped import LOKI_CONFIG, PROMETHEUS_CONFIG
from stack.toolchain import ROOT, tool
from wattspan.cli.stack import make_secrets


def exit_code(*command: str | Path, **options: Path) -> tuple[int, str]:
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True, cwd=options.get("cwd"))
    return done.returncode, done.stdout + done.stderr


def check(reader: str, file: Path) -> tuple[int, str]:
    """The verdict of a file's own program."""
    commands: dict[str, Sequence[str | Path]] = {
        "otelcol": [tool("otelcol"), "validate", f"--config={file}"],
        "jaeger": [tool("jaeger"), "validate", f"--config={file}"],
        "loki": [tool("loki"), f"-config.file={file}", "-config.expand-env=true", "-verify-config"],
        "prometheus": [promtool(), "check", "config", "--syntax-only", file],
    }
    return exit_code(*commands[reader])


FILES = {
    "otelcol": (COLLECTOR_CONFIG, "memory_limiter:", "memory_limitter:"),
    "jaeger": (JAEGER_CONFIG, "ephemeral:", "ephemeron:"),
    "loki": (LOKI_CONFIG, "retention_enabled:", "retention_enabld:"),
    "prometheus": (PROMETHEUS_CONFIG, "scrape_timeout: 5s", "scrape_timeout: 9s"),
}


@pytest.mark.parametrize("reader", FILES)
def test_a_file_is_taken_by_its_own_program_and_a_broken_one_is_not(reader: str, tmp_path: Path) -> None:
    file, right, wrong = FILES[reader]
    code, said = check(reader, file)
    assert code == 0, said
    text = file.read_text()
    assert right in text
    broken = tmp_path / file.name
    broken.write_text(text.replace(right, wrong, 1))
    assert check(reader, broken)[0] != 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """compose.yaml where it finds its secrets."""
    for name in ("compose.yaml", ".env"):
        shutil.copy(ROOT / name, tmp_path)
    make_secrets(tmp_path / "deploy" / "secrets")
    return tmp_path


@pytest.mark.parametrize("profile", ["core", "full"])
def test_compose_takes_each_profile(project: Path, profile: str) -> None:
    code, said = exit_code(tool("docker-compose"), "--profile", profile, "config", "--quiet", cwd=project)
    assert (code, said) == (0, "")


def test_plain_docker_compose_up_is_everything(project: Path) -> None:
    _, services = exit_code(tool("docker-compose"), "config", "--services", cwd=project)
    assert {"wattspan", "grafana", "redis-exporter", "chargy"} <= set(services.split())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("restart: unless-stopped", "restrat: unless-stopped"),
        ("networks: [telemetry, ui]", "networks: [telemetry, iu]"),
    ],
)
def test_compose_takes_no_broken_file(project: Path, right: str, wrong: str) -> None:
    file = project / "compose.yaml"
    file.write_text(file.read_text().replace(right, wrong, 1))
    assert exit_code(tool("docker-compose"), "config", "--quiet", cwd=project)[0] != 0
