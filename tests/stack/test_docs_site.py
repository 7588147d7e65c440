"""The documentation as a site: it builds without a warning, and a reader's browser fetches nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.documents import ROOT

pytestmark = pytest.mark.timeout(120)

FETCHED = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")


def build(project: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("mkdocs")),
        "build",
        "--strict",
        "--site-dir",
        str(site),
    ]  # --quiet would let warnings pass
    return subprocess.run(
        command, cwd=project, env={"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the site is made of."""
    found = tmp_path_factory.mktemp("project")
    for name in ("docs", "otel-collector"):
        shutil.copytree(ROOT / name, found / name)
    for path in (*ROOT.glob("*.md"), ROOT / "mkdocs.yml"):
        shutil.copy(path, found)
    return found


@pytest.fixture(scope="module")
def site(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built."""
    found = tmp_path_factory.mktemp("site")
    done = build(project, found)
    assert done.returncode == 0, done.stderr
    return found


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert {path for path in pages if path.name != "README.html"} <= built
    assert {Path(f"{name}.html") for name in ("contributing", "reporting", "changelog", "collector")} <= built


def test_a_page_fetches_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert FETCHED.findall(page.read_text(encoding="utf-8")) == [], page
    for sheet in site.rglob("*.css"):
        assert re.findall(r"url\([\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")) == [], sheet


@pytest.mark.parametrize(
    ("page", "text", "complaint"),
    [
        ("orphan.md", "# Nowhere in the navigation\n", "orphan.md"),
        ("faq.md", "[dead](gone.md)\n", "gone.md"),
        ("faq.md", "[dead](operating.md#no-such-heading)\n", "no-such-heading"),
    ],
)
def test_an_orphan_page_or_a_dead_link_fails(
    project: Path, tmp_path: Path, page: str, text: str, complaint: str
) -> None:
    broken = tmp_path / "project"
    shutil.copytree(project, broken)
    (broken / "docs" / page).write_text(text)
    done = build(broken, tmp_path / "site")
    assert done.returncode != 0
    assert complaint in done.stderr
