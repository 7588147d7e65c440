"""MkDocs hooks: pages from outside docs/, links between both, and the list of decision records.

The same files are read on a code host, where links are relative to the file. Here they are made relative to the site.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "otel-collector/README.md": "collector.md",
}
"""Files outside docs/ that are pages of the site, by their path in the repository."""

_SOURCES = {page: source for source, page in OUTSIDE.items()}
_FENCE = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_DECISIONS = "adr/"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace the entry `adr/` of the navigation by one entry a decision record."""
    records = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    pages = [f"adr/{name}" for name in sorted(records, key=lambda name: (name != "README.md", name))]
    config.nav = _replaced(config.nav, pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of OUTSIDE."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its links relative to the site; code blocks are left alone."""
    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else relinked(part, page.file.src_uri) for part in parts)


def relinked(text: str, page: str) -> str:
    """Return `text` with the links of `page` (its path in the site) relative to the site.

    A link to a file that is no page of the site becomes plain text: there is nothing to lead to.
    """
    source = _SOURCES.get(page, f"docs/{page}")

    def link(match: re.Match[str]) -> str:
        picture, words, target = match.groups()
        path, hash_sign, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:") or not path:
            return match[0]
        in_tree = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if in_tree in OUTSIDE:
            found = OUTSIDE[in_tree]
        elif in_tree.startswith("docs/"):
            found = in_tree.removeprefix("docs/")
        else:
            return match[0] if picture else words
        relative = posixpath.relpath(found, posixpath.dirname(page) or ".")
        return f"{picture}[{words}]({relative}{hash_sign}{anchor})"

    return _LINK.sub(link, text)


def _replaced(nav: Any, pages: list[str]) -> Any:
    if isinstance(nav, list):
        return [_replaced(each, pages) for each in nav]
    if isinstance(nav, dict):
        return {name: pages if value == _DECISIONS else _replaced(value, pages) for name, value in nav.items()}
    return nav
