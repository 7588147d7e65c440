"""`wattspan replay`: what a log of OCPP messages says, as a report, as spans and as metrics."""

import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from wattspan.cli.output import Column, print_rows, thousands, timestamp
from wattspan.replay.against import play_against
from wattspan.replay.formats import FORMATS, NAMES, by_name
from wattspan.replay.formats.base import Format
from wattspan.replay.html import html_of
from wattspan.replay.parallel import replay_files
from wattspan.replay.reader import STDIN, LogReader, ReadCounts
from wattspan.replay.report import Report
from wattspan.replay.run import Options, merged

CHARGE_POINTS = (
    Column("charge point", "cp_id", priority=0),
    Column("version", "version", priority=4),
    Column("vendor", "vendor", priority=3),
    Column("model", "model", priority=2),
    Column("connections", "connections", priority=5),
    Column("boots", "boots", priority=6),
    Column("sessions", "sessions", priority=0),
    Column("energy", "energy_wh", thousands("Wh"), priority=0),
    Column("faults", "faults", priority=1),
)
SESSIONS = (
    Column("charge point", "cp_id", priority=0),
    Column("connector", "connector_id", priority=4),
    Column("id tag", "id_tag", priority=3),
    Column("began", "began_at", timestamp, priority=0),
    Column("ended", "ended_at", timestamp, priority=2),
    Column("energy", "energy_wh", thousands("Wh"), priority=0),
    Column("reason", "reason", priority=5),
    Column("line", "where", priority=6),
)
FINDINGS = (
    Column("charge point", "cp_id", priority=0),
    Column("finding", "text", priority=0),
    Column("count", "count", priority=0),
    Column("first line", "first_where", priority=0),
)
ANSWERS = (
    Column("message", "action", priority=0),
    Column("answered by", "answered_by", priority=0),
    Column("count", "count", priority=0),
    Column("mean", "mean_s", lambda value: f"{value} s", priority=0),
    Column("slowest", "slowest_s", lambda value: f"{value} s", priority=0),
    Column("slowest line", "slowest_where", priority=1),
)


DIFFERENCES = (
    Column("charge point", "cp_id", priority=0),
    Column("difference", "difference", priority=0),
    Column("count", "count", priority=0),
    Column("first line", "first_where", priority=0),
)


class Zone(click.ParamType):  # type: ignore[type-arg]  # not generic at run time
    """A time zone by its name."""

    name = "zone"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        """Return the zone. Fails for a name that the system does not know."""
        try:
            return value if isinstance(value, ZoneInfo) else ZoneInfo(str(value))
        except (ZoneInfoNotFoundError, ValueError):
            self.fail(f"{value!r} is no time zone; an example is Europe/Berlin", param, ctx)


