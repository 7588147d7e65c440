from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from wattspan.errors import SettingsError
from wattspan.settings import Settings, load_settings


def load(config: Path | None = None, env: dict[str, str] | None = None, **overrides: Any) -> Settings:
    return load_settings(overrides, config, env or {})


def faults(config: Path | None = None, env: dict[str, str] | None = None, **overrides: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(config, env, **overrides)
    return caught.value.faults


def toml(folder: Path, text: str) -> Path:
    file = folder / "wattspan.toml"
    file.write_text(text)
    return file


def test_without_any_source_the_defaults_apply():
    settings = load()
    assert (settings.host, settings.port, settings.metrics_host, settings.metrics_port) == (
        "127.0.0.1", 9000, "127.0.0.1", 9090,
    )  # fmt: skip
    assert settings.plugins == ("orphans",)


def test_overrides_take_precedence_over_environment_over_toml_over_defaults(tmp_path):
    config = toml(tmp_path, 'port = 1\nmetrics_port = 2\napi_port = 3\nplugins = ["a", "b"]')
    settings = load(config, {"WATTSPAN_PORT": "11", "WATTSPAN_METRICS_PORT": "12"}, port=21)
    assert (settings.port, settings.metrics_port, settings.api_port) == (21, 12, 3)
    assert settings.plugins == ("a", "b")


def test_metrics_port_has_a_short_alias_with_lower_precedence():
    assert load(env={"METRICS_PORT": "1"}).metrics_port == 1
    assert load(env={"METRICS_PORT": "1", "WATTSPAN_METRICS_PORT": "2"}).metrics_port == 2
    assert load(env={"WATTSPAN_METRICS_PORT": "2", "METRICS_PORT": "1"}).metrics_port == 2


def test_the_environment_may_name_the_file(tmp_path):
    config = toml(tmp_path, "port = 1")
    assert load(env={"WATTSPAN_CONFIG": str(config)}).port == 1


def test_none_and_empty_mean_not_set():
    assert load(env={"WATTSPAN_METRICS_TOKEN": "", "WATTSPAN_PORT": ""}, port=None) == load()


def test_every_type_of_value_is_read_from_text():
    settings = load(
        env={
            "WATTSPAN_STRICT": "true",
            "WATTSPAN_COMMAND_TIMEOUT_S": "1.5",
            "WATTSPAN_PLUGINS": "orphans, audit",
            "WATTSPAN_LOG_LEVEL": "WARNING",
            "WATTSPAN_AUDIT_LOG": "frames.jsonl",
            "WATTSPAN_UNKNOWN_ID_TAGS": "Refuse",
        }
    )
    assert settings.strict is True
    assert settings.command_timeout_s == 1.5
    assert settings.plugins == ("orphans", "audit")
    assert settings.log_level == "warning"
    assert settings.audit_log == Path("frames.jsonl")
    assert settings.unknown_id_tags == "reject"
    assert load(env={"WATTSPAN_PLUGINS": ","}).plugins == ()


def test_the_other_ports_stay_on_loopback_whatever_host_is():
    settings = load(host="0.0.0.0")
    assert settings.metrics_host == settings.api_host == "127.0.0.1"


def test_a_proxy_that_is_no_address_is_a_fault():
    assert load(trusted_proxies="10.0.0.7, 10.1.0.0/16, ::1").trusted_proxies == ("10.0.0.7", "10.1.0.0/16", "::1")
    for wrong in ("*", "proxy.example"):
        with pytest.raises(SettingsError, match=r"trusted_proxies: .* is not an address or network"):
            load(trusted_proxies=wrong)


@pytest.mark.parametrize(
    ("host", "policy", "accepts"),
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("localhost", None, True),
        ("0.0.0.0", None, False),
        ("csms.example.org", None, False),
        ("0.0.0.0", "accept", True),
        ("127.0.0.1", "refuse", False),
    ],
)
def test_unregistered_charge_points_and_id_tags_are_accepted_on_loopback_or_by_setting(host, policy, accepts):
    settings = load(host=host, unknown_charge_points=policy, unknown_id_tags=policy)
    assert settings.charge_point_policy == ("accept" if accepts else "reject")
    assert settings.accepts_unknown_id_tags is accepts


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("WATTSPAN_PORT", "70000", "WATTSPAN_PORT: 70000 is not between 0 and 65535"),
        ("WATTSPAN_PORT", "http", "WATTSPAN_PORT: http is not a whole number between 0 and 65535"),
        ("METRICS_PORT", "-1", "METRICS_PORT: -1 is not between 0 and 65535"),
        ("WATTSPAN_STRICT", "maybe", "WATTSPAN_STRICT: maybe is not true or false"),
        ("WATTSPAN_LOG_LEVEL", "loud", "WATTSPAN_LOG_LEVEL: loud is not debug, info, warning, error or critical"),
        ("WATTSPAN_PING_TIMEOUT_S", "0", "WATTSPAN_PING_TIMEOUT_S: 0 is not above 0"),
        ("WATTSPAN_PING_INTERVAL_S", "nan", "WATTSPAN_PING_INTERVAL_S: nan is not at least 0"),
        ("WATTSPAN_PROT", "1", "WATTSPAN_PROT: there is no such setting; did you mean WATTSPAN_PORT?"),
        ("WATTSPAN_XYZZY", "1", "WATTSPAN_XYZZY: there is no such setting"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere", "OTEL_EXPORTER_OTLP_ENDPOINT: nowhere is not an http or https URL"),
        (
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "http/json",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: http/json is not one of grpc, http/protobuf",
        ),
    ],
)
def test_a_fault_names_the_variable_the_value_and_what_would_be_right(variable, value, line):
    assert faults(env={variable: value}) == (line,)


