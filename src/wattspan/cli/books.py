"""`wattspan cp` and `wattspan tag`: who may connect, who may charge. A running server sees it at once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from wattspan.cli.options import read_settings, settings_options
from wattspan.csms.credentials import hash_secret, new_secret
from wattspan.store.store import IdTag, Store

T = TypeVar("T")

STATUSES = ("Accepted", "Blocked", "Expired", "Invalid")


def _with_store(given: dict[str, Any], work: Callable[[Store], Awaitable[T]]) -> T:
    settings = read_settings(given)

    async def main() -> T:
        store = await Store.open(settings.database)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(main())


@click.group(name="cp")
def charge_points() -> None:
    """Charge points: who may connect."""


@charge_points.command(name="add")
@click.argument("cp_id")
@click.option("--password", help="A password of your own; without it a strong one is made and shown, once.")
@click.option("--no-password", is_flag=True, help="Let it connect without credentials.")
@click.option(
    "--profile",
    type=click.IntRange(0, 3),
    help="OCPP security profile that is required: 1 credentials, 2 with TLS, 3 client certificate.",
)
@settings_options("database")
def add_charge_point(cp_id: str, password: str | None, no_password: bool, profile: int | None, **given: Any) -> None:
    """Register CP_ID, or give it new credentials."""
    if password is not None and no_password:
        raise click.UsageError("--password and --no-password exclude each other")
    made = new_secret() if password is None and not no_password else None
    secret = made if password is None else password
    hashed = None if secret is None else hash_secret(secret, machine_made=made is not None)
    is_new = _with_store(given, lambda store: store.add_charge_point(cp_id, hashed, security_profile=profile))
    click.echo(f"{cp_id} {'added' if is_new else 'changed'}", err=True)
    if made is not None:
        click.echo(made)


@charge_points.command(name="list")
@settings_options("database")
def list_charge_points(**given: Any) -> None:
    """All charge points in the books."""
    rows = _with_store(given, lambda store: store.charge_points())
    table = Table("id", "registered", "credentials", "profile", "vendor", "model", "protocol", "last message")
    for row in rows:
        registered = "by itself" if row.registered_ts is None else _time(row.registered_ts)
        secret = "yes" if row.secret else "none"
        table.add_row(
            row.cp_id,
            registered,
            secret,
            str(row.security_profile or ""),
            row.vendor,
            row.model,
            row.protocol,
            _time(row.last_msg_ts),
        )
    Console().print(table)


@charge_points.command(name="remove")
@click.argument("cp_id")
@settings_options("database")
def remove_charge_point(cp_id: str, **given: Any) -> None:
    """Decommission CP_ID: it may not connect and leaves /metrics; its transactions stay in the books."""
    if not _with_store(given, lambda store: store.remove_charge_point(cp_id)):
        raise click.ClickException(f"there is no charge point {cp_id}")
    click.echo(f"{cp_id} removed", err=True)


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
@settings_options("database")
def add_id_tag(
    id_tag: str,
    status: str,
    expires: datetime | None,
    parent: str | None,
    max_active: int | None,
    kind: str,
    evse_ids: tuple[int, ...],
    **given: Any,
) -> None:
    """Put ID_TAG on file, or change it."""
    tag = IdTag(
        id_token=id_tag,
        status=status,
        expiry_ts=None if expires is None else expires.replace(tzinfo=UTC).timestamp(),
        parent=parent,
        max_active_transactions=max_active,
        type=kind,
        evse_ids=evse_ids,
    )
    _with_store(given, lambda store: store.add_id_tag(tag))
    click.echo(f"{id_tag} {status}", err=True)


@id_tags.command(name="list")
@settings_options("database")
def list_id_tags(**given: Any) -> None:
    """All id tags on file."""
    table = Table("id tag", "type", "status", "expires", "parent", "max active", "EVSEs")
    for tag in _with_store(given, lambda store: store.id_tags()):
        most = "" if tag.max_active_transactions is None else str(tag.max_active_transactions)
        evses = ", ".join(map(str, tag.evse_ids))
        table.add_row(tag.id_token, tag.type, tag.status, _time(tag.expiry_ts), tag.parent or "", most, evses)
    Console().print(table)


@id_tags.command(name="remove")
@click.argument("id_tag")
@settings_options("database")
def remove_id_tag(id_tag: str, **given: Any) -> None:
    """Take ID_TAG off file; what may charge without being on file is `--unknown-id-tags`'s to say."""
    if not _with_store(given, lambda store: store.remove_id_tag(id_tag)):
        raise click.ClickException(f"there is no id tag {id_tag}")
    click.echo(f"{id_tag} removed", err=True)


def _time(ts: float | None) -> str:
    return "" if ts is None else datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
