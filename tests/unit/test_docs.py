"""The documents hold together: links lead somewhere, pictures are small, what a run was to fill in is filled in."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("otel-collector/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAX_BYTES = 150 * 1024


def anchors(page: Path) -> set[str]:
    """What `#…` may name on a page, as code hosts make it of headings."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"<a id=\"([\w-]+)\">", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | {*named}


def dead(page: Path) -> Iterator[str]:
    """Links of a page that lead nowhere within the tree."""
    for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        to = (page.parent / target).resolve() if target else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_within_the_tree_leads_somewhere(page: Path):
    assert list(dead(page)) == []


def test_a_dead_link_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](#two) [c](gone.md) [d](https://example.org/gone)\n")
    assert list(dead(page)) == ["#two", "gone.md"]


def test_pictures_are_small_and_shown():
    told = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in ROOT.glob("docs/**/*.png"):
        assert picture.stat().st_size < MAX_BYTES, picture
        assert picture.name in told, f"{picture} is nowhere shown"


def test_the_tours_blocks_come_from_one_run():
    page = (ROOT / "docs/tour.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"<!-- (\w+) -->\n```\n(.*?)```\n<!-- end -->", page, re.DOTALL))
    (trace_id,) = re.findall(r'trace_id="(\w{32})"', told["exemplar"])
    assert told["trace"].startswith(f"trace {trace_id}, ")
    assert f'trace_id:="{trace_id}"' in told["lines"]
    assert "RemoteStopTransaction" in told["command"]
    assert "NORTH-01" in told["alerts"]
