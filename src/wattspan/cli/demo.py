"""`wattspan demo`: a central system with a small simulated fleet."""

import asyncio
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
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
from wattspan.cli.demo_past import HARDWARE, STEP_S, Past, PastChargePoint
from wattspan.cli.demo_troubles import run_faulted, run_flapping
from wattspan.cli.help import DescribedOption
from wattspan.cli.options import read_settings, settings_options
from wattspan.cli.process import run_until_stopped
from wattspan.cli.serve import print_addresses
from wattspan.cli.simulate import run_simulation, showing
from wattspan.csms.security.passwords import generate_password
from wattspan.domain.model import ChargePoint, Connector
from wattspan.settings import Settings
from wattspan.simulator import MIX, ArrivalPattern, FaultRates, InitialStates, Simulation
from wattspan.simulator.simulation import ID_TAGS
from wattspan.store.queries import charge_points as charge_point_queries
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.queries import sites as site_queries
from wattspan.store.queries import users as user_queries
from wattspan.store.queries.sites import Site
from wattspan.store.records import IdTag, User
from wattspan.telemetry.logs import setup_logging

DATABASE = "wattspan-demo.db"
LOG_FILE = "wattspan-demo.log"
PREFIX = "DEMO"
LOG_LEVEL = "warning"
FAULTS = FaultRates(drop=0.05, error=0.03, repeat=0.05)
ARRIVALS = ArrivalPattern(
    sessions_per_day=12.0, busy_at_start=0.5, stay_s=(1_200.0, 9_000.0), meter_interval_s=10.0, quietest=0.4
)
READING_S, READING_OF_MANY_S = 120.0, 300.0
"""Between two readings of a past session, of few and of many charge points."""
FEW = 20
SHOWN_ROWS = 24
FAULTED_S = 9_000.0
"""How long ago the faulted charge point reported its fault."""
TAG_GROUPS = ("buses", "residents", "guests")
SITES = (
    Site(site_id="harbour", name="Harbour", address="Quai 7", grid_limit_kw=120.0, labels={"owner": "city"}),
    Site(site_id="depot", name="Bus depot", address="Depot Road 1", grid_limit_kw=150.0, labels={"owner": "city"}),
    Site(site_id="hotel", name="Hotel Alpina", address="Alpine Street 12", grid_limit_kw=110.0),
)


@click.command()
@click.option("--charge-points", type=click.IntRange(1, 2_000), default=8, help="Number of charge points.")
@click.option(
    "--duration",
    cls=DescribedOption,
    type=click.FloatRange(0, min_open=True),
    shown_default="until Ctrl-C",
    help="Seconds to run.",
)
@click.option(
    "--time-factor",
    type=click.FloatRange(0, 10_000, min_open=True),
    default=1.0,
    help="How many times faster than in reality cars charge.",
)
@settings_options(
    *("port", "metrics_port", "api_port", "database", "log_level", "log_format"),
    defaults={"database": DATABASE, "log_level": LOG_LEVEL},
    sections={},
)
def demo(charge_points: int, duration: float | None, time_factor: float, **options: Any) -> None:
    """Run a central system with a small simulated fleet.

    The first run begins with two made-up days of history, three sites, and two charge points in trouble. The address of
    the console and a login are printed. Without port options, a free port is used where a default port is taken.
    """
    settings = _settings(options)
    log_file = None
    if sys.stdout.isatty() and sys.stderr.isatty():
        log_file = _log_file(settings)
        setup_logging(settings, log_file.open("a", encoding="utf-8"))
    else:
        setup_logging(settings)

    async def main(stop: asyncio.Event) -> None:
        async with CentralSystem(settings) as csms:
            login = await _login_line(csms, settings)
            csms.first_password = None
            print_addresses(settings, csms)
            if log_file is not None:
                click.echo(f"log            {log_file}")
            identities = [f"{PREFIX}{number:04}" for number in range(1, charge_points + 3)]
            now_ts = time()
            initial_states = {} if csms.fleet.charge_points else await _record_past(csms, identities, now_ts)
            click.echo(login)
            simulation = Simulation(
                url=f"ws://127.0.0.1:{csms.port}/ws",
                charge_points=charge_points,
                time_factor=time_factor,
                faults=FAULTS,
                arrivals=ARRIVALS,
                prefix=PREFIX,
                hardware=HARDWARE,
                duration_s=duration,
                initial_states=initial_states,
            )
            url, is_new = f"ws://127.0.0.1:{csms.port}/ws", bool(initial_states)
            faulted_ts = now_ts - FAULTED_S if is_new else now_ts
            hardware = [None if is_new else each for _, each in zip(identities, cycle(HARDWARE), strict=False)]
            troubles = [
                asyncio.create_task(run_faulted(url, identities[-2], faulted_ts, hardware[-2])),
                asyncio.create_task(run_flapping(url, identities[-1], now_ts, hardware[-1])),
            ]
            async with showing(lambda: _table(csms, login), lambda: _summary(csms)):
                try:
                    await run_simulation(simulation, stop)
                finally:
                    for trouble in troubles:
                        trouble.cancel()
                    await asyncio.gather(*troubles, return_exceptions=True)
        click.echo(f"{_totals(csms)}; saved in {Path(settings.database).name}")

    run_until_stopped(main)


