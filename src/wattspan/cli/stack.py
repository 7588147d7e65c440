"""`wattspan stack`: set up, start, stop and look at the stack of compose.yaml. Docker Compose does the work.

It owns command lines and the secrets' files; what the services are is for compose.yaml to say.
"""

import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from wattspan.errors import WattspanError

FILE = "compose.yaml"
SECRETS = Path("deploy") / "secrets"
ENVIRONMENTS = {"victorialogs": Path("deploy") / "victorialogs.env"}
"""The variables that a profile needs, in a file that Compose reads after `.env`."""

Made = Mapping[str, str]
"""Secrets by the name of their file."""


class StackError(WattspanError):
    """The stack can't be reached: no Docker, no Compose, no compose.yaml, or one of them said no."""


def _password(_made: Made) -> str:
    return secrets.token_urlsafe(24)


MAKERS: dict[str, Callable[[Made], str]] = {
    "metrics_token": _password,
    "grafana_admin_password": _password,
    "postgres_password": _password,
    "postgres_monitor_password": _password,
    "redis_password": _password,
    # The same secrets, as other programs want them.
    "redis_passwords.json": lambda made: json.dumps({"redis://redis:6379": made["redis_password"]}),
    "wattspan.toml": lambda made: f'metrics_token = "{made["metrics_token"]}"\n',
}
"""What each file of a secret holds, in the order in which they are made."""


def make_secrets(folder: Path) -> list[str]:
    """Write the secrets that are missing; the names of those. What is there stays.

    Only their owner may enter the folder. The files themselves anybody may read: they are mounted one by one into
    containers whose users have other numbers.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    made: dict[str, str] = {}
    new = []
    for name, maker in MAKERS.items():
        path = folder / name
        if not path.exists():
            path.write_text(maker(made), encoding="utf-8")
            path.chmod(0o644)
            new.append(name)
        made[name] = path.read_text(encoding="utf-8")
    return new


def compose_command(which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """How Docker Compose is called here. Raises StackError, which says what is missing."""
    if (docker := which("docker")) is not None:
        plugin = subprocess.run([docker, "compose", "version"], check=False, capture_output=True)  # noqa: S603
        if plugin.returncode == 0:
            return [docker, "compose"]
    if (alone := which("docker-compose")) is not None:
        return [alone]
    missing = "docker has no `compose`; install its Compose plugin" if docker else "docker is not installed"
    raise StackError(f"{missing} (the central system alone needs neither: wattspan serve)")


class _Stack:
    """Calls Compose on one project folder."""

    def __init__(self, directory: Path, profile: str | None) -> None:
        if not (directory / FILE).is_file():
            raise StackError(f"no {FILE} in {directory.resolve()}; name the folder that has it by --directory")
        self.directory = directory
        self._profile = [*self._environment(profile), "--profile", profile] if profile else []

    def _environment(self, profile: str) -> list[str]:
        """Return Compose's options for the profile's variables; naming any file replaces `.env`, unless named, too."""
        if profile not in ENVIRONMENTS:
            return []
        own = [Path(".env")] if (self.directory / ".env").is_file() else []
        files = [*own, ENVIRONMENTS[profile]]
        return [word for file in files for word in ("--env-file", str(self.directory / file))]

    def run(self, *words: str) -> None:
        """Run it in this terminal. StackError when it fails; it has said why."""
        command = [*compose_command(), "--project-directory", str(self.directory), *self._profile, *words]
        done = subprocess.run(command, check=False)  # noqa: S603
        if done.returncode:
            raise StackError(f"docker compose {words[0]} ended with exit code {done.returncode}")

    def setup(self) -> None:
        """Make what is missing: secrets, images."""
        compose_command()  # nothing is written where nothing can be started
        for name in make_secrets(self.directory / SECRETS):
            click.echo(f"made {SECRETS / name}", err=True)
        self.run("pull", "--ignore-buildable", "--quiet")
        self.run("build")


@click.group()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    envvar="WATTSPAN_STACK_DIRECTORY",
    help="Folder of compose.yaml; this one.  [WATTSPAN_STACK_DIRECTORY]",
)
@click.option(
    "--profile",
    type=click.Choice(["core", "full", "victorialogs"]),
    help="core: without databases and exporters; full; victorialogs: core with VictoriaLogs, without Loki and Grafana.",
)
@click.pass_context
def stack(ctx: click.Context, directory: Path, profile: str | None) -> None:
    """Collector, Jaeger, Loki or VictoriaLogs, Prometheus, Grafana and Wattspan, in containers."""
    ctx.obj = (directory, profile)


def _command(name: str, text: str, words: Sequence[str], *, follows: bool = False) -> None:
    """A command that passes `words` and perhaps a service on."""

    def callback(ctx: click.Context, service: tuple[str, ...], follow: bool = False) -> None:
        project = _Stack(*ctx.obj)
        if name == "start" and not (project.directory / SECRETS).is_dir():
            project.setup()
        project.run(*words, *(["--follow"] if follow else []), *service)

    callback.__doc__ = text
    made = click.argument("service", nargs=-1)(click.pass_context(callback))
    if follows:
        made = click.option("--follow", "-f", is_flag=True, help="Go on with what comes.")(made)
    stack.command(name=name, help=text)(made)


@stack.command()
@click.pass_context
def setup(ctx: click.Context) -> None:
    """Make secrets and images that are missing. Harmless when repeated."""
    _Stack(*ctx.obj).setup()
    click.echo(f"Grafana's password is in {SECRETS / 'grafana_admin_password'}; now: wattspan stack start")


_command("start", "Start all, or the services named, and what they need.", ["up", "--detach"])
_command("stop", "Stop all, or the services named. Data stays.", ["stop"])
_command("restart", "Restart all, or the services named.", ["restart"])
_command("logs", "Show the last lines of all, or of the services named.", ["logs", "--tail", "200"], follows=True)
_command("status", "Show what runs, and how healthy it is.", ["ps", "--all"])
