"""The licences of everything that the toolchain makes, as the table in docs/dependencies.md has them.

`python -m stack.built_licences` prints that table, read from the tools that are made; `--all` prints every module,
package and crate instead. Knows nothing of how a licence is recognised (`licences.py`).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from stack import licences
from stack.toolchain import (
    CLIENTS,
    HELM_VERSION,
    JAEGER_VERSION,
    KUBECONFORM_VERSION,
    OCPP_GO_VERSION,
    POSTGRES_EXPORTER_VERSION,
    PROMETHEUS_MODULE_VERSION,
    RECIPES,
    ROOT,
    Recipe,
    cache_folder,
)

PAGE = ROOT / "docs" / "dependencies.md"
GO = {
    "otelcol": None,
    "jaeger": licences.Module("github.com/jaegertracing/jaeger", f"v{JAEGER_VERSION}"),
    "victoria-logs": None,
    "vmalert": None,
    "prometheus-3": licences.Module("github.com/prometheus/prometheus", PROMETHEUS_MODULE_VERSION),
    "ocpp-go": licences.Module("github.com/lorenzodonini/ocpp-go", f"v{OCPP_GO_VERSION}"),
    "helm": licences.Module("helm.sh/helm/v3", f"v{HELM_VERSION}"),
    "kubeconform": licences.Module("github.com/yannh/kubeconform", f"v{KUBECONFORM_VERSION}"),
    "postgres-exporter": licences.Module(
        "github.com/prometheus-community/postgres_exporter", f"v{POSTGRES_EXPORTER_VERSION}"
    ),
}
"""Go tools, with the main module where that is not ours: a program does not record the version of its own."""
NPM = ("ocpp-rpc", "axe", "grafana-schema", "logql")
OF_DEBIAN = {
    "strace": "LGPL-2.1+",
    "chromium": "BSD",
    "postgresql": "PostgreSQL",
    "prometheus": "Apache-2.0",
    "alertmanager": "Apache-2.0",
    "nginx": "BSD",
    "haproxy": "GPL-2+",
    "redis-server": "BSD",
    "pgbouncer": "ISC",
    "node-exporter": "Apache-2.0",
}
"""Debian's packages by their recipe, with the licence of the program itself; none is built here."""


def go_modules(recipe: Recipe) -> dict[str, str]:
    """Return the licence of every module linked into the programs of a Go tool."""
    found: dict[str, str] = {}
    if (own := GO[recipe.name]) is not None:
        found[str(own)] = licences.licence_of(str(own), licences.cached(own, licences.module_cache(ROOT)))
    for product in recipe.products:
        folder = recipe.folder(cache_folder())
        found |= {str(module): licence for module, licence in licences.of_binary(folder / product).items()}
    return found


def npm_packages(recipe: Recipe) -> dict[str, str]:
    """Return the licence of every package of a tool from npm."""
    return licences.of_npm(recipe.folder(cache_folder()) / "node_modules")


def crates() -> dict[str, str]:
    """Return the licence of every crate of the charger in Rust, read in a copy: cargo writes beside its manifest."""
    with tempfile.TemporaryDirectory(prefix="wattspan-crates-") as folder:
        copy = Path(shutil.copytree(CLIENTS / "ocpp_client", Path(folder) / "crate"))
        return licences.of_cargo(copy / "Cargo.toml")


def parts() -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Yield name, origin and the licences of the parts of every tool that is made of parts."""
    for name in GO:
        yield name, "Go", go_modules(RECIPES[name])
    for name in NPM:
        yield name, "npm", npm_packages(RECIPES[name])


def row(name: str, origin: str, found: Mapping[str, str]) -> str:
    """Return a row of the table for a tool that is made of parts."""
    return f"| `{name}` | {RECIPES[name].version} | {origin} | {len(found)}: {licences.counted(found.values())} |"


def rows() -> list[str]:
    """Return the rows of the table, the crates left out: their versions are not locked."""
    return [row(*each) for each in parts()] + [
        f"| `{name}` | Debian's | apt | {licence} |" for name, licence in OF_DEBIAN.items()
    ]


def main() -> int:
    """Print the table, or with `--all` every part."""
    if "--all" in sys.argv[1:]:
        everything = [*parts(), ("ocpp-client", "cargo", crates())]
        lines = [
            f"{name} ({origin}): {each}: {own}" for name, origin, found in everything for each, own in found.items()
        ]
    else:
        lines = rows()
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
