"""`wattspan tx`: charging sessions, running and past."""

from datetime import UTC, datetime

import click

from wattspan.cli.client import Json
from wattspan.cli.output import Column, instant, json_option, kilo, show, show_one
from wattspan.cli.reach import api_options, client

WHEN = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])

COLUMNS = (
    Column("number", "number"),
    Column("charge point", "cp_id"),
    Column("connector", "connector_id"),
    Column("id tag", "id_tag"),
    Column("began", "began_at", instant),
    Column("ended", "ended_at", instant),
    Column("energy", "energy_wh", kilo("Wh")),
    Column("reason", "reason"),
)
WHOLE = (
    *COLUMNS,
    Column("OCPP's id", "transaction_id"),
    Column("meter start", "meter_start_wh", kilo("Wh")),
    Column("meter stop", "meter_stop_wh", kilo("Wh")),
    Column("readings", "readings_total"),
    Column("trace", "trace_id"),
)
TIMELINE = (Column("at", "at", instant), Column("what happened", "name"))


@click.group(name="tx")
def transactions() -> None:
    """Transactions: charging sessions, running and past."""


@transactions.command(name="list")
@click.option("--cp", "cp_id", help="Of this charge point.")
@click.option("--id-tag", help="By this id tag.")
@click.option("--open/--closed", "is_open", default=None, help="Running, or ended; both when not given.")
@click.option("--from", "from_at", type=WHEN, help="Begun at this time or later, UTC.")
@click.option("--until", "until_at", type=WHEN, help="Begun before it, UTC.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
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
    """Transactions, the newest first."""
    asked = {
        "cp_id": cp_id,
        "id_tag": id_tag,
        "open": is_open,
        "from_at": _utc(from_at),
        "until_at": _utc(until_at),
    }
    with client(url, token) as api:
        show(api.each("/transactions", limit, **asked), COLUMNS, as_json=as_json)


@transactions.command(name="show")
@click.argument("number", type=click.IntRange(min=1))
@json_option
@api_options
def show_transaction(number: int, as_json: bool, url: str | None, token: str | None) -> None:
    """One transaction with its story; with --json, its meter curve too."""
    with client(url, token) as api:
        found: Json = api.ask("GET", f"/transactions/{number}")
    show_one(found, WHOLE, as_json=as_json)
    if not as_json:
        click.echo()
        show(found["timeline"], TIMELINE, as_json=False)


def _utc(at: datetime | None) -> str | None:
    return None if at is None else at.replace(tzinfo=UTC).isoformat()
