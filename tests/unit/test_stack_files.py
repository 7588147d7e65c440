"""The files of the stack keep what they promise: least privilege, loopback, pins, and one set of names and ports."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.monitoring import read_yaml
from wattspan.cli.stack import MAKERS
from wattspan.telemetry import catalogue

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = read_yaml(ROOT / "compose.yaml")
PROMETHEUS: dict[str, Any] = read_yaml(ROOT / "deploy/prometheus/prometheus.yml")
COLLECTOR: dict[str, Any] = read_yaml(ROOT / "otel-collector/config.yaml")
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CORE = {"volumes", "wattspan", "otelcol", "jaeger", "loki", "prometheus", "alertmanager", "grafana"}
VICTORIALOGS = CORE - {"loki", "grafana"} | {"victorialogs", "vmalert"}
FULL = CORE | {"chargy", "node-exporter", "postgres", "postgres-exporter", "redis", "redis-exporter"}
CLUSTER = FULL - {"wattspan", "chargy", "node-exporter"} | {"node-a", "node-b", "balancer"}
PUBLISHED = {
    "grafana": {3000},
    "prometheus": {9090},
    "alertmanager": {9093},
    "jaeger": {16686},
    "loki": {3100},
    "victorialogs": {9428},
    "vmalert": {8880},
    "chargy": {9001},
    "wattspan": {9000, 8080},
    "otelcol": {24224},
    "balancer": {9000, 8080},
    "proxy": {9010, 9091, 8081},
}
SHELL_LESS = {"otelcol", "loki", "redis-exporter"}
ROOTS = {"volumes"}
"""Run as root, with one capability and no network, to give volumes to their owners; then they end."""


Service = dict[str, Any]


def _secret(service: Service) -> bool:
    environment = service.get("environment") or {}
    return any(re.search("PASSWORD|TOKEN|SECRET", key) and not key.endswith("FILE") for key in environment)


PINNED = re.compile(r"^wattspan:|:v?\d+\.\d+(\.\d+)?(@sha256:[0-9a-f]{64})?$")

BROKEN: dict[str, Callable[[str, Service], bool]] = {
    "its image is not pinned": lambda _, it: (
        not re.search(r"^wattspan:|:v?\d+\.\d+(\.\d+)?(@sha256:[0-9a-f]{64})?$", it["image"])
    ),
    "keeps capabilities": lambda _, it: it.get("cap_drop") != ["ALL"],
    "writes to its file system": lambda _, it: not it.get("read_only"),
    "may gain privileges": lambda _, it: "no-new-privileges:true" not in it.get("security_opt", ()),
    "may do anything": lambda _, it: bool(it.get("privileged")) or "docker.sock" in str(it.get("volumes")),
    "runs as root": lambda name, it: name not in ROOTS and not re.match(r"[1-9]\d*:\d+$", str(it.get("user"))),
    "takes all memory": lambda _, it: "mem_limit" not in it,
    "nobody asks how it is": lambda name, it: (
        "healthcheck" not in it and name not in SHELL_LESS | {"wattspan", "node-a", "node-b"}
    ),
    "its log grows for ever": lambda _, it: it["logging"]["driver"] not in {"local", "fluentd"},
    "published beyond loopback": lambda _, it: any(not each.startswith("127.0.0.1:") for each in it.get("ports", ())),
    "published from a network that has no way in": lambda _, it: "ports" in it and "ui" not in it["networks"],
    "a secret is seen by whoever sees the container": lambda _, it: _secret(it),
}
"""What may be wrong with a service."""


def faults(compose: dict[str, Any]) -> list[str]:
    """What is wrong with a compose file, a line each."""
    services = compose["services"].items()
    return [f"{name}: {fault}" for name, it in services for fault, broken in BROKEN.items() if broken(name, it)]


def test_nothing_in_the_stack_has_more_than_it_needs() -> None:
    assert faults(COMPOSE) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image": "grafana/grafana:latest"}, "not pinned"),
        ({"image": "grafana/grafana:13.1.3@sha256:0"}, "not pinned"),
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
    assert {name for name, told in profiles.items() if "victorialogs" in told} == VICTORIALOGS
    assert {name for name, told in profiles.items() if "proxy" in told} == {"volumes", "proxy"}
    assert {name for name, told in profiles.items() if "cluster" in told} == CLUSTER
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
            if source.startswith("./"):
                assert (ROOT / source).exists(), source
            elif not source.startswith((".", "/")):
                assert source in COMPOSE["volumes"]
    home = COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "dashboards/json" / Path(home).name).exists()
    assert {Path(each["file"]).name for each in COMPOSE["secrets"].values()} == set(MAKERS)


def test_prometheus_scrapes_services_that_there_are_often_enough() -> None:
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    targets = [target for job in jobs.values() for each in job["static_configs"] for target in each["targets"]]
    assert {target.split(":")[0] for target in targets} <= FULL | VICTORIALOGS | {"proxy", "127.0.0.1"}
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


BAD_LINES = {
    r"FROM (?!\S+:\d+\.\d+\.\d+)": "base image not pinned",
    r"ADD ": "ADD where COPY will do",
    r"(CMD|ENTRYPOINT) +[^\[]": "shell form gets no signals",
    r".*curl.*\|": "runs what it downloads",
    r".*pip install(?!.*(--require-hashes|--no-deps))": "installs what is not locked",
    r".*apt-get install": "packages without a pin",
    r"(?i).*(password|secret|token)\s*=": "a secret in a layer",
    r"COPY \. ": "copies everything",
}
"""Lines that a reviewer would not let through."""
NEEDED_LINES = {
    r"USER [1-9]\d*:[1-9]\d*$": "runs as root, or by a name that a cluster cannot check",
    r"HEALTHCHECK ": "nobody asks how it is",
}
"""Lines that the last stage must have."""


def dockerfile_faults(text: str) -> list[str]:
    """What a reviewer would say of a Dockerfile; instructions may go on over lines."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM")]
    found = [fault for line in lines for bad, fault in BAD_LINES.items() if re.match(bad, line)]
    last = lines[stages[-1] :]
    found += [fault for needed, fault in NEEDED_LINES.items() if not any(re.match(needed, line) for line in last)]
    return found if len(stages) > 1 else [*found, "what builds is in what runs"]


