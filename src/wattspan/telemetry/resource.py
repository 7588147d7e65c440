"""The resource of our telemetry: which service and which instance it comes from."""

from collections.abc import Mapping
from importlib.metadata import version
from uuid import NAMESPACE_URL, uuid4, uuid5

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from wattspan.telemetry.logs import SERVICE

VERSION = version(SERVICE)
"""Read once: importlib.metadata parses the metadata of the package at each call (3 ms)."""


def resource_of(environ: Mapping[str, str], service_name: str, instance: str = "") -> Resource:
    """Return the resource. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME override what we know.

    `instance` is what distinguishes this server from all others and stays the same when it restarts, for example its
    node and its database: `service.instance.id` is derived from it. "": each process has an id of its own.
    """
    name = f"{service_name}|{instance}"
    known = {
        "service.name": service_name,
        "service.instance.id": str(uuid5(NAMESPACE_URL, name) if instance else uuid4()),
    }
    if service_name == SERVICE:
        known["service.version"] = VERSION
    return Resource.create({**known, **OTELResourceDetector().detect().attributes})
