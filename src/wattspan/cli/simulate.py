"""`wattspan simulate`: virtual charge points against any central system."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from wattspan.cli.help import DescribedOption
from wattspan.cli.process import run_until_stopped
from wattspan.simulator import DIALECTS, MIX, FaultRates, Progress, Simulation

REDRAW_S = 0.5
LINE_S = 10.0
ALL = "mix"


@click.command()
@click.option("--url", required=True, help="Address to connect to, without the identity: ws://HOST:9000/ws")
@click.option("--charge-points", type=click.IntRange(1, 20_000), default=10, help="Number of charge points.")
@click.option("--connectors", type=click.IntRange(1, 20), default=2, help="Number of connectors of each charge point.")
@click.option(
    "--version",
    type=click.Choice([*DIALECTS, ALL]),
    default=ALL,
    help="OCPP version of the charge points; mix gives them each version in turn.",
)
@click.option(
    "--time-factor",
    type=click.FloatRange(0, 10_000, min_open=True),
    default=1.0,
    help="How many times faster than in reality cars charge.",
)
@click.option(
    "--faults",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Rate of dropped connections, repeated messages, late answers, wrong clocks and offline sessions.",
)
@click.option("--seed", type=int, default=0, help="Seed of the random numbers: the same seed gives the same fleet.")
@click.option(
    "--duration",
    cls=DescribedOption,
    type=click.FloatRange(0, min_open=True),
    shown_default="until Ctrl-C",
    help="Seconds to run.",
)
@click.option(
    "--password",
    envvar="WATTSPAN_SIMULATE_PASSWORD",
    show_envvar=True,
    help="Password of every charge point, for Basic authentication.",
)
@click.option("--prefix", default="SIM", help="Prefix of the identities; a number follows it.")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON file for a record of what the charge points did.",
)
def simulate(  # noqa: PLR0913, PLR0917  one argument an option
    url: str,
    charge_points: int,
    connectors: int,
    version: str,
    time_factor: float,
    faults: float,
    seed: int,
    duration: float | None,
    password: str | None,
    prefix: str,
    ledger: Path | None,
) -> None:
    """Run virtual charge points: cars come, charge, taper and leave.

    Ctrl-C ends their sessions and stops. If no charge point can connect at the start, the exit code is 1.
    """
    if not url.startswith(("ws://", "wss://")):
        raise click.UsageError("--url: must begin with ws:// or wss://")
    simulation = Simulation(
        url=url,
        charge_points=charge_points,
        connectors=connectors,
        versions=MIX if version == ALL else (version,),
        seed=seed,
        time_factor=time_factor,
        faults=FaultRates.all(faults),
        password=password,
        duration_s=duration,
        prefix=prefix,
        fail_if_unreachable=True,
    )

    async def main(stop: asyncio.Event) -> None:
        async with showing(lambda: _progress_table(simulation.progress()), lambda: _line(simulation.progress())):
            await run_simulation(simulation, stop)

    run_until_stopped(main)
    if ledger is not None:
        simulation.ledger.dump(ledger)
    click.echo(_line(simulation.progress()))


async def run_simulation(simulation: Simulation, stop: asyncio.Event) -> None:
    """Run the simulation to its end, or until `stop` is set and its sessions have ended."""
    running = asyncio.ensure_future(simulation.run())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        simulation.finish()
        await running
    finally:
        stopping.cancel()
        running.cancel()


@asynccontextmanager
async def showing(table: Callable[[], RenderableType], line: Callable[[], str]) -> AsyncIterator[None]:
    """Show progress while the block runs: a live table on a terminal, a line every ten seconds elsewhere."""
    console = Console(file=sys.stdout)
    show = _redraw(console, table) if console.is_terminal else _repeat(line)
    task = asyncio.ensure_future(show)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _redraw(console: Console, table: Callable[[], RenderableType]) -> None:
    with Live(table(), console=console, auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(REDRAW_S)
            live.update(table(), refresh=True)


async def _repeat(line: Callable[[], str]) -> None:
    while True:
        await asyncio.sleep(LINE_S)
        click.echo(line())


def _line(now: Progress) -> str:
    return (
        f"{now.connected}/{now.charge_points} connected, {now.charging} charging, {now.sessions} sessions, "
        f"{now.energy_wh / 1000:.1f} kWh, {now.errors} errors"
    )


def _progress_table(now: Progress) -> RenderableType:
    table = Table("connected", "charging", "sessions", "energy", "errors", title="virtual charge points")
    table.add_row(
        f"{now.connected} of {now.charge_points}",
        str(now.charging),
        str(now.sessions),
        f"{now.energy_wh / 1000:.1f} kWh",
        str(now.errors),
    )
    return Group(table, "Ctrl-C ends the sessions and stops")