DIGEST = f"@sha256:{'0a' * 32}"


def test_images_have_versions_and_may_have_digests_as_the_documentation_says() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    manifest = (ROOT / "deploy" / "kubernetes" / "wattspan.yaml").read_text()
    bases = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))
    images = {each["image"] for each in COMPOSE["services"].values()}
    assert {each for each in {*images, *bases, *re.findall(r"image: (\S+)", manifest)} if "@" in each} == set()
    pinned = {name: {**it, "image": it["image"] + DIGEST} for name, it in COMPOSE["services"].items()}
    assert faults({**COMPOSE, "services": pinned}) == []
    for base in bases:
        assert dockerfile_faults(dockerfile.replace(base, base + DIGEST)) == []
    said = (ROOT / "docs" / "security.md").read_text()
    assert [base for base in bases if f"--build-context {base}=docker-image://" not in said] == []
    for words in ("fixed versions and no digests", "--resolve-image-digests", "image.digest=sha256:"):
        assert words in said


def test_the_dockerfile_stands_a_review() -> None:
    assert dockerfile_faults(DOCKERFILE) == []


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


def test_the_unit_of_the_proxy_is_as_hardened_as_that_of_the_server() -> None:
    server, proxy = (
        (ROOT / "deploy/systemd" / f"wattspan{suffix}.service").read_text().splitlines() for suffix in ("", "-proxy")
    )
    begin = server.index("# It needs its state directory, sockets and nothing else of the machine.")
    assert proxy[begin:] == server[begin:]
    keys = [[line.partition("=")[0] for line in unit if not line.startswith("#")] for unit in (server, proxy)]
    assert keys[0] == keys[1]
