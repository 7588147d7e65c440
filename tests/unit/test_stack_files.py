"""The files of the stack keep what they promise: least privilege, loopback, pins, and one set of names and ports."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from wattspan.cli.stack import MAKERS
from wattspan.telemetry import catalogue

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
COLLECTOR: dict[str, Any] = yaml.safe_load((ROOT / "otel-collector/config.yaml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CORE = {"volumes", "wattspan", "otelcol", "jaeger", "loki", "prometheus", "alertmanager", "grafana"}
FULL = CORE | {"chargy", "node-exporter", "postgres", "postgres-exporter", "redis", "redis-exporter"}
PUBLISHED = {
    "grafana": {3000},
    "prometheus": {9090},
    "alertmanager": {9093},
    "jaeger": {16686},
    "loki": {3100},
    "chargy": {9001},
    "wattspan": {9000, 8080},
    "otelcol": {24224},
}
SHELL_LESS = {"otelcol", "loki", "redis-exporter"}
ROOTS = {"volumes"}
"""Run as root, with one capability and no network, to give volumes to their owners; then they end."""


def faults(compose: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a compose file, a line each."""
    for name, service in compose["services"].items():
        image = service["image"]
        if not image.startswith("wattspan:") and not re.search(r":v?\d+\.\d+(\.\d+)?$", image):
            yield f"{name}: image {image} is not pinned"
        if service.get("cap_drop") != ["ALL"]:
            yield f"{name}: keeps capabilities"
        if not service.get("read_only"):
            yield f"{name}: writes to its file system"
        if "no-new-privileges:true" not in service.get("security_opt", ()):
            yield f"{name}: may gain privileges"
        if service.get("privileged") or any("docker.sock" in str(each) for each in service.get("volumes", ())):
            yield f"{name}: may do anything"
        if not re.fullmatch(r"[1-9]\d*:\d+", str(service.get("user", ""))) and name not in ROOTS:
            yield f"{name}: runs as root, or as nobody said who"
        if "mem_limit" not in service:
            yield f"{name}: takes all memory"
        if "healthcheck" not in service and name not in SHELL_LESS | {"wattspan"}:
            yield f"{name}: nobody asks how it is"
        if service["logging"]["driver"] not in {"local", "fluentd"}:
            yield f"{name}: its log grows for ever"
        for port in service.get("ports", ()):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: {port} is published beyond loopback"
        if service.get("ports") and "ui" not in service["networks"]:
            yield f"{name}: published from a network that has no way in"
        for key, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|TOKEN|SECRET", key) and not key.endswith("FILE"):
                yield f"{name}: {key}={value} is seen by whoever sees the container"


def test_nothing_in_the_stack_has_more_than_it_needs() -> None:
    assert list(faults(COMPOSE)) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image": "grafana/grafana:latest"}, "not pinned"),
        ({"cap_drop": []}, "capabilities"),
        ({"read_only": False}, "file system"),
        ({"security_opt": []}, "gain privileges"),
        ({"privileged": True}, "may do anything"),
        ({"volumes": ["/var/run/docker.sock:/x"]}, "may do anything"),
        ({"user": "0:0"}, "runs as root"),
        ({"user": None}, "runs as root"),
        ({"ports": ["3000:3000"]}, "beyond loopback"),
        ({"networks": ["telemetry"]}, "no way in"),
        ({"environment": {"GF_SECURITY_ADMIN_PASSWORD": "x"}}, "is seen"),
        ({"logging": {"driver": "json-file"}}, "grows"),
    ],
)
def test_a_file_that_breaks_a_promise_is_found_out(change: dict[str, Any], fault: str) -> None:
    broken = copy.deepcopy(COMPOSE)
    broken["services"]["grafana"] |= change
    (found,) = faults(broken)
    assert fault in found


def test_profiles_and_published_ports_are_those_that_are_promised() -> None:
    profiles = {name: service["profiles"] for name, service in COMPOSE["services"].items()}
    assert {name for name, told in profiles.items() if "core" in told} == CORE
    assert {name for name, told in profiles.items() if "full" in told} == FULL
    published = {
        name: {int(port.split(":")[1]) for port in service["ports"]}
        for name, service in COMPOSE["services"].items()
        if "ports" in service
    }
    assert published == PUBLISHED


def test_what_is_mounted_is_there_and_what_is_secret_is_made() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./") and source.split("/")[1] not in {"alerts", "dashboards"}:
                assert (ROOT / source).exists(), source
            elif not source.startswith((".", "/")):
                assert source in COMPOSE["volumes"]
    assert {Path(each["file"]).name for each in COMPOSE["secrets"].values()} == set(MAKERS)


