"""deploy/helm/wattspan: rendered by Helm in several ways, and valid by the Kubernetes schemas."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from stack.toolchain import ROOT, tool
from wattspan.settings import load_settings

pytestmark = pytest.mark.timeout(120)

CHART = ROOT / "deploy" / "helm" / "wattspan"
SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.37.0-local-strict"
KUBERNETES = ("--kube-version=1.37.0",)
"""Without it, a helm that was built from its module assumes a very old one."""
OF_OPERATORS = "ServiceMonitor,PrometheusRule"
"""Kinds of the Prometheus Operator, which are not among the schemas."""

CLUSTER = (
    "--set=replicas=3",
    "--set=database=postgresql://wattspan@postgres/wattspan",
    "--set=redis=redis://redis:6379/0",
    "--set=secret.name=wattspan",
)
EVERYTHING = (
    *CLUSTER,
    "--set=ocpp.type=LoadBalancer",
    "--set=ocpp.loadBalancerSourceRanges={10.0.0.0/8}",
    "--set=ingress.enabled=true,ingress.className=nginx,ingress.tlsSecret=csms-tls",
    "--set=persistence.storageClass=fast,nodeSelector.disk=ssd,podAnnotations.team=charging",
    "--set=imagePullSecrets[0].name=registry,tolerations[0].operator=Exists",
    "--set=settings.heartbeat_interval_s=600,otel.OTEL_EXPORTER_OTLP_ENDPOINT=http://otelcol:4317",
    "--set=serviceMonitor.enabled=true,serviceMonitor.tokenKey=WATTSPAN_METRICS_TOKEN,serviceMonitor.labels.release=p",
    "--set=prometheusRule.enabled=true",
)
WITH_SECRET = ("--set=secret.create=true", "--set=secret.values.WATTSPAN_ADMIN_PASSWORD=correct horse battery")
WAYS = {"default": (), "with a secret": WITH_SECRET, "cluster": CLUSTER, "everything": EVERYTHING}


def helm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("helm"), *words], capture_output=True, text=True, check=False)


def rendered(options: Sequence[str]) -> str:
    done = helm("template", "csms", CHART, *KUBERNETES, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def resources(options: Sequence[str], kind: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(rendered(options)) if each and each["kind"] == kind]


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where kubeconform finds the schemas. As packaged they have web addresses, and refer to each other by these."""
    folder = tmp_path_factory.mktemp("schemas")
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text().replace('"/api/', '"'))
        schema.pop("$id", None)
        (folder / path.name).write_text(json.dumps(schema))
    return f"{folder}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_the_chart_is_valid(options: Sequence[str], schemas: str) -> None:
    linted = helm("lint", "--strict", *KUBERNETES, CHART, *options)
    assert linted.returncode == 0, linted.stdout
    command: list[str | Path] = [tool("kubeconform"), "-strict", "-skip", OF_OPERATORS, "-schema-location", schemas]
    text = rendered(options)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    broken = text.replace("replicas: ", "replica: ", 1)
    assert subprocess.run(command, input=broken, capture_output=True, text=True, check=False).returncode != 0


def test_the_image_is_a_digest_if_one_is_given() -> None:
    def image(*options: str) -> str:
        (pods,) = resources(("--set=image.repository=registry.example/wattspan", *options), "StatefulSet")
        (container,) = pods["spec"]["template"]["spec"]["containers"]
        return str(container["image"])

    digest = f"sha256:{'0a' * 32}"
    assert image("--set=image.tag=1.2.3") == "registry.example/wattspan:1.2.3"
    assert image("--set=image.tag=1.2.3", f"--set=image.digest={digest}") == f"registry.example/wattspan@{digest}"
    for wrong in (digest[:-1], digest.removeprefix("sha256:"), "1.2.3"):
        done = helm("template", "csms", CHART, *KUBERNETES, f"--set=image.digest={wrong}")
        assert done.returncode != 0
        assert "`image.digest`" in done.stderr


def test_several_replicas_need_a_database_and_redis() -> None:
    for options, missing in ((("--set=replicas=2",), "database"), ((*CLUSTER[:2], "--set=secret.name="), "redis")):
        done = helm("template", "csms", CHART, *KUBERNETES, *options)
        assert done.returncode != 0
        assert f"need `{missing}`" in done.stderr


def test_the_variables_of_the_pods_are_settings() -> None:
    (pods,) = resources(EVERYTHING, "StatefulSet")
    (container,) = pods["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: str(each.get("value", "csms-wattspan-0")) for each in container["env"]}
    settings = load_settings({}, None, {name: value for name, value in given.items() if name.startswith("WATTSPAN_")})
    assert settings.node_name == "csms-wattspan-0"
    assert (settings.heartbeat_interval_s, settings.drain_s) == (600, 10)
    assert given["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otelcol:4317"
    assert pods["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > settings.drain_s


def test_nodes_are_stopped_one_at_a_time_and_never_without_the_others() -> None:
    (budget,) = resources(CLUSTER, "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert resources((), "PodDisruptionBudget") == []


def test_the_rules_are_those_for_prometheus(tmp_path: Path) -> None:
    made = resources(EVERYTHING, "PrometheusRule")
    files = sorted((ROOT / "alerts" / "rules").glob("*.yml"))
    assert [each["spec"] for each in made] == [yaml.safe_load(path.read_text()) for path in files]
    names = {service["metadata"]["name"] for service in resources(EVERYTHING, "Service")}
    assert all(len(name) < 64 for name in names)


def test_prometheus_finds_each_pod_once() -> None:
    """The service monitor selects one of the three services, which all have the same pods."""
    (monitor,) = resources(EVERYTHING, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [each for each in resources(EVERYTHING, "Service") if wanted <= each["metadata"]["labels"].items()]
    assert len(found) == 1
    (port,) = [each for each in found[0]["spec"]["ports"] if each["name"] == monitor["spec"]["endpoints"][0]["port"]]
    assert port["port"] == 9090
