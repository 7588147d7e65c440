"""`wattspan config check`: every fault at once, or the settings in force as a file that can be used."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wattspan.cli import main
from wattspan.settings import load_settings

SECRETS = {
    "WATTSPAN_METRICS_TOKEN": "t0p-s3cret",
    "WATTSPAN_ADMIN_PASSWORD": "s3cret-password",
    "WATTSPAN_DATABASE": "postgresql://me:s3cret@db.example/wattspan",
    "WATTSPAN_PLUG_AND_CHARGE_ID_TAG": "s3cret",
}


def check(*arguments: str, code: int = 0, **environment: str) -> Result:
    result = CliRunner().invoke(main, ["config", "check", *arguments], env=environment)
    assert result.exit_code == code, result.output
    return result


def test_what_it_prints_can_be_given_to_config(tmp_path: Path):
    file = tmp_path / "wattspan.toml"
    options = ("--port", "9443", "--plugins", "orphans,audit", "--audit-log", 'a "b"\\\x7f.log', "--strict")
    file.write_text(check(*options, "--jaeger-url", "http://jaeger:16686", WATTSPAN_API_HOST="::1").stdout, "utf-8")
    settings = load_settings({}, file, {})
    assert (settings.port, settings.plugins, settings.strict) == (9443, ("orphans", "audit"), True)
    assert str(settings.audit_log) == 'a "b"\\\x7f.log'
    assert settings == load_settings(
        {
            "port": 9443,
            "plugins": "orphans,audit",
            "strict": True,
            "audit_log": 'a "b"\\\x7f.log',
            "jaeger_url": "http://jaeger:16686",
            "api_host": "::1",
        },
        None,
        {},
    )
    assert check("--config", str(file)).stdout == file.read_text("utf-8")


def test_the_defaults_work_as_a_file_too(tmp_path: Path):
    file = tmp_path / "wattspan.toml"
    file.write_text(check().stdout, "utf-8")
    assert load_settings({}, file, {}) == load_settings({}, None, {})


def test_secrets_are_comments_without_their_value():
    printed = check(**SECRETS).stdout
    assert "s3cret" not in printed
    assert "# metrics_token is set but not shown; WATTSPAN_METRICS_TOKEN can set it" in printed
    assert '# database = "postgresql://me:**********@db.example/wattspan"' in printed
    assert not tomllib.loads(printed).keys() & {"metrics_token", "admin_password", "database", "plug_and_charge_id_tag"}


def test_every_fault_is_reported_at_once(tmp_path: Path):
    file = tmp_path / "wattspan.toml"
    file.write_text('heartbeat_interval_s = 0\nplugins = ["orphans", "no-such"]\napi_port = 9090\n')
    result = check(
        *("--config", str(file), "--log-level", "loud"), code=2, WATTSPAN_PORT="x", WATTSPAN_METRICS_USER="me"
    )
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.split(": ")[:-1] for line in lines if "no-such" not in line] == [
        ["Error", "WATTSPAN_METRICS_USER"],
        ["Error", "WATTSPAN_PORT"],
        ["Error", "log_level"],
        ["Error", "wattspan.toml", "api_port"],
        ["Error", "wattspan.toml", "heartbeat_interval_s"],
    ]
    assert sum("no-such" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--port", "70000"], "Error: port: 70000 is not between 0 and 65535"),
        (["--tls-cert", "no.pem"], "Error: tls_cert: needs tls_key as well"),
        (["--plugins", "plug_and_charge"], "Error: plugins: plug_and_charge needs plug_and_charge_id_tag as well"),
    ],
)
def test_a_fault_names_the_setting_and_what_would_be_right(arguments: list[str], fault: str):
    assert fault in check(*arguments, code=2).stderr.splitlines()