def test_every_fault_is_reported_at_once_whatever_its_source(tmp_path):
    config = toml(tmp_path, 'log_format = "xml"\nprot = 1\napi_port = true')
    env = {"WATTSPAN_PORT": "70000", "OTEL_TRACES_SAMPLER": "sometimes"}
    lines = faults(config, env, metrics_port="x")
    assert len(lines) == 6
    assert "wattspan.toml: log_format: xml is not text or json" in lines
    assert "wattspan.toml: prot: there is no such setting; did you mean port?" in lines
    assert "wattspan.toml: api_port: True is not a whole number between 0 and 65535" in lines
    assert "metrics_port: x is not a whole number between 0 and 65535" in lines
    assert any(line.startswith("OTEL_TRACES_SAMPLER: sometimes is not one of always_off, always_on") for line in lines)


def test_a_file_that_is_missing_or_not_toml_is_a_fault(tmp_path):
    assert faults(tmp_path / "no.toml") == (f"{tmp_path}/no.toml: cannot be read: No such file or directory",)
    assert faults(toml(tmp_path, "port 1"))[0].startswith(f"{tmp_path}/wattspan.toml: is not valid TOML: ")


def test_settings_that_need_each_other_are_required_together(tmp_path):
    cert = toml(tmp_path, "")
    assert faults(metrics_user="me") == ("metrics_user: needs metrics_password as well",)
    assert faults(metrics_tls_cert=cert) == ("metrics_tls_cert: needs metrics_tls_key as well",)
    assert faults(port=1, metrics_port=1) == ("metrics_port: 1 is already the OCPP port",)
    assert faults(plugins=["plug_and_charge"]) == ("plugins: plug_and_charge needs plug_and_charge_id_tag as well",)
    assert faults(metrics_tls_cert=cert, metrics_tls_key=tmp_path / "key")[0].endswith("key is not a file")


def test_conflicts_are_reported_beside_invalid_values_but_not_about_them(tmp_path):
    assert faults(port="x", metrics_user="me", log_level="loud") == (
        "log_level: loud is not debug, info, warning, error or critical",
        "metrics_user: needs metrics_password as well",
        "port: x is not a whole number between 0 and 65535",
    )
    assert faults(port="x", metrics_port=9000) == ("port: x is not a whole number between 0 and 65535",)
    assert len(faults(tls_cert=5, tls_port=9443)) == 1


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("admin_password", "short", "admin_password: must be 12 to 200 characters long"),
        ("metrics_token", "", "metrics_token: must not be empty"),
        ("host", 5, "host: 5 is not a string"),
        ("certificate_days", 4000, "certificate_days: 4000 is not above 0 and at most 3650"),
        ("jaeger_url", "jaeger", "jaeger_url: jaeger is not a URL like https://traces.example"),
        ("plugins", 5, "plugins: 5 is not a list of names"),
        ("tls_cert", 5, "tls_cert: 5 is not a path"),
        ("heartbeat_interval_s", 1.5, "heartbeat_interval_s: 1.5 is not a whole number of at least 1"),
    ],
)
def test_limits_are_worded_from_the_bounds_of_the_field(name, value, line):
    assert faults(**{name: value}) == (line,)


