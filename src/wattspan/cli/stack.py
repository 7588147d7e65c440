"""`wattspan stack`: sets up, starts, stops and inspects the stack of compose.yaml with Docker Compose.

It owns Compose's command lines and the secret files. The services are defined in compose.yaml.
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
"""The secrets created so far, by file name."""


class StackError(WattspanError):
    """Docker, its Compose plugin or compose.yaml is missing, or Compose failed."""


def _password(_made: Made) -> str:
    return secrets.token_urlsafe(24)


MAKERS: dict[str, Callable[[Made], str]] = {
    "metrics_token": _password,
    "grafana_admin_password": _password,
    "postgres_password": _password,
    "postgres_monitor_password": _password,
    "redis_password": _password,
    # The same secrets, in the formats that other programs read.
    "redis_passwords.json": lambda made: json.dumps({"redis://redis:6379": made["redis_password"]}),
    "wattspan.toml": lambda made: f'metrics_token = "{made["metrics_token"]}"\n',
    "cluster.toml": lambda made: (
        f'metrics_token = "{made["metrics_token"]}"\n'
        f'database = "postgresql://wattspan:{made["postgres_password"]}@postgres/wattspan"\n'
        f'redis = "redis://:{made["redis_password"]}@redis:6379/0"\n'
    ),
}
"""The content of each secret file, in the order in which the files are created."""


def make_secrets(folder: Path) -> list[str]:
    """Write the secrets that are missing and return their names. Existing ones are kept.

    Only the owner may enter the folder. The files in it are readable by all users, because they are mounted one by one
    into containers that run under other user ids.
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
    """Return the command that runs Docker Compose. Raises StackError if it is not installed."""
    if (docker := which("docker")) is not None:
        plugin = subprocess.run([docker, "compose", "version"], check=False, capture_output=True)  # noqa: S603
        if plugin.returncode == 0:
            return [docker, "compose"]
    if (alone := which("docker-compose")) is not None:
        return [alone]
    missing = "docker has no `compose`; install its Compose plugin" if docker else "docker is not installed"
    raise StackError(f"{missing} (`wattspan serve` runs the central system without it)")


class _Stack:
    """Runs Docker Compose on one project folder."""

    def __init__(self, directory: Path, profile: str | None) -> None:
        if not (directory / FILE).is_file():
            raise StackError(f"no {FILE} in {directory.resolve()}; set its folder with --directory")
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
        """Run a Compose command in this terminal. Raises StackError if it fails; Compose has printed the reason."""
        command = [*compose_command(), "--project-directory", str(self.directory), *self._profile, *words]
        done = subprocess.run(command, check=False)  # noqa: S603
        if done.returncode:
            raise StackError(f"docker compose {words[0]} ended with exit code {done.returncode}")

    def setup(self) -> None:
        """Create missing secrets, and pull or build the images."""
        compose_command()  # raises without Compose, before anything is written
        for name in make_secrets(self.directory / SECRETS):
            click.echo(f"created {SECRETS / name}", err=True)
        self.run("pull", "--ignore-buildable", "--quiet")
        self.run("build")


@click.group()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    envvar="WATTSPAN_STACK_DIRECTORY",
    show_envvar=True,
    help="Folder that has compose.yaml.",
)
@click.option(
    "--profile",
    type=click.Choice(["core", "full", "victorialogs"]),
    help="full: all services; core: no databases or exporters; victorialogs: core, VictoriaLogs for Loki and Grafana.",
)
@click.pass_context
def stack(ctx: click.Context, directory: Path, profile: str | None) -> None:
    """Run the observability stack in containers.

    It has Wattspan, the Collector, Jaeger, Prometheus, Alertmanager, and Loki with Grafana or VictoriaLogs.
    """
    ctx.obj = (directory, profile)


def _command(name: str, text: str, words: Sequence[str], *, follows: bool = False) -> None:
    """Add a command that runs Compose with `words` and the services named on the command line."""

    def callback(ctx: click.Context, service: tuple[str, ...], follow: bool = False) -> None:
        project = _Stack(*ctx.obj)
        if name == "start" and not (project.directory / SECRETS).is_dir():
            project.setup()
        project.run(*words, *(["--follow"] if follow else []), *service)

    callback.__doc__ = text
    made = click.argument("service", nargs=-1)(click.pass_context(callback))
    if follows:
        made = click.option("--follow", "-f", is_flag=True, help="Keep printing new lines.")(made)
    stack.command(name=name, help=text)(made)


@stack.command()
@click.pass_context
def setup(ctx: click.Context) -> None:
    """Create missing secrets and images. It can be repeated safely."""
    _Stack(*ctx.obj).setup()
    click.echo(f"Grafana's password is in {SECRETS / 'grafana_admin_password'}; next: wattspan stack start")


_command("start", "Start all services, or those named and the ones they depend on.", ["up", "--detach"])
_command("stop", "Stop all services, or those named. Data is kept.", ["stop"])
_command("restart", "Restart all services, or those named.", ["restart"])
_command("logs", "Show the last log lines of all services, or of those named.", ["logs", "--tail", "200"], follows=True)
_command("status", "Show the state and health of all services, or of those named.", ["ps", "--all"])
