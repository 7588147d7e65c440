"""How tools are made: once, whole or not at all, anew when what shapes them changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack.toolchain import BROWSER, CLIENTS, LOGQL, SCHEMA, Recipe, ToolchainError, ensure, module_maker


def write_product(folder: Path) -> None:
    (folder / "product").write_text("made")


def break_off(folder: Path) -> None:
    (folder / "product").write_text("half")
    raise KeyboardInterrupt


def recipe(**changes: object) -> Recipe:
    return Recipe(**({"name": "thing", "version": "1", "products": ("product",), "make": write_product} | changes))  # type: ignore[arg-type]


def test_a_tool_is_made_once(tmp_path: Path) -> None:
    assert ensure(recipe(), tmp_path).startswith("made")
    assert ensure(recipe(make=break_off), tmp_path).startswith("ready")


def test_a_build_that_was_broken_off_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        ensure(recipe(make=break_off), tmp_path)
    assert recipe().find(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_rest_of_a_run_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    killed = tmp_path / ".making-thing-1"
    killed.mkdir()
    (killed / "left-over").touch()
    ensure(recipe(), tmp_path)
    assert [path.name for path in recipe().folder(tmp_path).iterdir()] == ["product"]


def test_another_manifest_or_version_is_another_tool(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest"
    manifest.write_text("a")
    first = recipe(inputs=(manifest,)).folder(tmp_path)
    manifest.write_text("b")
    assert recipe(inputs=(manifest,)).folder(tmp_path) != first
    assert recipe(version="2").folder(tmp_path) != recipe().folder(tmp_path)


def test_a_build_without_its_product_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="thing: was built without an error, yet has no other"):
        ensure(recipe(products=("product", "other")), tmp_path)


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="thing: needs `go`, which is not installed"):
        module_maker("thing", "example.org/module@v1.0.0", {})(tmp_path)


def test_what_few_have_a_compiler_for_is_left_out_but_not_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = recipe(only_with="no-such-compiler", make=break_off)
    monkeypatch.delenv("CI", raising=False)
    assert ensure(rare, tmp_path) == "left out: needs `no-such-compiler`"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(KeyboardInterrupt):
        ensure(rare, tmp_path)


@pytest.mark.parametrize("folder", [BROWSER, CLIENTS, LOGQL, SCHEMA], ids=lambda folder: folder.name)
def test_the_locks_of_node_packages_name_no_registry(folder: Path) -> None:
    locked = json.loads((folder / "package-lock.json").read_text())
    assert not [name for name, package in locked["packages"].items() if "resolved" in package]
