"""The resource of our telemetry: which service and which instance it comes from."""

from collections.abc import Mapping
from importlib.metadata import version
from uuid import uuid4

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from wattspan.telemetry.logs import SERVICE

VERSION = version(SERVICE)
"""Read once: importlib.metadata parses the metadata of the package at each call (3 ms)."""


def resource_of(environ: Mapping[str, str], service_name: str) -> Resource:
    """Return the resource. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME override what we know."""
    known = {"service.name": service_name, "service.instance.id": str(uuid4())}
    if service_name == SERVICE:
        known["service.version"] = VERSION
    return Resource.create({**known, **OTELResourceDetector().detect().attributes})