def test_prometheus_scrapes_services_that_there_are_often_enough() -> None:
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    targets = [target for job in jobs.values() for each in job["static_configs"] for target in each["targets"]]
    assert {target.split(":")[0] for target in targets} <= FULL | {"127.0.0.1"}
    intervals = [job.get("scrape_interval", PROMETHEUS["global"]["scrape_interval"]) for job in jobs.values()]
    assert set(intervals) <= {"5s", "10s", "15s"}
    assert jobs["wattspan"]["http_sd_configs"][0]["url"].endswith("/sd/prometheus")
    assert "--storage.tsdb.retention.time=${PROMETHEUS_RETENTION:-200h}" in COMPOSE["services"]["prometheus"]["command"]


def test_the_collector_keeps_what_exemplars_promise_and_counts_before_it_samples() -> None:
    policies = COLLECTOR["processors"]["tail_sampling"]["policies"]
    (promised,) = [policy["boolean_attribute"] for policy in policies if policy["type"] == "boolean_attribute"]
    assert promised == {"key": catalogue.FORCE_SAMPLE, "value": True}
    pipelines = COLLECTOR["service"]["pipelines"]
    assert "span_metrics" in pipelines["traces/all"]["exporters"]
    assert "tail_sampling" not in pipelines["traces/all"]["processors"]
    received = [each for each in pipelines.values() if "otlp" in each["receivers"]]
    assert all(each["processors"][0] == "memory_limiter" for each in received)
    buckets = COLLECTOR["connectors"]["span_metrics"]["histogram"]["explicit"]["buckets"]
    assert [float(each.removesuffix("ms")) / 1000 for each in buckets][: len(catalogue.HANDLING_BOUNDS)] == list(
        catalogue.HANDLING_BOUNDS
    )


def test_an_address_in_the_collectors_file_can_always_be_set_and_the_readme_lists_how() -> None:
    text = (ROOT / "otel-collector/config.yaml").read_text()
    readme = (ROOT / "otel-collector/README.md").read_text()
    for variable in set(re.findall(r"\$\{env:(\w+):-", text)):
        assert f"`{variable}`" in readme, variable
    for variable in COMPOSE["services"]["otelcol"]["environment"]:
        assert variable == "GOMEMLIMIT" or f"env:{variable}:-" in text, variable
    assert not re.search(r"endpoint: (?!\$)", text)


def dockerfile_faults(text: str) -> Iterator[str]:
    """What a reviewer would say of a Dockerfile; instructions may go on over lines."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM"))
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM" and not re.match(r"\S+:\d+\.\d+\.\d+", rest):
            yield f"base image not pinned: {rest}"
        if word == "ADD":
            yield "ADD where COPY will do"
        if word in {"CMD", "ENTRYPOINT"} and not rest.startswith("["):
            yield f"{word} in shell form gets no signals"
        if "curl" in line and "|" in line:
            yield "runs what it downloads"
        if "pip install" in line and "--require-hashes" not in line and "--no-deps" not in line:
            yield "installs what is not locked"
        if "apt-get install" in line:
            yield "packages without a pin"
        if re.search(r"(?i)(password|secret|token)\s*=", line):
            yield "a secret in a layer"
    final = lines[last:]
    users = [line for line in final if line.startswith("USER")]
    if not users or not re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", users[-1]):
        yield "runs as root, or by a name that a cluster cannot check"
    if any(line.startswith("COPY . ") for line in lines):
        yield "copies everything"
    if not any(line.startswith("HEALTHCHECK") for line in final):
        yield "nobody asks how it is"
    if sum(line.startswith("FROM") for line in lines) < 2:
        yield "what builds is in what runs"


def test_the_dockerfile_stands_a_review() -> None:
    assert list(dockerfile_faults(DOCKERFILE)) == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("FROM python:3.11.14-slim-bookworm\n", "FROM python:latest\n", "not pinned"),
        ("USER 10001:10001", "USER wattspan", "runs as root"),
        ("USER 10001:10001", "", "runs as root"),
        ("COPY src src", "ADD src src", "ADD"),
        ("COPY src src", "COPY . .", "copies everything"),
        ('CMD ["serve"]', "CMD serve", "shell form"),
        ("--require-hashes --requirement requirements/run.txt", "httpx", "not locked"),
        ("HEALTHCHECK", "LABEL x=1 #", "nobody asks"),
        ("WORKDIR /data", "ENV ADMIN_PASSWORD=x", "secret"),
    ],
)
def test_a_dockerfile_with_a_fault_does_not(right: str, wrong: str, fault: str) -> None:
    assert DOCKERFILE.count(right) >= 1
    assert any(fault in each for each in dockerfile_faults(DOCKERFILE.replace(right, wrong)))
