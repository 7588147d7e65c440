"""What the packaging files say of each other stays true."""

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

from wattspan._extras import CLUSTER_MODULES, SERVER_MODULES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.IGNORECASE)


def names(requirements: Iterable[str]) -> set[str]:
    """Distribution names, spelt as an index spells them (PEP 503)."""
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for line in requirements if (match := NAME.match(line))}


CORE = names(PROJECT["project"]["dependencies"])
SERVER = names(PROJECT["project"]["optional-dependencies"]["server"])
CLUSTER = names(PROJECT["project"]["optional-dependencies"]["cluster"])
RUNTIME = CORE | SERVER | CLUSTER
TOOLS = names((ROOT / "requirements/dev.in").read_text().splitlines())


def pinned(file: str) -> set[str]:
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    return names([line for line in lines if "==" in line])


def test_every_dependency_is_explained_and_nothing_else_is():
    first_cells = re.findall(r"^\| ([a-z0-9, -]+) \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    explained = {name for cell in first_cells for name in cell.split(", ")} - {"package"}
    assert explained == RUNTIME | TOOLS


def test_the_domain_may_import_no_runtime_dependency():
    (contract,) = (c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["id"] == "pure-domain")
    imported = {module for module, dists in packages_distributions().items() if RUNTIME & names(dists)}
    modules = {module for module in imported if module.isidentifier() and not module.startswith("_")}  # no stubs
    assert set(contract["forbidden_modules"]) == modules


def test_the_extras_are_what_the_command_line_asks_for_and_the_core_is_apart_from_it():
    for extra, modules in ((SERVER - CORE, SERVER_MODULES), (CLUSTER, CLUSTER_MODULES)):
        imported = {module for module, dists in packages_distributions().items() if extra & names(dists)}
        assert {module for module in imported if not module.startswith("_")} == modules
    assert {"ocpp"} == CORE & SERVER  # of which the server needs a later release than an instrumented program
    assert not CLUSTER & (CORE | SERVER)


def test_opentelemetry_is_a_range_that_begins_where_the_locks_are():
    for line in PROJECT["project"]["dependencies"]:
        if line.startswith("opentelemetry-"):
            name, lowest, _ = re.fullmatch(r"([a-z-]+)>=([0-9.b]+),<([0-9]+)", line).groups()
            assert f"{name}=={lowest} " in (ROOT / "requirements/run.txt").read_text()


def test_the_locks_pin_every_dependency_and_name_no_address():
    assert pinned("run.txt") >= RUNTIME
    assert pinned("dev.txt") >= RUNTIME | TOOLS
    for file in ("run.txt", "dev.txt"):
        assert "://" not in (ROOT / "requirements" / file).read_text()
