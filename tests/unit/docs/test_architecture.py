"""docs/architecture.md against the code: its table of rooms is import-linter's layers, its paths are short."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = ROOT / "src" / "wattspan"
NOT_ROOMS = {"__main__"}
MAX_STEPS = 10


def layers() -> list[set[str]]:
    """The layers of import-linter from the top down, without modules that do not exist (yet)."""
    (contract,) = (each for each in PROJECT["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    named = [set(re.findall(r"\w+", layer)) - NOT_ROOMS for layer in contract["layers"]]
    return [{room for room in layer if exists(room)} for layer in named]


def exists(room: str) -> bool:
    return (PACKAGE / room / "__init__.py").exists() or (PACKAGE / f"{room}.py").exists()


def section(title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def rooms() -> list[str]:
    """The rooms of the table, from the top down."""
    return re.findall(r"^\| `(\w+)` \|", section("Rooms"), re.MULTILINE)


def test_the_table_of_rooms_names_every_layer_and_nothing_else() -> None:
    assert sorted(rooms()) == sorted(room for layer in layers() for room in layer)


def test_the_table_of_rooms_goes_downward_as_imports_do() -> None:
    depth = {room: number for number, layer in enumerate(layers()) for room in layer}
    assert [depth[room] for room in rooms()] == sorted(depth[room] for room in rooms())


def test_every_module_of_the_package_is_in_a_room() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert modules - NOT_ROOMS - {"__init__"} == set(rooms())


@pytest.mark.parametrize("path", ["The path of a MeterValues", "The path of a remote start"])
def test_each_path_is_short_and_visits_no_room_twice_but_on_the_way_back(path: str) -> None:
    steps = re.findall(r"^\d+\. (.*?)(?=^\d+\. |^\S|\Z)", section(path), re.DOTALL | re.MULTILINE)
    assert 1 < len(steps) <= MAX_STEPS
    there = [match[1] for step in steps if (match := re.match(r"`(\w+)/", step))]
    changes = [room for room, before in zip(there, [None, *there], strict=False) if room != before]
    assert len(changes) == len(set(changes)), changes


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_and_folder_named_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = {path for path in re.findall(r"`([a-z_0-9]+/[\w./-]*)`", text) if "…" not in path}
    assert len(named) > 5
    assert [path for path in sorted(named) if not (PACKAGE / path).exists() and not (ROOT / path).exists()] == []
