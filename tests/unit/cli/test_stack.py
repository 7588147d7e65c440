import json
import stat
import tomllib
from pathlib import Path

import pytest

from wattspan.cli import main
from wattspan.cli.stack import MAKERS, StackError, compose_command, make_secrets
from wattspan.settings import load_settings

FAKE = """#!/bin/sh
case "$*" in
    "compose version") exit 0 ;;
    *refuse*) exit 7 ;;
esac
echo "$*" >>"$0.calls"
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake docker that records its calls."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    return program


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "compose.yaml").touch()
    return folder


def wattspan(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    return int(caught.value.code or 0)


def calls(docker: Path) -> list[str]:
    file = Path(f"{docker}.calls")
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["start"], "up --detach"),
        (["start", "grafana"], "up --detach grafana"),
        (["stop", "jaeger"], "stop jaeger"),
        (["restart", "loki"], "restart loki"),
        (["logs", "-f", "wattspan"], "logs --tail 200 --follow wattspan"),
        (["status"], "ps --all"),
    ],
)
def test_each_command_runs_one_compose_command(docker: Path, project: Path, words: list[str], expected: str) -> None:
    make_secrets(project / "deploy" / "secrets")
    assert wattspan("stack", "--directory", str(project), *words) == 0
    assert calls(docker) == [f"compose --project-directory {project} {expected}"]


def test_a_profile_is_passed_on(docker: Path, project: Path) -> None:
    wattspan("stack", "--directory", str(project), "--profile", "core", "status")
    assert calls(docker) == [f"compose --project-directory {project} --profile core ps --all"]


def test_the_profile_of_victorialogs_brings_its_variables_and_keeps_dot_env(docker: Path, project: Path) -> None:
    words = ["stack", "--directory", str(project), "--profile", "victorialogs", "status"]
    wattspan(*words)
    (project / ".env").touch()
    wattspan(*words)
    own, its = f"--env-file {project}/.env", f"--env-file {project}/deploy/victorialogs.env"
    begin, end = f"compose --project-directory {project}", "--profile victorialogs ps --all"
    assert calls(docker) == [f"{begin} {its} {end}", f"{begin} {own} {its} {end}"]


@pytest.mark.parametrize("command", ["setup", "start"])
def test_the_first_start_sets_up(docker: Path, project: Path, command: str) -> None:
    wattspan("stack", "--directory", str(project), command)
    assert [line.split()[3] for line in calls(docker)][:2] == ["pull", "build"]
    assert {path.name for path in (project / "deploy" / "secrets").iterdir()} == set(MAKERS)


def test_secrets_differ_are_kept_and_are_in_a_private_folder(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert make_secrets(folder) == list(MAKERS)
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert len(set(first.values())) == len(MAKERS)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "redis_password").unlink()
    (folder / "redis_passwords.json").unlink()
    assert make_secrets(folder) == ["redis_password", "redis_passwords.json"]
    assert (folder / "metrics_token").read_text() == first["metrics_token"]


def test_both_programs_that_share_a_secret_get_the_same_one(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    passwords = json.loads((tmp_path / "redis_passwords.json").read_text())
    assert passwords == {"redis://redis:6379": (tmp_path / "redis_password").read_text()}
    token = (tmp_path / "metrics_token").read_text()
    assert tomllib.loads((tmp_path / "wattspan.toml").read_text()) == {"metrics_token": token}
    settings = load_settings({}, tmp_path / "wattspan.toml", {})
    assert settings.metrics_token is not None
    assert settings.metrics_token.get_secret_value() == token


def test_without_docker_there_is_one_error_line_and_nothing_is_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wattspan("stack", "--directory", str(project), "setup") == 1
    assert capsys.readouterr().err.startswith("Error: docker is not installed")
    assert not (project / "deploy").exists()


def test_a_docker_without_compose_has_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    with pytest.raises(StackError, match="has no `compose`"):
        compose_command({"docker": str(tmp_path / "docker")}.get)
    alone = {"docker": str(tmp_path / "docker"), "docker-compose": "/there/docker-compose"}
    assert compose_command(alone.get) == ["/there/docker-compose"]


def test_a_folder_without_compose_file_is_one_error_line(
    docker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wattspan("stack", "--directory", str(tmp_path), "status") == 1
    assert "no compose.yaml in" in capsys.readouterr().err
    assert calls(docker) == []


def test_a_failed_compose_command_fails_the_command(docker: Path, project: Path) -> None:
    assert wattspan("stack", "--directory", str(project), "stop", "refuse") == 1
