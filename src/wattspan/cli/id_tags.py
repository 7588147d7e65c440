"""`wattspan tag`: id tags, who may charge."""

from datetime import UTC, datetime
from typing import Any, BinaryIO

import click

from wattspan.cli.output import Column, instant, json_option, listed, show
from wattspan.cli.reach import books, books_options

STATUSES = ("Accepted", "Blocked", "Expired", "Invalid")
COLUMNS = (
    Column("id tag", "id_tag"),
    Column("type", "type"),
    Column("status", "status"),
    Column("expires", "expires_at", instant),
    Column("parent", "parent"),
    Column("max active", "max_active_transactions"),
    Column("EVSEs", "evse_ids", listed),
)


@click.group(name="tag")
def id_tags() -> None:
    """Id tags: who may charge."""


@id_tags.command(name="add")
@click.argument("id_tag")
@click.option("--status", type=click.Choice(STATUSES), default="Accepted", show_default=True)
@click.option("--expires", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC; never when not given.")
@click.option("--parent", help="Id tag of the group it belongs to.")
@click.option("--max-active", type=click.IntRange(min=0), help="Transactions it may have at once; any when not given.")
@click.option("--type", "kind", default="", help="Its type in OCPP 2.x, as ISO14443 or eMAID; any when not given.")
@click.option(
    "--evse", "evse_ids", type=click.IntRange(min=1), multiple=True, help="The EVSE where alone it may charge."
)
@books_options
def add_id_tag(
    id_tag: str,
    status: str,
    expires: datetime | None,
    parent: str | None,
    max_active: int | None,
    kind: str,
    evse_ids: tuple[int, ...],
    **where: Any,
) -> None:
    """Put ID_TAG on file, or change it."""
    tag = {
        "id_tag": id_tag,
        "status": status,
        "expires_at": None if expires is None else expires.replace(tzinfo=UTC).isoformat(),
        "parent": parent,
        "max_active_transactions": max_active,
        "type": kind,
        "evse_ids": list(evse_ids),
    }
    with books(**where) as found:
        found.put_id_tag(tag)
    click.echo(f"{id_tag} {status}", err=True)


@id_tags.command(name="list")
@json_option
@books_options
def list_id_tags(as_json: bool, **where: Any) -> None:
    """All id tags on file."""
    with books(**where) as found:
        show(found.id_tags(), COLUMNS, as_json=as_json)


@id_tags.command(name="remove")
@click.argument("id_tag")
@books_options
def remove_id_tag(id_tag: str, **where: Any) -> None:
    """Take ID_TAG off file; what may charge without being on file is `--unknown-id-tags`'s to say."""
    with books(**where) as found:
        found.remove_id_tag(id_tag)
    click.echo(f"{id_tag} removed", err=True)


@id_tags.command(name="import")
@click.argument("file", type=click.File("rb"))
@books_options
def import_id_tags(file: BinaryIO, **where: Any) -> None:
    """Put the id tags of a CSV FILE (- for standard input) on file: all of its lines, or none.

    Its first line names the columns: id_tag, and as wanted status, expires_at, parent, max_active_transactions, type.
    """
    with books(**where) as found:
        count = found.import_id_tags(file.read())
    click.echo(f"{count} id tags imported", err=True)
