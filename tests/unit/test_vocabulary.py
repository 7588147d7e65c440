"""CONTRIBUTING.md's glossary holds: words that only this project used are in no identifier and no file name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "wattspan"

FILES = sorted(file for file in SRC.rglob("*.py") if "migrations" not in file.parts)
"""Without the migrations, which name the columns of the past."""

RETIRED = frozenset(
    {
        *("told", "telling", "tells", "tell", "untold", "desk", "books", "people", "keeper", "doorkeeper", "newcomer"),
        *("newcomers", "wish", "wishes", "chores", "vitals", "pace", "calm", "sever", "patient", "patience", "mend"),
        *("mended", "deed", "deeds", "summons", "summon", "poked", "habits", "world", "ours", "around", "waitingroom"),
        *("approach", "door", "sloppy", "spoken", "unasked", "saying", "heard"),
    }
)
"""Single words of snake_case and CamelCase names. `story` and `told_at` are JSON's, for one release (see below)."""
PHRASES = frozenset({"by_means_of", "patience_s", "most", "story"})
ALIASES = {("api/models/transactions.py", "story"), ("api/routes/device_model.py", "told_at")}
"""Deprecated JSON keys, each beside the key that replaces it."""


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", name)}


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield line, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield line, name
            case ast.alias(name=name, asname=asname):
                yield line, asname or name.rpartition(".")[2]


def retired(name: str) -> set[str]:
    found = words(name) & RETIRED
    if name.lower().strip("_") in PHRASES or name.startswith(("MOST_", "_MOST_")):
        found.add(name)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC)))
def test_no_identifier_is_a_retired_word(file):
    found = [f"{line}: {name}" for line, name in identifiers(file.read_text()) if retired(name)]
    assert not retired(file.stem)
    assert [each for each in found if (str(file.relative_to(SRC)), each.partition(": ")[2]) not in ALIASES] == []


def test_the_check_finds_them():
    source = "def f(vitals):\n    import x as story\n    return self._newcomers, WaitingRoom, MOST_BYTES, CamelTold\n"
    assert {name for _, name in identifiers(source) if retired(name)} == {
        *("vitals", "story", "_newcomers", "MOST_BYTES", "CamelTold")
    }
