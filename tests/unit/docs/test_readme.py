"""README.md begins with what a stranger needs: what it is, a picture, two commands, who needs which part."""

import re

from support.documents import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_LINES = 170


def test_the_first_screen_has_a_sentence_or_two_then_a_picture_then_the_two_commands() -> None:
    beginning, _, rest = README.partition("\n```\n")
    title, introduction, picture = beginning.strip().split("\n\n")
    assert title == "# Wattspan"
    assert len(re.findall(r"\.(?:\s|$)", introduction)) == 2
    assert picture.startswith("![")
    assert [line.split("#")[0].strip() for line in rest.partition("```")[0].splitlines()] == ["make run", "make test"]


def test_who_needs_which_part_comes_before_everything_else() -> None:
    assert re.findall(r"^## (.+)$", README, re.MULTILINE)[0] == "Which part you need"


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= MAX_LINES


def test_both_kinds_of_readers_are_addressed_on_the_first_screen() -> None:
    first_screen = "\n".join(README.splitlines()[:30])
    assert "New to OCPP?" in first_screen
    assert "New to OpenTelemetry?" in first_screen
