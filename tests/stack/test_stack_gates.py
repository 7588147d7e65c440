"""The real readers of the stack's files take them, and take no broken ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from alerts.__main__ import LOKI as LOKI_RULES
from alerts.__main__ import VMALERT
from dashboards.__main__ import DASHBOARDS
from dashboards.log_query import LOKI
from stack.servers import COLLECTOR_CONFIG, JAEGER_CONFIG, promtool
from stack.shipped import PROMETHEUS_CONFIG
from stack.toolchain import HERE, ROOT, tool
from wattspan.cli.stack import make_secrets


def exit_code(*command: str | Path, **options: Path) -> tuple[int, str]:
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True, cwd=options.get("cwd"))
    return done.returncode, done.stdout + done.stderr


def check(reader: str, file: Path) -> tuple[int, str]:
    """The verdict of a file's own program."""
    commands: dict[str, Sequence[str | Path]] = {
        "otelcol": [tool("otelcol"), "validate", f"--config={file}"],
        "jaeger": [tool("jaeger"), "validate", f"--config={file}"],
        "vmalert": [tool("vmalert"), "-dryRun", f"-rule={file}", "-rule.defaultRuleType=vlogs"],
        "prometheus": [promtool(), "check", "config", "--syntax-only", file],
    }
    return exit_code(*commands[reader])


FILES = {
    "otelcol": (COLLECTOR_CONFIG, "memory_limiter:", "memory_limitter:"),
    "jaeger": (JAEGER_CONFIG, "ephemeral:", "ephemeron:"),
    "vmalert": (VMALERT, "| stats by", "| statistics by"),
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


VENDORS = sorted((ROOT / "otel-collector" / "vendors").glob("*.yaml"))
NOT_VALIDATED = "Not validated"


@pytest.mark.parametrize("fragment", VENDORS, ids=lambda path: path.stem)
def test_a_vendors_fragment_is_valid_beside_the_shipped_file_or_says_what_it_needs(
    fragment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fragment that needs what the tests' Collector is built without fails for that alone, and its head says so."""
    secret = tmp_path / "vendor_key"
    secret.write_text("key")
    file = tmp_path / fragment.name
    text = fragment.read_text(encoding="utf-8")
    file.write_text(text.replace("/run/secrets/vendor_key", str(secret)), encoding="utf-8")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")  # the extension sigv4auth looks for credentials
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    code, said = exit_code(tool("otelcol"), "validate", f"--config={COLLECTOR_CONFIG}", f"--config={file}")
    if NOT_VALIDATED not in text:
        assert code == 0, said
    else:
        needs = re.search(r"Not validated: needs the (?:processor|exporter|extension) (\w+)", text)
        assert needs is not None
        assert code != 0
        assert f'unknown type: "{needs[1]}"' in said
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if f"`{fragment.name}`" in line]
    assert ("not validated" in row) == (NOT_VALIDATED in text)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """compose.yaml where it finds its secrets."""
    for name in ("compose.yaml", ".env"):
        shutil.copy(ROOT / name, tmp_path)
    make_secrets(tmp_path / "deploy" / "secrets")
    return tmp_path


def unparsed(queries: Sequence[str], folder: Path) -> list[str]:
    """Those of some queries that Grafana's grammar of LogQL does not take."""
    package = tool("logql").parents[2]
    script = folder / "logql.mjs"
    script.write_text((HERE / "logql" / "parse.mjs").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "node_modules").symlink_to(package)
    done = subprocess.run(
        ["node", script], check=True, input=json.dumps(list(queries)), capture_output=True, text=True, cwd=folder
    )
    return list(json.loads(done.stdout))


def test_lokis_queries_are_logql(tmp_path: Path) -> None:
    """Loki is not built here, so that its rules and the panels' queries go by its grammar alone."""
    groups = yaml.safe_load(LOKI_RULES.read_text(encoding="utf-8"))["groups"]
    queries = [rule["expr"] for group in groups for rule in group["rules"]]
    panels = [panel for dashboard in DASHBOARDS for panel in dashboard.panels()]
    queries += [LOKI.spell(query.logs) for panel in panels for query in panel.queries if query.logs]
    assert len(queries) == 5
    broken = [query.replace("{", "[", 1) for query in queries]
    assert unparsed([*queries, *broken], tmp_path) == broken


@pytest.mark.parametrize("profile", ["core", "full", "victorialogs", "proxy"])
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


@pytest.mark.parametrize("environment", [(), (".env",)])
def test_victorialogs_stands_in_lokis_place_with_nothing_under_the_agpl(
    project: Path, environment: Sequence[str]
) -> None:
    files = [word for name in (*environment, "deploy/victorialogs.env") for word in ("--env-file", name)]
    shutil.copy(ROOT / "deploy" / "victorialogs.env", project / "deploy")
    code, said = exit_code(tool("docker-compose"), *files, "config", "--format", "json", cwd=project)
    assert code == 0, said
    services = json.loads(said)["services"]
    assert {"victorialogs", "vmalert", "wattspan", "otelcol", "jaeger"} <= services.keys()
    assert services["otelcol"]["environment"]["OTELCOL_LOGS"] == "http://victorialogs:9428/insert/opentelemetry"
    assert not [each["image"] for each in services.values() if "grafana" in each["image"]]


def test_grafana_beside_victorialogs_has_its_plugin_and_its_files(project: Path) -> None:
    for name in ("victorialogs.env", "victorialogs-grafana.yaml"):
        shutil.copy(ROOT / "deploy" / name, project / "deploy")
    files = ["--file", "compose.yaml", "--file", "deploy/victorialogs-grafana.yaml"]
    words = [*files, "--env-file", "deploy/victorialogs.env", "config", "--format", "json"]
    code, said = exit_code(tool("docker-compose"), *words, cwd=project)
    assert code == 0, said
    services = json.loads(said)["services"]
    assert "loki" not in services
    mounted = [Path(each["source"]) for each in services["grafana"]["volumes"] if each["type"] == "bind"]
    assert all((ROOT / path.relative_to(project)).exists() for path in mounted)
    assert {path.parent.name for path in mounted} >= {"victorialogs"}
