"""The generated pages are what the code says now."""

from pathlib import Path

from wattspan.api import reference as http_api
from wattspan.cli import settings_reference
from wattspan.settings import Settings

DOCS = Path(__file__).parents[3] / "docs"
RENEW = "run: make reference"


def test_the_table_of_settings_is_what_the_settings_are_now() -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == settings_reference.text(), RENEW


def test_every_setting_has_a_type_and_a_meaning() -> None:
    rows = [line.split(" | ") for line in settings_reference.text().splitlines() if line.startswith("| `")]
    described = {row[0].strip("| `"): row[4:] for row in rows if len(row) > 2}
    assert described.keys() == Settings.model_fields.keys()
    assert all(all(cell.strip(" |") for cell in cells) for cells in described.values())


def test_the_page_of_the_http_api_is_what_its_document_says_now() -> None:
    assert (DOCS / "http-api.md").read_text(encoding="utf-8") == http_api.text(), RENEW


def test_every_route_is_on_the_page_of_the_http_api() -> None:
    page = (DOCS / "http-api.md").read_text(encoding="utf-8")
    routes = [(method, path) for path, each in http_api.document()["paths"].items() for method in each]
    assert len(routes) > 50
    assert [route for route in routes if f"| `{route[0].upper()} {route[1]}` |" not in page] == []
