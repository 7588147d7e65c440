"""`wattspan cp`: charge points, who may connect, their state, and commands to them."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from wattspan.cli.api_client import Json, quote_segment
from wattspan.cli.backends import api_options, open_client, open_registry, registry_options
from wattspan.cli.help import DescribedOption, SectionedCommand
from wattspan.cli.output import Column, json_option, print_fields, print_rows, thousands, timestamp, yes_no

NOT_ACCEPTED = 3
"""Exit code if the charge point answered, but did not accept the command."""


def _signing_requests(value: object) -> str:
    """Return the states of signing requests, each with its reason and the time of the next try."""
    requests = value if isinstance(value, list) else []
    texts = []
    for each in requests:
        next_try = each["next_try_at"] and f"next try {timestamp(each['next_try_at'])}"
        parts = (each["certificate_type"], each["state"], each["reason"], next_try)
        texts.append(" ".join(part for part in parts if part))
    return "; ".join(texts)


COLUMNS = (
    Column("id", "cp_id", priority=0),
    Column("connected", "connected", yes_no, priority=1),
    Column("status", "status", priority=1),
    Column("registered", "registered_at", timestamp, priority=8),
    Column("credentials", "has_credentials", yes_no, priority=6),
    Column("profile", "security_profile", priority=9),
    Column("charging", "transactions", priority=2),
    Column("power", "power_w", thousands("W"), priority=3),
    Column("vendor", "vendor", priority=7),
    Column("model", "model", priority=7),
    Column("firmware", "firmware", priority=10),
    Column("protocol", "protocol", priority=5),
    Column("last message", "last_message_at", timestamp, priority=4),
)
DETAILS = (
    *COLUMNS,
    Column("name", "name"),
    Column("location", "location"),
    Column("note", "note"),
    Column("serial number", "serial_number"),
    Column("next profile", "pending_security_profile"),
    Column("certificate", "signing_requests", _signing_requests),
    Column("known since", "known_since", timestamp),
    Column("last heartbeat", "last_heartbeat_at", timestamp),
    Column("boots", "boots"),
    Column("disconnects", "disconnects"),
    Column("sessions", "transactions_total"),
    Column("energy", "energy_total_wh", thousands("Wh")),
)
CONNECTORS = (
    Column("connector", "connector_id", priority=0),
    Column("status", "status", priority=0),
    Column("error", "error_code", priority=1),
    Column("power", "power_w", thousands("W"), priority=2),
    Column("current", "current_a", "{} A".format, priority=4),
    Column("limit", "limit_a", "{} A".format, priority=5),
    Column("energy", "energy_wh", thousands("Wh"), priority=3),
    Column("transaction", "transaction", priority=1),
)


@click.group(name="cp")
def charge_points() -> None:
    """Manage charge points and send commands to them."""


@charge_points.command(name="add", cls=SectionedCommand)
@click.argument("cp_id")
@click.option("--password", help="Password of your own. Without it, a strong one is generated and printed once.")
@click.option("--no-password", is_flag=True, help="Let it connect without a password.")
@click.option(
    "--profile",
    type=click.IntRange(0, 3),
    help="Lowest OCPP security profile accepted: 1 password, 2 password over TLS, 3 client certificate.",
)
@registry_options
def add_charge_point(cp_id: str, password: str | None, no_password: bool, profile: int | None, **source: Any) -> None:
    """Register the charge point CP_ID, or change its password."""
    if password is not None and no_password:
        raise click.UsageError("--password and --no-password cannot be used together")
    with open_registry(**source) as registry:
        generate = password is None and not no_password
        is_new, generated = registry.add_charge_point(cp_id, password, generate=generate, security_profile=profile)
    click.echo(f"{cp_id} {'added' if is_new else 'changed'}", err=True)
    if generated is not None:
        click.echo(generated)


@charge_points.command(name="edit", cls=SectionedCommand)
@click.argument("cp_id")
@click.option(
    "--profile",
    type=click.IntRange(0, 3),
    help="Lowest OCPP security profile accepted; 0: the server's minimum. It rises by itself and is lowered only here.",
)
@click.option(
    "--serial-number", help="Serial number that its client certificate may name instead of CP_ID; empty: none."
)
@registry_options
def edit_charge_point(cp_id: str, profile: int | None, serial_number: str | None, **source: Any) -> None:
    """Change the fields of the charge point CP_ID that are given."""
    fields = {"security_profile": profile, "registered_serial": serial_number}
    given = {name: value for name, value in fields.items() if value is not None}
    if not given:
        raise click.UsageError("nothing to change; see --help")
    with open_registry(**source) as registry:
        registry.change_charge_point(cp_id, given)
    click.echo(f"{cp_id} changed", err=True)


@charge_points.command(name="list", cls=SectionedCommand)
@json_option
@registry_options
def list_charge_points(as_json: bool, **source: Any) -> None:
    """List all charge points.

    A server adds their current state.
    """
    with open_registry(**source) as registry:
        print_rows(registry.charge_points(), COLUMNS, as_json=as_json)


@charge_points.command(name="remove", cls=SectionedCommand)
@click.argument("cp_id")
@registry_options
def remove_charge_point(cp_id: str, **source: Any) -> None:
    """Decommission CP_ID: it may no longer connect, and its metrics end. Its transactions are kept."""
    with open_registry(**source) as registry:
        registry.remove_charge_point(cp_id)
    click.echo(f"{cp_id} removed", err=True)


@charge_points.command(name="show")
@click.argument("cp_id")
@json_option
@api_options
def show_charge_point(cp_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """Show the current state of CP_ID and its connectors."""
    with open_client(url, token) as client:
        charge_point: Json = client.request("GET", f"/charge-points/{quote_segment(cp_id)}")
    print_fields(charge_point, DETAILS, as_json=as_json)
    if not as_json:
        click.echo()
        print_rows(charge_point["connectors"], CONNECTORS, as_json=False)


@charge_points.command(name="command")
@click.argument("cp_id")
@click.argument("action", required=False)
@click.argument("payload", required=False, default="{}")
@click.option(
    "--timeout",
    "timeout_s",
    cls=DescribedOption,
    type=click.FloatRange(1, 300),
    shown_default="the server's",
    help="Seconds to wait for the answer.",
)
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
    """Send the OCPP command ACTION to CP_ID.

    Without ACTION, the commands that the charge point supports are listed.

    PAYLOAD is JSON in the form of the charge point's OCPP version; `-` reads it from standard input, @FILE from a file.
    If the charge point answers but does not accept the command, the exit code is 3.
    """
    path = f"/charge-points/{quote_segment(cp_id)}/commands"
    with open_client(url, token) as client:
        if action is None:
            for name in client.request("GET", path)["commands"]:
                click.echo(name)
            return
        params = {} if timeout_s is None else {"timeout_s": timeout_s}
        body = _read_payload(payload)
        answer: Json = client.request("POST", f"{path}/{quote_segment(action)}", json=body, params=params)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        status = answer["status"] or "answered"
        click.echo(f"{status} in {answer['duration_s']:.3f} s, trace {answer['trace_id']}", err=True)
        click.echo(json.dumps(answer["payload"], indent=2))
    if not answer["accepted"]:
        ctx.exit(NOT_ACCEPTED)


def _read_payload(argument: str) -> Json:
    try:
        if argument == "-":
            argument = sys.stdin.read()
        elif argument.startswith("@"):
            argument = Path(argument[1:]).read_text(encoding="utf-8")
        payload = json.loads(argument)
    except OSError as exc:
        raise click.UsageError(f"payload: cannot be read: {exc}") from exc
    except ValueError as exc:
        raise click.UsageError(f"payload: is not valid JSON: {exc}") from exc
    if not isinstance(payload, dict):
        raise click.UsageError('payload: must be a JSON object, such as \'{"type": "Soft"}\'')
    return payload
