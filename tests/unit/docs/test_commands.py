"""Every command that a document shows exists, with its options; every target of make, too."""

import re
from pathlib import Path

import pytest

from support.documents import PAGES, ROOT, blocks, parse, shown_commands
from wattspan.cli import main

TARGETS = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def shown() -> list[tuple[str, str]]:
    """(page, command), each once."""
    found = {
        (page.relative_to(ROOT).as_posix(), words)
        for page in PAGES
        for words in shown_commands(page.read_text("utf-8"))
    }
    return sorted(found)


@pytest.mark.parametrize(("page", "words"), shown())
def test_each_command_shown_parses(page: str, words: str) -> None:
    parse(main, re.sub(r"\$\([^)]*\)|…", "x", words))


def test_the_readme_shows_the_commands_that_people_begin_with() -> None:
    readme = {words.split()[0] for page, words in shown() if page == "README.md"}
    assert readme >= {"serve", "cp", "tag", "config", "simulate", "login", "stack", "chargy"}


@pytest.mark.parametrize(
    "wrong", ["fly", "cp fly", "serve --no-such-option", "cp list too many words", "simulate --version 1.5"]
)
def test_a_command_that_does_not_exist_is_found(wrong: str) -> None:
    with pytest.raises(AssertionError):
        parse(main, wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_make_target_shown_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    inline = re.findall(r"`make ([a-z0-9]+)[^`]*`", text)
    in_blocks = [
        word for block in blocks(text, "", "sh") for word in re.findall(r"^make ([a-z0-9]+)", block, re.MULTILINE)
    ]
    assert {*inline, *in_blocks} <= TARGETS
