"""`wattspan cp`: charge points, who may connect, how they are, and commands to them."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from wattspan.cli.client import Json, segment
from wattspan.cli.output import Column, instant, json_option, kilo, show, show_one, yes_no
from wattspan.cli.reach import api_options, books, books_options, client

NOT_ACCEPTED = 3
"""Exit code of a command that the charge point answered, but not with acceptance."""

COLUMNS = (
    Column("id", "cp_id"),
    Column("connected", "connected", yes_no),
    Column("status", "status"),
    Column("registered", "registered_at", instant),
    Column("credentials", "has_credentials", yes_no),
    Column("profile", "security_profile"),
    Column("charging", "transactions"),
    Column("power", "power_w", kilo("W")),
    Column("vendor", "vendor"),
    Column("model", "model"),
    Column("firmware", "firmware"),
    Column("protocol", "protocol"),
    Column("last message", "last_message_at", instant),
)
WHOLE = (
    *COLUMNS,
    Column("name", "name"),
    Column("location", "location"),
    Column("note", "note"),
    Column("serial number", "serial_number"),
    Column("known since", "known_since", instant),
    Column("last heartbeat", "last_heartbeat_at", instant),
    Column("boots", "boots"),
    Column("disconnects", "disconnects"),
    Column("sessions", "transactions_total"),
    Column("energy", "energy_total_wh", kilo("Wh")),
)
CONNECTORS = (
    Column("connector", "connector_id"),
    Column("status", "status"),
    Column("error", "error_code"),
    Column("power", "power_w", kilo("W")),
    Column("current", "current_a", "{} A".format),
    Column("limit", "limit_a", "{} A".format),
    Column("energy", "energy_wh", kilo("Wh")),
    Column("transaction", "transaction"),
)


@click.group(name="cp")
def charge_points() -> None:
    """Charge points: who may connect, how they are, what they are to do."""


@charge_points.command(name="add")
@click.argument("cp_id")
@click.option("--password", help="A password of your own; without it a strong one is made and shown, once.")
@click.option("--no-password", is_flag=True, help="Let it connect without credentials.")
@click.option(
    "--profile",
    type=click.IntRange(0, 3),
    help="OCPP security profile that is required: 1 credentials, 2 with TLS, 3 client certificate.",
)
@books_options
def add_charge_point(cp_id: str, password: str | None, no_password: bool, profile: int | None, **where: Any) -> None:
    """Register CP_ID, or give it new credentials."""
    if password is not None and no_password:
        raise click.UsageError("--password and --no-password exclude each other")
    with books(**where) as found:
        make = password is None and not no_password
        is_new, made = found.add_charge_point(cp_id, password, make=make, security_profile=profile)
    click.echo(f"{cp_id} {'added' if is_new else 'changed'}", err=True)
    if made is not None:
        click.echo(made)


@charge_points.command(name="list")
@json_option
@books_options
def list_charge_points(as_json: bool, **where: Any) -> None:
    """All charge points: as they are now, or as they are in the database."""
    with books(**where) as found:
        show(found.charge_points(), COLUMNS, as_json=as_json)


@charge_points.command(name="remove")
@click.argument("cp_id")
@books_options
def remove_charge_point(cp_id: str, **where: Any) -> None:
    """Decommission CP_ID: it may not connect and leaves /metrics; its transactions stay in the books."""
    with books(**where) as found:
        found.remove_charge_point(cp_id)
    click.echo(f"{cp_id} removed", err=True)


@charge_points.command(name="show")
@click.argument("cp_id")
@json_option
@api_options
def show_charge_point(cp_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """All about CP_ID, as it is now."""
    with client(url, token) as api:
        found: Json = api.ask("GET", f"/charge-points/{segment(cp_id)}")
    show_one(found, WHOLE, as_json=as_json)
    if not as_json:
        click.echo()
        show(found["connectors"], CONNECTORS, as_json=False)


@charge_points.command(name="command")
@click.argument("cp_id")
@click.argument("action", required=False)
@click.argument("payload", required=False, default="{}")
@click.option("--timeout", "timeout_s", type=click.FloatRange(1, 300), help="Seconds for the answer; the server's own.")
@json_option
@api_options
@click.pass_context
def send_command(  # noqa: PLR0913, PLR0917  one argument an option
    ctx: click.Context,
    cp_id: str,
    action: str | None,
    payload: str,
    timeout_s: float | None,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Send ACTION (OCPP's name) to CP_ID; without it, list what it can be sent.

    PAYLOAD is JSON as the charge point's OCPP version has it; - reads it from standard input, @FILE from a file. Exit
    code 3: it answered, and did not accept.
    """
    path = f"/charge-points/{segment(cp_id)}/commands"
    with client(url, token) as api:
        if action is None:
            for name in api.ask("GET", path)["commands"]:
                click.echo(name)
            return
        params = {} if timeout_s is None else {"timeout_s": timeout_s}
        answer: Json = api.ask("POST", f"{path}/{segment(action)}", json=_payload(payload), params=params)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        click.echo(
            f"{answer['status'] or 'answered'} in {answer['duration_s']:.3f} s, trace {answer['trace_id']}", err=True
        )
        click.echo(json.dumps(answer["payload"], indent=2))
    if not answer["accepted"]:
        ctx.exit(NOT_ACCEPTED)


def _payload(given: str) -> Json:
    try:
        if given == "-":
            given = sys.stdin.read()
        elif given.startswith("@"):
            given = Path(given[1:]).read_text(encoding="utf-8")
        payload = json.loads(given)
    except OSError as exc:
        raise click.UsageError(f"the payload can't be read: {exc}") from exc
    except ValueError as exc:
        raise click.UsageError(f"the payload is no JSON: {exc}") from exc
    if not isinstance(payload, dict):
        raise click.UsageError('the payload is a JSON object, like \'{"type": "Soft"}\'')
    return payload
