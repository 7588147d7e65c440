"""Tables on a terminal of 80 columns: nothing is cut, however long identifiers are."""

import io
from typing import Any

import pytest
from rich.console import Console

from wattspan.cli import charge_points, id_tags, transactions, users
from wattspan.cli.output import Column, cell, make_table, thousands, timestamp

WIDTH = 80
LONG_ID = "DE*ICE*E" + "0123456789" * 4  # 48 characters, the most that OCPP 2.x has for a charge point
LONG_TAG = "DEADBEEF" * 4 + "CAFE"  # 36, the most for an id token
NOW = "2026-11-28T08:30:00.123456+00:00"

ROWS: dict[str, tuple[tuple[Column, ...], dict[str, Any], tuple[str, ...]]] = {
    "cp": (
        charge_points.COLUMNS,
        {
            "cp_id": LONG_ID,
            "connected": True,
            "status": "SuspendedEVSE",
            "registered_at": NOW,
            "has_credentials": True,
            "security_profile": 2,
            "transactions": 2,
            "power_w": 22000.0,
            "vendor": "A vendor with a name",
            "model": "Some model",
            "firmware": "1.2.3-rc4+build77",
            "protocol": "ocpp2.0.1",
            "last_message_at": NOW,
        },
        (LONG_ID, "SuspendedEVSE"),
    ),
    "tx": (
        transactions.COLUMNS,
        {
            "number": 123456,
            "cp_id": LONG_ID,
            "connector_id": "1",
            "id_tag": LONG_TAG,
            "began_at": NOW,
            "ended_at": NOW,
            "energy_wh": 12345.6,
            "reason": "EVDisconnected",
        },
        (LONG_ID, "123456", "2026-11-28 08:30:00"),
    ),
    "tag": (
        id_tags.COLUMNS,
        {
            "id_tag": LONG_TAG,
            "type": "ISO14443",
            "status": "Accepted",
            "expires_at": NOW,
            "parent": LONG_TAG,
            "max_active_transactions": 1,
            "evse_ids": [1, 2],
        },
        (LONG_TAG, "Accepted", "2026-11-28 08:30:00"),
    ),
    "user": (
        users.COLUMNS,
        {"name": "n" * 64, "role": "operator", "disabled": False, "created_at": NOW, "last_login_at": None},
        ("n" * 64, "operator"),
    ),
}


def drawn(rows: list[dict[str, Any]], columns: tuple[Column, ...]) -> tuple[list[str], list[str]]:
    """The lines of the table, and the headings of the columns left out."""
    table, left_out = make_table(rows, columns, WIDTH)
    console = Console(file=io.StringIO(), width=WIDTH, force_terminal=True, color_system=None)
    console.print(table)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines(), [column.heading for column in left_out]


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_of_long_values_fits_and_shows_what_matters_whole(kind: str):
    columns, row, whole = ROWS[kind]
    lines, left_out = drawn([row], columns)
    assert max(map(len, lines)) <= WIDTH
    for text in whole:
        assert any(text in line for line in lines), text
    assert "…" not in "".join(lines)
    assert not {column.heading for column in columns if column.priority == 0} & set(left_out)


@pytest.mark.parametrize("kind", ROWS)
def test_every_cell_is_whole_unless_its_column_is_named_as_left_out(kind: str):
    columns, row, _ = ROWS[kind]
    lines, left_out = drawn([row], columns)
    assert set(left_out) < {column.heading for column in columns}
    for column in columns:
        text = cell(row, column).removesuffix(" UTC")
        assert column.heading in left_out or any(text in line for line in lines), column.heading


def test_short_rows_have_more_columns():
    columns, row, _ = ROWS["cp"]
    _, left_out = drawn([row | {"cp_id": "CP1", "vendor": "Acme"}], columns)
    assert "last message" not in left_out


def test_an_identifier_wider_than_the_terminal_wraps():
    lines, _ = drawn([{"id_tag": "x" * 200, "status": "Accepted"}], id_tags.COLUMNS)
    assert max(map(len, lines)) <= WIDTH
    assert "".join(lines).count("x") == 200 + "expires".count("x") + "max active".count("x") - 2


def test_times_figures_and_control_characters():
    assert timestamp(NOW) == "2026-11-28 08:30:00 UTC"
    assert thousands("Wh")(1234.5) == "1.23 kWh"
    assert cell({"vendor": "Acme\x1b[2J"}, Column("vendor", "vendor")) == "Acme�[2J"
