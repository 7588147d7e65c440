"""Every variable of the table in docs/backends.md, by what it does here."""

import importlib.util
import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import opentelemetry.environment_variables as api_variables
import opentelemetry.sdk.environment_variables as sdk_variables
import pytest

from wattspan.otel_variables import otel_faults, otel_warnings
from wattspan.settings.loading import check_settings
from wattspan.telemetry.logs import setup_logging
from wattspan.telemetry.otlp.console import ConsoleMetricSender
from wattspan.telemetry.otlp.exporters import SIGNALS, exporter, timeout_s

PAGE = Path(__file__).parents[3] / "docs" / "backends.md"
TESTS = [file.read_text("utf-8") for file in Path(__file__).parent.glob("test_*.py")]
SIGNAL = re.compile("OTEL_EXPORTER_OTLP_(TRACES|METRICS|LOGS)_")
HTTP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
GRPC = {"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


def rows() -> set[str]:
    """Return the variables of the table; `…_X` is one of the family that its row begins with."""
    table = PAGE.read_text("utf-8").partition("## OpenTelemetry's variables")[2].partition("\n## ")[0]
    found: set[str] = set()
    for line in table.splitlines():
        names = re.findall(r"`(OTEL_\w+|…_\w+)`", line.split(" | ")[0])
        family = "OTEL_EXPORTER_OTLP"
        found |= {name.replace("…", family) for name in names}
        if "`OTEL_BLRP_…`" in line:
            found |= {name.replace("BSP", "BLRP") for name in names}
    return found


@pytest.mark.parametrize(
    "name", sorted({each for module in (api_variables, sdk_variables) for each in dir(module) if each[:5] == "OTEL_"})
)
def test_every_variable_of_the_sdk_is_in_the_table(name: str) -> None:
    known = rows()
    assert name in known or SIGNAL.sub("OTEL_EXPORTER_OTLP_", name) in known


@pytest.mark.parametrize("name", sorted(rows() - {"OTEL_PYTHON_CONTEXT"}))
def test_every_variable_of_the_table_is_set_by_a_test(name: str) -> None:
    """All but OTEL_PYTHON_CONTEXT, which has one value."""
    assert any(re.search(rf"\b{name}\b", text) for text in TESTS)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("environ", [HTTP, GRPC])
def test_timeouts_are_milliseconds(signal: Any, environ: dict[str, str]) -> None:
    made = exporter(signal, {**environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "2500"})
    assert (getattr(made, "_timeout", None) or made._client._timeout) == 2.5
    own = {"OTEL_EXPORTER_OTLP_TIMEOUT": "2500", f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT": "1000"}
    assert timeout_s(signal, own) == 1.0
    assert timeout_s(signal, {}) is None
    made.shutdown()


@pytest.mark.parametrize("signal", SIGNALS)
def test_exporters_by_name(signal: Any) -> None:
    name = f"OTEL_{signal.upper()}_EXPORTER"
    assert exporter(signal, {**HTTP, name: "none"}) is None
    assert type(exporter(signal, {name: "console"})).__name__.startswith("Console")
    assert exporter(signal, {name: "console", "OTEL_SDK_DISABLED": "true"}) is None
    for wrong in ("zipkin", "otlp,console", "jaeger"):
        assert [fault.split(":")[0] for fault in otel_faults({name: wrong})] == [name]
    assert not list(otel_faults({name: "otlp"}))


def test_console_metrics_are_json() -> None:
    out = io.StringIO()
    assert ConsoleMetricSender(out).send(b"")
    assert json.loads(out.getvalue()) == {}


@pytest.mark.parametrize(
    ("value", "is_valid"),
    [
        ("tracecontext,baggage", True),
        ("none", True),
        ("baggage", True),
        ("b3", False),
        ("jaeger", False),
        ("tracecontext,nonsense", False),
        ("none,baggage", False),
    ],
)
def test_propagators_are_installed_ones(value: str, is_valid: bool) -> None:
    faults = list(otel_faults({"OTEL_PROPAGATORS": value}))
    assert (not faults) == is_valid
    assert all("\n" not in fault and "opentelemetry-propagator-b3" in fault for fault in faults)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("OTEL_CONFIG_FILE", "otel.yaml"),
        ("OTEL_EXPERIMENTAL_CONFIG_FILE", "otel.yaml"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "linear"),
        ("OTEL_LOG_LEVEL", "loud"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "many"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "x"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "x"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0"),
    ],
)
def test_what_is_not_supported_is_refused_in_one_line(name: str, wrong: str) -> None:
    (fault,) = otel_faults({name: wrong})
    assert fault.startswith(f"{name}: {wrong} is not ")
    assert "\n" not in fault


def test_the_sdk_has_no_declarative_configuration_of_its_own() -> None:
    """When this fails, OTEL_CONFIG_FILE can be supported: docs/backends.md has the reason why it is refused."""
    assert importlib.util.find_spec("opentelemetry.configuration") is None
    (fault,) = otel_faults({"OTEL_CONFIG_FILE": "/etc/otel.yaml"})
    assert fault == (
        "OTEL_CONFIG_FILE: /etc/otel.yaml is not supported: declarative configuration is not part of the SDK; "
        "set the variables"
    )
    assert list(otel_faults({"OTEL_CONFIG_FILE": ""})) == []


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        "OTEL_ENTITIES",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "OTEL_EXPORTER_ZIPKIN_TIMEOUT",
        "OTEL_PYTHON_TRACER_PROVIDER",
        "OTEL_PYTHON_METER_PROVIDER",
        "OTEL_PYTHON_ID_GENERATOR",
        "OTEL_PYTHON_TRACER_CONFIGURATOR",
        "OTEL_PYTHON_METER_CONFIGURATOR",
        "OTEL_PYTHON_LOGGER_CONFIGURATOR",
    ],
)
def test_what_has_no_effect_is_warned_about(name: str) -> None:
    (line,) = otel_warnings({name: "x"})
    assert line.startswith(f"{name} has no effect")
    assert not list(otel_warnings({name: ""}))


def test_exemplars_of_everything_are_warned_about() -> None:
    assert len(list(otel_warnings({"OTEL_METRICS_EXEMPLAR_FILTER": "always_on"}))) == 1


def test_the_prometheus_variables_are_synonyms_of_ours() -> None:
    environ = {"OTEL_EXPORTER_PROMETHEUS_HOST": "0.0.0.0", "OTEL_EXPORTER_PROMETHEUS_PORT": "9464"}
    settings, faults = check_settings({}, None, environ)
    assert not faults
    assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", 9464)
    ours, _ = check_settings({}, None, {**environ, "WATTSPAN_METRICS_PORT": "9091"})
    assert ours.metrics_port == 9091


def test_the_level_of_the_sdks_own_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        log_level, log_format = "info", "text"

    root = logging.getLogger()
    level, handlers, sdk = root.level, list(root.handlers), logging.getLogger("opentelemetry")
    try:
        monkeypatch.setenv("OTEL_LOG_LEVEL", "error")
        setup_logging(Plain(), io.StringIO())
        assert not sdk.isEnabledFor(logging.WARNING)
        monkeypatch.delenv("OTEL_LOG_LEVEL")
        setup_logging(Plain(), io.StringIO())
        assert sdk.isEnabledFor(logging.WARNING)
    finally:
        root.handlers[:], root.level = handlers, level
        sdk.setLevel(logging.NOTSET)