def _formats(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        for each in FORMATS:
            click.echo(f"{each.name:<12}  {each.description}")
        ctx.exit()


@click.command(name="replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--format", "format_name", type=click.Choice(NAMES), help="Format of the files; guessed if not given.")
@click.option("--formats", is_flag=True, is_eager=True, expose_value=False, callback=_formats, help="List the formats.")
@click.option("--time-zone", type=Zone(), default="UTC", help="Time zone of times without an offset.")
@click.option("--cp", "cp_ids", multiple=True, help="Only this charge point; may be given several times.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object, with meter curves.")
@click.option(
    "--html", "html_path", type=click.Path(dir_okay=False), help="Write the report to a file, as one HTML page."
)
@click.option(
    "--otlp", is_flag=True, help="Export spans and metrics, with the times of the log, as the OTEL_* variables say."
)
@click.option(
    "--openmetrics",
    "openmetrics_path",
    type=click.Path(dir_okay=False),
    help="Write samples for `promtool tsdb create-blocks-from openmetrics`.",
)
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=1.0),
    default=60.0,
    help="Seconds of the log between two samples.",
)
@click.option(
    "--against", "against_url", help="Play the charge points' side to a central system, and compare its answers."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0.0),
    default=0.0,
    help="Pace of --against: 1 as in the log; 0 as fast as possible.",
)
@click.option("--unmasked", is_flag=True, help="Show id tags in full.")
def replay_command(  # noqa: PLR0913, PLR0917  one argument an option
    files: tuple[str, ...],
    format_name: str | None,
    time_zone: ZoneInfo,
    cp_ids: tuple[str, ...],
    as_json: bool,
    html_path: str | None,
    otlp: bool,
    openmetrics_path: str | None,
    interval_s: float,
    against_url: str | None,
    speed: float,
    unmasked: bool,
) -> None:
    """Read logs of OCPP messages and report sessions, energy and what is odd.

    FILES are logs of a central system or a charge point, also compressed (.gz); "-" is standard input. Several files
    are merged by time. Lines that cannot be read are counted and never end the replay.

    With --against, the requests of the charge points are sent to another central system, with its own transaction ids,
    and the report says where its answers differ from those of the log. URL: ws://host/path/{cp_id}.
    """
    if against_url is not None:
        _play_against(
            against_url, files, by_name(format_name) if format_name else None, time_zone, speed, as_json=as_json
        )
        return
    with ExitStack() as exit_stack:
        openmetrics: IO[str] | None = None
        if openmetrics_path is not None:
            openmetrics = exit_stack.enter_context(Path(openmetrics_path).open("w", encoding="utf-8"))
        options = Options(
            files=files,
            format=None if format_name is None else by_name(format_name),
            zone=time_zone,
            cp_ids=frozenset(cp_ids),
            otlp=otlp,
            openmetrics=openmetrics,
            interval_s=interval_s,
            curves=as_json or html_path is not None,
            masked=not unmasked,
        )
        report = replay_files(options, _Progress(files))
    if html_path is not None:
        Path(html_path).write_text(html_of(report, ", ".join(Path(file).name for file in files)), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        _print(report)


def _play_against(
    url: str, files: tuple[str, ...], format_: Format | None, zone: ZoneInfo, speed: float, *, as_json: bool
) -> None:
    reader = LogReader(format_=format_, zone=zone)
    comparison = asyncio.run(play_against(url, merged(reader, files), speed=speed))
    rows = [
        {"cp_id": each.cp_id, "difference": each.detail, "count": each.count, "first_where": each.where}
        for each in comparison.differences.values()
    ]
    if as_json:
        summary = {"calls": comparison.calls, "equal": comparison.equal, "commands": comparison.commands}
        click.echo(json.dumps(summary | {"differences": rows}, ensure_ascii=False))
        return
    click.echo(f"{comparison.calls:,} requests sent, {comparison.equal:,} answers as in the log")
    if comparison.commands:
        click.echo(f"{comparison.commands:,} commands received")
    if rows:
        print_rows(rows, DIFFERENCES, as_json=False)


class _Progress:
    """Shows on a terminal how much was read."""

    def __init__(self, files: tuple[str, ...]) -> None:
        self._total = 0 if STDIN in files else sum(Path(file).stat().st_size for file in files)
        self._is_shown = sys.stderr.isatty()

    def __call__(self, counts: ReadCounts) -> None:
        if self._is_shown:
            share = f" of {self._total / 1e6:,.0f}" if self._total else ""
            click.echo(f"\r{counts.bytes / 1e6:,.0f}{share} MB\033[K\r", nl=False, err=True)


def _print(report: Report) -> None:
    files = report.files
    for name, format_name in files["formats"].items():
        click.echo(f"{name}: {format_name}")
    if files["began_at"] is None:
        click.echo("no messages")
        return
    click.echo(
        f"{files['lines']:,} lines, {files['messages']:,} messages, "
        f"{timestamp(files['began_at'])} to {timestamp(files['ended_at'])}"
    )
    if files["messages_without_time"]:
        click.echo(f"{files['messages_without_time']:,} messages have no time of their own; an earlier time is assumed")
    if files["unreadable_lines"]:
        click.echo(f"{files['unreadable_lines']:,} lines could not be read, among them:")
        for each in files["first_unreadable"]:
            click.echo(f"  {each['file']}:{each['line']}: {each['reason']}")
    answers = [
        each | {"answered_by": "central system" if each["direction"] == "in" else "charge point"}
        for each in report.answers
    ]
    tables = (
        ("Charge points", report.charge_points, CHARGE_POINTS),
        ("Sessions", report.sessions, SESSIONS),
        ("Answers", answers, ANSWERS),
        ("Findings", report.findings, FINDINGS),
    )
    for heading, rows, columns in tables:
        if rows:
            click.echo(f"\n{heading}")
            print_rows(rows, columns, as_json=False)
    if not report.findings:
        click.echo("\nNothing odd was found.")
