"""`wattspan demo`: a central system with a small simulated fleet."""

import asyncio
import socket
from pathlib import Path
from time import time
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wattspan.api.access.auth_service import FIRST_ADMIN
from wattspan.api.access.rights import Role
from wattspan.app import CentralSystem
from wattspan.cli.help import DescribedOption
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.process import run_until_stopped
from wattspan.cli.serve import print_addresses
from wattspan.cli.simulate import run_simulation, showing
from wattspan.csms.security.passwords import generate_password
from wattspan.domain.model import ChargePoint, Connector
from wattspan.settings import Settings
from wattspan.simulator import ArrivalPattern, FaultRates, Simulation
from wattspan.store.queries import users as user_queries
from wattspan.store.records import User
from wattspan.telemetry.logs import setup_logging

DATABASE = "wattspan-demo.db"
LOG_LEVEL = "warning"
TIME_FACTOR = 60.0
"""One second is a minute of the simulation: a session takes a minute or two."""
FAULTS = FaultRates(drop=0.05, error=0.03, repeat=0.05)
ARRIVALS = ArrivalPattern(sessions_per_day=24.0, busy_at_start=0.6, stay_s=(1_200.0, 7_200.0), meter_interval_s=120.0)
SHOWN_ROWS = 24


@click.command()
@click.option("--charge-points", type=click.IntRange(1, 2_000), default=8, help="Number of charge points.")
@click.option(
    "--duration",
    cls=DescribedOption,
    type=click.FloatRange(0, min_open=True),
    shown_default="until Ctrl-C",
    help="Seconds to run.",
)
@settings_options(
    *("port", "metrics_port", "api_port", "database", "log_level", "log_format"),
    defaults={"database": DATABASE, "log_level": LOG_LEVEL},
    sections={},
)
def demo(charge_points: int, duration: float | None, **options: Any) -> None:
    """Run a central system with a small simulated fleet.

    The charge points charge sixty times faster than in reality. The address of the console and a login are printed.
    Without port options, a free port is used where a default port is taken.
    """
    settings = _settings(options)
    setup_logging(settings)

    async def main(stop: asyncio.Event) -> None:
        async with CentralSystem(settings) as csms:
            login = await _login_line(csms, settings)
            csms.first_password = None
            print_addresses(settings, csms)
            click.echo(login)
            simulation = Simulation(
                url=f"ws://127.0.0.1:{csms.port}/ws",
                charge_points=charge_points,
                time_factor=TIME_FACTOR,
                faults=FAULTS,
                arrivals=ARRIVALS,
                prefix="DEMO",
                duration_s=duration,
            )
            async with showing(lambda: _table(csms, login), lambda: _summary(csms)):
                await run_simulation(simulation, stop)
        click.echo(f"{_summary(csms)}; saved in {Path(settings.database).name}")

    run_until_stopped(main)


def _settings(options: dict[str, Any]) -> Settings:
    """Return the settings: loopback, a database of its own, and a free port where a default one is taken."""
    chosen = read_settings(options)
    own: dict[str, Any] = {
        "host": "127.0.0.1",
        "metrics_host": "127.0.0.1",
        "api_host": "127.0.0.1",
        "log_level": options["log_level"] or LOG_LEVEL,
    }
    if chosen.database == Settings.model_fields["database"].default:
        own["database"] = DATABASE
    for name in ("port", "metrics_port", "api_port"):
        if getattr(chosen, name) == Settings.model_fields[name].default and _is_taken(getattr(chosen, name)):
            own[name] = 0
    return read_settings({**options, **own})


async def _login_line(csms: CentralSystem, settings: Settings) -> str:
    """Return how to log in. The demo's own database gets a new password each run, so that it can always be shown."""
    password = csms.first_password
    if password is None and settings.admin_password is None and settings.database == DATABASE:
        password, stored = generate_password()
        await csms.store.do(_set_admin_password, stored)
    known = "the password it has" if password is None else f"password {password}"
    return f"open {csms.api_url()}/ and log in as {FIRST_ADMIN}, {known}"


def _set_admin_password(connection: Any, stored: str) -> None:
    fields = {"password": stored, "role": Role.ADMIN.value, "disabled": False}
    if user_queries.change_user(connection, FIRST_ADMIN, fields, lambda _: None) is None:
        user_queries.add_user(
            connection, User(name=FIRST_ADMIN, role=Role.ADMIN.value, password=stored, created_ts=time())
        )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _summary(csms: CentralSystem) -> str:
    fleet = csms.fleet.charge_points.values()
    connected = sum(cp.connected for cp in fleet)
    sessions = sum(cp.tx_total for cp in fleet)
    charging = sum(len(cp.transactions) for cp in fleet)
    energy_kwh = sum(cp.energy_total_wh for cp in fleet) / 1000
    return f"{connected} connected, {charging} charging, {sessions} sessions, {energy_kwh:.1f} kWh delivered"


def _table(csms: CentralSystem, login: str) -> RenderableType:
    table = Table("charge point", "", "status", "power", "this session", "sessions", "delivered", title=_summary(csms))
    for cp in sorted(csms.fleet.charge_points.values(), key=lambda cp: cp.cp_id):
        for connector in sorted(cp.connectors.values(), key=lambda connector: connector.connector_id):
            if connector.connector_id != "0" and table.row_count < SHOWN_ROWS:
                table.add_row(*_row(cp, connector))
    return Group(table, Text(login), "Ctrl-C stops it")


def _row(cp: ChargePoint, connector: Connector) -> tuple[str, ...]:
    transaction = connector.transaction
    return (
        cp.cp_id if cp.connected else f"[dim]{cp.cp_id}[/dim]",
        connector.connector_id,
        connector.status or "",
        f"{(connector.power_w or 0) / 1000:.1f} kW" if transaction else "",
        f"{transaction.meter.energy_wh / 1000:.2f} kWh" if transaction else "",
        str(cp.tx_total),
        f"{cp.energy_total_wh / 1000:.1f} kWh",
    )