async def _record_past(csms: CentralSystem, identities: Sequence[str], now_ts: float) -> InitialStates:
    """Record two days before now, and the sites. Return the state of the fleet now, with sessions under way."""
    *usual, faulted, flapping = identities
    past = Past(
        [
            *(PastChargePoint(cp_id=cp_id, version=version) for cp_id, version in zip(usual, cycle(MIX), strict=False)),
            PastChargePoint(cp_id=faulted, faulted_from_s=FAULTED_S),
            PastChargePoint(cp_id=flapping, is_flapping=True),
        ],
        now_ts,
        arrivals=ARRIVALS,
        faults=FAULTS,
        id_tags=ID_TAGS,
        reading_interval_s=READING_S if len(identities) <= FEW else READING_OF_MANY_S,
    )
    await csms.store.do(_add_id_tags_and_sites)  # first, so that the id tags have a last use
    await csms.record_past(past.steps(), STEP_S)
    await csms.store.do(_set_places, identities)
    return past.initial_states


def _add_id_tags_and_sites(connection: Any) -> None:
    for number, id_tag in enumerate(ID_TAGS):
        group = TAG_GROUPS[number % len(TAG_GROUPS)]
        id_tag_queries.put_id_tag(connection, IdTag(id_token=id_tag, tag_group=group))
    for site in SITES:
        site_queries.put_site(connection, replace(site, created_ts=time()), lambda _: None)


def _set_places(connection: Any, identities: Sequence[str]) -> None:
    for number, cp_id in enumerate(identities):
        site = SITES[number % len(SITES)]
        charge_point_queries.change_charge_point(
            connection,
            cp_id,
            {"name": f"{site.name} {number // len(SITES) + 1}", "location": site.address},
            lambda _: None,
        )
        site_queries.put_place(connection, cp_id, site.site_id, {"row": "A" if number % 2 else "B"})


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


def _log_file(settings: Settings) -> Path:
    """Return the file for log lines, which would break the table on a terminal."""
    return Path(LOG_FILE if "://" in settings.database else settings.database).with_suffix(".log")


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
    charging = sum(len(cp.transactions) for cp in fleet)
    return f"{connected} connected, {charging} charging, {_totals(csms)}"


def _totals(csms: CentralSystem) -> str:
    """Return what is true after the end, too, when nothing is connected any more."""
    fleet = csms.fleet.charge_points.values()
    sessions = sum(cp.tx_total for cp in fleet)
    energy_kwh = sum(_delivered_wh(cp) for cp in fleet) / 1000
    return f"{sessions} sessions, {energy_kwh:.1f} kWh delivered"


def _table(csms: CentralSystem, login: str) -> RenderableType:
    table = Table("identity", "", "status", "power", "session", "sessions", "delivered", title=_summary(csms))
    for cp in sorted(csms.fleet.charge_points.values(), key=lambda cp: cp.cp_id):
        for connector in sorted(cp.connectors.values(), key=lambda connector: connector.connector_id):
            if connector.connector_id != "0" and table.row_count < SHOWN_ROWS:
                table.add_row(*_row(cp, connector))
    # the table last, for a terminal that is not high enough shows the beginning
    return Group(Text(login), Text("try: Fleet, a charge point, Start; Alerts; Sites. Ctrl-C stops it"), table)


def _row(cp: ChargePoint, connector: Connector) -> tuple[str, ...]:
    transaction = connector.transaction
    return (
        cp.cp_id if cp.connected else f"[dim]{cp.cp_id}[/dim]",
        connector.connector_id,
        connector.status or "",
        f"{(connector.power_w or 0) / 1000:.1f} kW" if transaction else "",
        f"{transaction.meter.energy_wh / 1000:.2f} kWh" if transaction else "",
        str(cp.tx_total),
        f"{_delivered_wh(cp) / 1000:.1f} kWh",
    )


def _delivered_wh(cp: ChargePoint) -> float:
    """Return the energy of all sessions, also of those that are under way."""
    return cp.energy_total_wh + sum(each.meter.energy_wh - each.booked_wh for each in cp.transactions.values())
