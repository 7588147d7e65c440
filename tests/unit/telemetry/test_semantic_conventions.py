"""Attributes outside our own namespaces are those of OpenTelemetry's registry, as the installed package has it."""

import ast
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import opentelemetry.semconv
import pytest
from opentelemetry.semconv.schemas import Schemas

from support.otlp import receiver
from support.telemetry_runs import start
from wattspan.telemetry import catalogue

OURS = {"ocpp", "csms", "ws", "wattspan"}
DOTTED = sorted(name for name in catalogue.ATTRIBUTES if "." in name)
"""Those without a dot are labels of the specified metrics, too."""


def registered() -> Iterator[tuple[str, bool]]:
    """Yield each attribute of the registry and whether it is deprecated."""
    (folder,) = opentelemetry.semconv.__path__
    for file in Path(folder).rglob("*_attributes.py"):
        body = ast.parse(file.read_text("utf-8")).body
        for each, text in itertools.pairwise(body):
            match each, text:
                case ast.AnnAssign(value=ast.Constant(value=str(name))), ast.Expr(value=ast.Constant(value=str(help))):
                    yield name, help.strip().startswith("Deprecated:")


REGISTRY = dict(registered())


@pytest.mark.parametrize("name", [name for name in DOTTED if name.split(".")[0] not in OURS])
def test_an_attribute_of_a_common_namespace_is_registered_and_not_deprecated(name: str) -> None:
    assert name in REGISTRY
    assert not REGISTRY[name] or name == catalogue.EVENT_NAME  # see below


def test_our_namespaces_are_nobody_elses() -> None:
    assert not OURS & {name.split(".")[0] for name in REGISTRY}


def test_the_schema_is_one_that_the_registry_knows() -> None:
    assert catalogue.SCHEMA_URL in {each.value for each in Schemas}


async def test_the_name_of_an_event_is_a_field_of_its_own_by_otlp() -> None:
    """The attribute `event.name` is deprecated for this field; JSON on standard error has no such field."""
    with receiver() as collector:
        async with start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint):
            logging.getLogger("wattspan.test").warning("odd", extra={catalogue.EVENT_NAME: "boot"})
    (record,) = collector.logs[0].resource_logs[0].scope_logs[0].log_records
    assert record.event_name == "boot"
    assert catalogue.EVENT_NAME not in {each.key for each in record.attributes}
