"""Nothing is built from what is under the AGPL, the SSPL or the BUSL, and docs/dependencies.md lists what is built."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from stack import built_licences, licences
from stack.licences import LicenceError, Module
from stack.toolchain import RECIPES, ROOT, ToolchainError, build, cache_folder, package_maker

REFUSED = {
    "AGPL": "          GNU AFFERO GENERAL PUBLIC LICENSE\n             Version 3, 19 November 2007\n",
    "SSPL": "                     Server Side Public License\n                     VERSION 1, OCTOBER 16, 2018\n",
    "BUSL": 'License text copyright (c) 2020 MariaDB Corporation Ab.\n"Business Source License" is a trademark.\n',
}
PERMITTED = (ROOT / "LICENSE").read_text(encoding="utf-8")


def module(folder: Path, licence: str) -> Path:
    """A main module that links one other, which has this text as its licence."""
    dependency = folder / "dependency"
    dependency.mkdir()
    (dependency / "go.mod").write_text("module example.org/dependency\n\ngo 1.21\n")
    (dependency / "dependency.go").write_text('package dependency\n\nfunc Word() string { return "built" }\n')
    (dependency / "LICENSE").write_text(licence)
    main = folder / "main"
    main.mkdir()
    (main / "LICENSE").write_text(PERMITTED)
    (main / "main.go").write_text(
        'package main\n\nimport "example.org/dependency"\n\nfunc main() { println(dependency.Word()) }\n'
    )
    (main / "go.mod").write_text(
        "module example.org/main\n\ngo 1.21\n\nrequire example.org/dependency v1.0.0\n\n"
        "replace example.org/dependency => ../dependency\n"
    )
    return main


@pytest.mark.parametrize("name", REFUSED)
def test_a_program_that_would_link_a_refused_module_is_not_built(name: str, tmp_path: Path) -> None:
    main = module(tmp_path, REFUSED[name])
    with pytest.raises(ToolchainError, match=rf"example.org/dependency@v1.0.0: LICENSE is the {name}"):
        build("thing", main, ".", tmp_path / "thing")
    assert not (tmp_path / "thing").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_a_program_whose_own_module_is_refused_is_not_built(name: str, tmp_path: Path) -> None:
    main = module(tmp_path, PERMITTED)
    (main / "LICENSE").write_text(REFUSED[name])
    with pytest.raises(ToolchainError, match=f"LICENSE is the {name}"):
        build("thing", main, ".", tmp_path / "thing")
    assert not (tmp_path / "thing").exists()


def test_a_program_without_a_licence_is_not_built_and_one_that_has_it_is(tmp_path: Path) -> None:
    main = module(tmp_path, PERMITTED)
    build("thing", main, ".", tmp_path / "thing")
    assert (tmp_path / "thing").is_file()
    (tmp_path / "dependency" / "LICENSE").unlink()
    with pytest.raises(ToolchainError, match="no licence is recognised"):
        build("other", main, ".", tmp_path / "other")


def test_victorialogs_with_a_doctored_licence_is_refused(tmp_path: Path) -> None:
    """The very module that is built, in a copy with another licence text."""
    binary = RECIPES["victoria-logs"].folder(cache_folder()) / "victoria-logs"
    cache = licences.module_cache(tmp_path)
    own = next(each for each in licences.modules_of(binary) if each.path == "github.com/VictoriaMetrics/VictoriaLogs")
    assert licences.check({own: licences.cached(own, cache)}) == {own: "Apache-2.0"}
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copyfile(licences.cached(own, cache) / "LICENSE", copy / "LICENSE")
    assert licences.check({own: copy}) == {own: "Apache-2.0"}
    (copy / "LICENSE").write_text(REFUSED["AGPL"])
    with pytest.raises(LicenceError, match=f"{re.escape(str(own))}: LICENSE is the AGPL"):
        licences.check({own: copy})


def test_a_second_licence_file_does_not_hide_a_refused_one(tmp_path: Path) -> None:
    (tmp_path / "LICENSE_APACHE2").write_text(PERMITTED)
    assert licences.licence_of("thing", tmp_path) == "Apache-2.0"
    (tmp_path / "COPYING.md").write_text(REFUSED["AGPL"])
    with pytest.raises(LicenceError, match=r"COPYING\.md is the AGPL"):
        licences.licence_of("thing", tmp_path)


def test_the_gpl_is_not_taken_for_the_affero_licence_that_its_text_names() -> None:
    text = (
        "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n" + "words " * 200 + "GNU Affero General Public License"
    )
    assert licences.name_of(text) == "GPL"


def test_a_module_that_does_not_exist_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(ToolchainError, match=r"^thing: "):
        package_maker("thing", "example.org/no/such/module", "1.0.0", "cmd/thing")(tmp_path)


@pytest.mark.parametrize("name", [*built_licences.GO, *built_licences.NPM])
def test_the_page_lists_the_licences_of_what_is_built(name: str) -> None:
    recipe = RECIPES[name]
    go = name in built_licences.GO
    found = built_licences.go_modules(recipe) if go else built_licences.npm_packages(recipe)
    assert not [each for each in found.values() if licences.refused(each)]
    page = built_licences.PAGE.read_text(encoding="utf-8")
    assert built_licences.row(name, "Go" if go else "npm", found) in page


def test_every_tool_is_on_the_page() -> None:
    page = built_licences.PAGE.read_text(encoding="utf-8")
    assert [name for name in RECIPES if f"| `{name}` |" not in page] == []


@pytest.mark.skipif(RECIPES["ocpp-client"].left_out, reason="needs cargo")
def test_no_crate_is_under_a_refused_licence() -> None:
    found = built_licences.crates()
    assert found
    assert {each: licence for each, licence in found.items() if not licence or licences.refused(licence)} == {}


def test_modules_are_read_as_go_records_them() -> None:
    listing = "\tmod\texample.org/main\t(devel)\t\n\tdep\ta\tv1\th1:x=\n\tdep\tb\tv2\n\t=>\tc\tv3\th1:y=\n"
    assert list(licences._recorded(listing)) == [Module("a", "v1"), Module("c", "v3")]
