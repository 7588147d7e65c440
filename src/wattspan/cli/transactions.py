"""`wattspan tx`: transactions, both open and closed."""

from datetime import UTC, datetime

import click

from wattspan.cli.api_client import Json
from wattspan.cli.backends import api_options, open_client
from wattspan.cli.help import TIME, TIME_METAVAR
from wattspan.cli.output import Column, json_option, print_fields, print_rows, thousands, timestamp

COLUMNS = (
    Column("number", "number", priority=0),
    Column("charge point", "cp_id", priority=0),
    Column("connector", "connector_id", priority=4),
    Column("id tag", "id_tag", priority=1),
    Column("began", "began_at", timestamp, priority=0),
    Column("ended", "ended_at", timestamp, priority=3),
    Column("energy", "energy_wh", thousands("Wh"), priority=2),
    Column("reason", "reason", priority=5),
)
DETAILS = (
    *COLUMNS,
    Column("OCPP id", "transaction_id"),
    Column("meter start", "meter_start_wh", thousands("Wh")),
    Column("meter stop", "meter_stop_wh", thousands("Wh")),
    Column("readings", "readings_total"),
    Column("trace", "trace_id"),
)
TIMELINE = (Column("time", "at", timestamp, priority=0), Column("event", "name", priority=0))


@click.group(name="tx")
def transactions() -> None:
    """Show transactions, both open and closed."""


@transactions.command(name="list")
@click.option("--cp", "cp_id", help="Only transactions of this charge point.")
@click.option("--id-tag", help="Only transactions of this id tag.")
@click.option("--open/--closed", "is_open", default=None, help="Only open or only closed transactions.")
@click.option(
    "--from",
    "from_at",
    type=TIME,
    metavar=TIME_METAVAR,
    help="Only transactions that began at this time (UTC) or later.",
)
@click.option(
    "--until", "until_at", type=TIME, metavar=TIME_METAVAR, help="Only transactions that began before this time (UTC)."
)
@click.option("--limit", type=click.IntRange(min=1), default=50, help="Largest number of transactions to list.")
@json_option
@api_options
def list_transactions(  # noqa: PLR0913, PLR0917  one argument an option
    cp_id: str | None,
    id_tag: str | None,
    is_open: bool | None,
    from_at: datetime | None,
    until_at: datetime | None,
    limit: int,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """List transactions, the newest first."""
    filters = {
        "cp_id": cp_id,
        "id_tag": id_tag,
        "open": is_open,
        "from_at": _utc(from_at),
        "until_at": _utc(until_at),
    }
    with open_client(url, token) as client:
        print_rows(client.pages("/transactions", limit, **filters), COLUMNS, as_json=as_json)


@transactions.command(name="show")
@click.argument("number", type=click.IntRange(min=1))
@json_option
@api_options
def show_transaction(number: int, as_json: bool, url: str | None, token: str | None) -> None:
    """Show the transaction NUMBER and its timeline.

    With --json, its meter curve is printed too.
    """
    with open_client(url, token) as client:
        transaction: Json = client.request("GET", f"/transactions/{number}")
    print_fields(transaction, DETAILS, as_json=as_json)
    if not as_json:
        click.echo()
        print_rows(transaction["timeline"], TIMELINE, as_json=False)


def _utc(at: datetime | None) -> str | None:
    return None if at is None else at.replace(tzinfo=UTC).isoformat()
