"""`wattspan tag`: id tags, which decide who may charge."""

from datetime import UTC, datetime
from typing import Any, BinaryIO

import click

from wattspan.cli.backends import open_registry, registry_options
from wattspan.cli.help import TIME, TIME_METAVAR, DescribedOption, SectionedCommand
from wattspan.cli.output import Column, comma_separated, json_option, print_rows, timestamp

STATUSES = ("Accepted", "Blocked", "Expired", "Invalid")
COLUMNS = (
    Column("id tag", "id_tag", priority=0),
    Column("type", "type", priority=5),
    Column("status", "status"),
    Column("expires", "expires_at", timestamp, priority=2),
    Column("group", "group", priority=3),
    Column("parent", "parent", priority=3),
    Column("max active", "max_active_transactions", priority=4),
    Column("EVSEs", "evse_ids", comma_separated, priority=6),
)

ERASED = ("id_tags", "transactions", "readings", "reservations", "audit_entries", "other_rows", "files")
"""The counts of an erasure."""


@click.group(name="tag")
def id_tags() -> None:
    """Manage id tags, which decide who may charge."""


@id_tags.command(name="add", cls=SectionedCommand)
@click.argument("id_tag")
@click.option("--status", type=click.Choice(STATUSES), default="Accepted", help="Authorization status.")
@click.option(
    "--expires",
    cls=DescribedOption,
    type=TIME,
    metavar=TIME_METAVAR,
    shown_default="never",
    help="When it expires, in UTC.",
)
@click.option("--parent", help="Parent id tag: the group that it belongs to.")
@click.option(
    "--max-active",
    cls=DescribedOption,
    type=click.IntRange(min=0),
    shown_default="unlimited",
    help="Maximum number of concurrent transactions.",
)
@click.option(
    "--type",
    "kind",
    cls=DescribedOption,
    default="",
    shown_default="any",
    help="Token type of OCPP 2.x, such as ISO14443 or eMAID.",
)
@click.option(
    "--evse",
    "evse_ids",
    cls=DescribedOption,
    type=click.IntRange(min=1),
    multiple=True,
    shown_default="any",
    help="EVSE where it may charge. May be repeated.",
)
@click.option(
    "--group", cls=DescribedOption, default="", shown_default="none", help="Your own group, for lists and reports."
)
@click.option("--note", cls=DescribedOption, default="", shown_default="none", help="A note, such as the owner's name.")
@registry_options
def add_id_tag(  # noqa: PLR0913, PLR0917  one argument an option
    id_tag: str,
    status: str,
    expires: datetime | None,
    parent: str | None,
    max_active: int | None,
    kind: str,
    evse_ids: tuple[int, ...],
    group: str,
    note: str,
    **source: Any,
) -> None:
    """Add ID_TAG, or replace it."""
    tag = {
        "id_tag": id_tag,
        "status": status,
        "expires_at": None if expires is None else expires.replace(tzinfo=UTC).isoformat(),
        "parent": parent,
        "max_active_transactions": max_active,
        "type": kind,
        "evse_ids": list(evse_ids),
        "group": group,
        "note": note,
    }
    with open_registry(**source) as registry:
        registry.put_id_tag(tag)
    click.echo(f"{id_tag}: {status}", err=True)


@id_tags.command(name="list", cls=SectionedCommand)
@json_option
@registry_options
def list_id_tags(as_json: bool, **source: Any) -> None:
    """List all id tags."""
    with open_registry(**source) as registry:
        print_rows(registry.id_tags(), COLUMNS, as_json=as_json)


@id_tags.command(name="remove", cls=SectionedCommand)
@click.argument("id_tag")
@registry_options
def remove_id_tag(id_tag: str, **source: Any) -> None:
    """Remove ID_TAG.

    The setting `unknown_id_tags` decides whether an id tag that is not registered may charge.
    """
    with open_registry(**source) as registry:
        registry.remove_id_tag(id_tag)
    click.echo(f"{id_tag} removed", err=True)


@id_tags.command(name="import", cls=SectionedCommand)
@click.argument("file", type=click.File("rb"))
@registry_options
def import_id_tags(file: BinaryIO, **source: Any) -> None:
    """Add or replace the id tags of the CSV file FILE.

    None is imported if one is invalid. `-` reads standard input.

    The first line names the columns: id_tag and, optionally, status, expires_at, parent, max_active_transactions, type,
    group and note.
    """
    with open_registry(**source) as registry:
        count = registry.import_id_tags(file.read())
    click.echo(f"{count} id tags imported", err=True)


@id_tags.command(name="erase", cls=SectionedCommand)
@click.argument("id_tag")
@json_option
@registry_options
def erase_id_tag(id_tag: str, as_json: bool, **source: Any) -> None:
    """Erase ID_TAG, as personal data, from everything stored.

    This cannot be undone.

    The id tag is removed from the database, from the memory of the server and from the audit log. Logs that charge
    points uploaded and that contain it are deleted. Transactions and reservations are kept under a random pseudonym.
    Exported traces and logs, backups, and the lists in charge points are not reached.

    Only an admin may do it. With --database, no server may use the database.
    """
    with open_registry(**source) as registry:
        erased = registry.erase_id_tag(id_tag)
    if as_json:
        print_rows([erased], (), as_json=True)
        return
    counts = [f"{erased[name]} {name.replace('_', ' ')}" for name in ERASED if erased[name]]
    click.echo(f"erased from {', '.join(counts) or 'nothing: it was not found'}", err=True)
    if counts:
        click.echo(f"rows that are kept have the pseudonym {erased['pseudonym']}", err=True)
    if not erased["compacted"]:
        click.echo("free parts of the database may still hold it; see docs/privacy.md", err=True)
