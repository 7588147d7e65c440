"""The table of quirks and the tests that meet them are one: no row without its test, no test that no row names."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "quirks.md"
WIRE = ROOT / "tests" / "wire"
ROW = re.compile(r"^\| (?P<words>.+?) \| .+ \| `(?P<test>[\w/]+\.py::test_\w+)` \|$")
AREAS = {
    "Handshake": 7,
    "Liveness": 6,
    "Framing": 9,
    "Fields": 11,
    "Transactions": 8,
    "Metering": 13,
    "Time": 5,
    "Status": 4,
    "Details of the specifications that are often missed": 11,
}
"""How many quirks each had when it was written down; more may come, none may go."""


def rows() -> list[tuple[str, str, str]]:
    """(area, words, test) of each row."""
    found, area = [], ""
    for line in TABLE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            area = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| what they"):
            row = ROW.match(line)
            assert row, f"no row of the table: {line}"
            found.append((area, row["words"], row["test"]))
    return found


def docstrings(file: str) -> dict[str, str]:
    """The docstring of each test in a file under tests/wire, on one line."""
    tree = ast.parse((WIRE / file).read_text("utf-8"))
    return {
        node.name: " ".join((ast.get_docstring(node) or "").split())
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize(("area", "words", "test"), rows())
def test_each_quirk_has_a_test_that_says_its_words(area, words, test):
    file, name = test.split("::")
    told = docstrings(file)
    assert name in told
    if not file.startswith("quirks/"):
        return  # about more than the quirk, and named for that
    assert all(word in told[name] for word in re.findall(r"[\w./§%-]{4,}", words)), told[name]


def test_no_quirk_is_forgotten():
    counted = {area: sum(of == area for of, _, _ in rows()) for area in AREAS}
    assert {area: count for area, count in counted.items() if count < AREAS[area]} == {}
    assert {area for area, _, _ in rows()} == set(AREAS)


def test_every_quirks_test_tells_a_quirk():
    words = [" ".join(re.findall(r"[\w./§%-]{4,}", told)) for _, told, _ in rows()]
    for path in sorted((WIRE / "quirks").glob("test_*.py")):
        for name, told in docstrings(f"quirks/{path.name}").items():
            assert told, f"{path.name}::{name} has no docstring"
            assert any(all(word in told for word in each.split()) for each in words), f"{path.name}::{name}"
