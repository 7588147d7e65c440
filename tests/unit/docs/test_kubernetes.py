"""deploy/kubernetes/wattspan.yaml: valid by the Kubernetes schemas, and in keeping with the Dockerfile."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from wattspan.settings import load_settings

ROOT = Path(__file__).parents[3]
MANIFEST = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "wattspan.yaml").read_text(encoding="utf-8")))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
(STATEFUL_SET,) = (each for each in MANIFEST if each["kind"] == "StatefulSet")
(SERVICE,) = (each for each in MANIFEST if each["kind"] == "Service")
(CONTAINER,) = STATEFUL_SET["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize("resource", MANIFEST, ids=lambda resource: resource["kind"])
def test_the_manifest_is_valid(resource: dict[str, Any]) -> None:
    kubernetes_validate.validate(resource, "1.37", strict=True)


def test_a_fault_in_a_manifest_is_found() -> None:
    broken = {**SERVICE, "spec": {**SERVICE["spec"], "port": 9000}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.37", strict=True)


def test_user_ports_and_volume_are_those_of_the_image() -> None:
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE)
    (ports,) = re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert str(STATEFUL_SET["spec"]["template"]["spec"]["securityContext"]["runAsUser"]) == user
    assert {str(each["containerPort"]) for each in CONTAINER["ports"]} == set(ports.split())
    assert {each["targetPort"] for each in SERVICE["spec"]["ports"]} == {each["name"] for each in CONTAINER["ports"]}
    assert "WORKDIR /data" in DOCKERFILE
    assert "/data" in {each["mountPath"] for each in CONTAINER["volumeMounts"]}


def test_every_port_of_the_container_can_be_reached_from_outside_of_it() -> None:
    """API and metrics stay on loopback unless they are told otherwise, whatever `host` is."""
    given = dict(re.findall(r"^ +(WATTSPAN_\w*HOST)=(\S+)", DOCKERFILE, re.MULTILINE))
    assert load_settings({}, None, given).api_host == load_settings({}, None, given).metrics_host == "0.0.0.0"
    own = {each["name"]: each.get("value") for each in CONTAINER["env"]}
    assert own["WATTSPAN_API_HOST"] == own["WATTSPAN_METRICS_HOST"] == "0.0.0.0"


def test_only_one_replica_owns_the_database() -> None:
    assert STATEFUL_SET["spec"]["replicas"] == 1