def test_two_free_ports_or_two_addresses_are_not_a_conflict():
    load(port=0, metrics_port=0)
    load(host="127.0.0.2", port=1, metrics_host="127.0.0.1", metrics_port=1)


def test_secrets_appear_neither_in_repr_nor_in_faults():
    settings = load(
        env={"WATTSPAN_METRICS_TOKEN": "s3cret", "WATTSPAN_METRICS_USER": "me", "WATTSPAN_METRICS_PASSWORD": "s3cret"},
        database="postgresql://me:s3cret@db/wattspan",
        plug_and_charge_id_tag="s3cret",
    )
    assert "s3cret" not in repr(settings)
    assert "postgresql://me:**********@db/wattspan" in repr(settings)
    assert "s3cret" not in repr(load(database="postgresql://me@db/wattspan?password=s3cret&sslmode=require"))
    assert settings.metrics_token is not None
    assert settings.metrics_token.get_secret_value() == "s3cret"
    lines = faults(env={"OTEL_EXPORTER_OTLP_HEADERS": "s3cret"}, plug_and_charge_id_tag="s3cret" * 10, metrics_token="")
    assert len(lines) == 3
    assert "s3cret" not in "".join(lines)


def test_settings_never_change():
    with pytest.raises(ValidationError, match="frozen"):
        load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "env",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://[::1]/otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"},
        {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_SAMPLER_ARG": "whatever"},
        {"OTEL_RESOURCE_ATTRIBUTES": "service.name=wattspan,site=north", "OTEL_EXPORTER_OTLP_HEADERS": "a=b=c"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_SERVICE_NAME": "x", "OTEL_UNRELATED": "?"},
    ],
)
def test_values_that_opentelemetry_accepts_are_not_faults(env):
    load(env=env)


@pytest.mark.parametrize(
    "env",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector:port"},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "ftp://collector"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.5"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"},
        {"OTEL_METRIC_EXPORT_INTERVAL": "0"},
        {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "sum"},
        {"OTEL_RESOURCE_ATTRIBUTES": "wattspan"},
        {"OTEL_SDK_DISABLED": "perhaps"},
    ],
)
def test_values_that_opentelemetry_would_ignore_are_faults(env):
    lines = faults(env=env)
    assert len(lines) == 1
    assert lines[0].split(":")[0] in env


def test_security_settings_without_effect_are_faults(tmp_path):
    cert = str(toml(tmp_path, ""))
    tls = {"tls_cert": cert, "tls_key": cert}
    assert faults(tls_cert=cert) == ("tls_cert: needs tls_key as well",)
    assert faults(tls_port=0) == ("tls_port: needs tls_cert and tls_key as well",)
    assert faults(tls_client_ca=cert) == ("tls_client_ca: needs tls_cert and tls_key as well",)
    assert faults(tls_client_crl=cert) == ("tls_client_crl: needs tls_client_ca as well",)
    assert faults(min_security_profile=2) == ("min_security_profile: 2 needs tls_cert and tls_key as well",)
    assert faults(min_security_profile=3, **tls) == ("min_security_profile: 3 needs tls_client_ca or ca_dir as well",)
    assert faults(port=9443, tls_port=9443, **tls) == ("tls_port: 9443 is already the OCPP port without TLS",)
    assert faults(tls_cert="no", tls_key=cert) == ("tls_cert: no is not a file",)
    assert faults(unknown_charge_points="perhaps") == (
        "unknown_charge_points: perhaps is not accept, pending or reject",
    )
    assert faults(unknown_id_tags="pending") == ("unknown_id_tags: pending is not accept or reject",)


def test_refuse_is_an_alias_of_reject():
    assert load(unknown_charge_points="Refuse").charge_point_policy == "reject"
    assert not load(unknown_id_tags="refuse").accepts_unknown_id_tags
