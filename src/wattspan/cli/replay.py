"""`wattspan replay`: what a log of OCPP messages says, as a report, as spans and as metrics."""

import asyncio
import json
import sys
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from wattspan.cli.output import Column, print_rows, thousands, timestamp
from wattspan.replay.against import play_against
from wattspan.replay.files import STDIN
from wattspan.replay.formats import FORMATS, NAMES, by_name
from wattspan.replay.html import html_of
from wattspan.replay.parallel import replay_files
from wattspan.replay.reader import LogReader, ReadCounts
from wattspan.replay.report import Report
from wattspan.replay.run import Options, merged
from wattspan.replay.wording import counted, phases_text

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
    Column("errors", "errors", priority=7),
    Column("phases", "phases", priority=8),
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


class NewFile(click.ParamType):  # type: ignore[type-arg]  # not generic at run time
    """A file to write, which is opened at once: a long replay must not fail at its end."""

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> IO[str]:
        """Return the open file. Fails if it cannot be written."""
        try:
            file = Path(str(value)).open("w", encoding="utf-8")  # noqa: SIM115  the context closes it
        except OSError as fault:
            self.fail(f"{str(value)!r} cannot be written: {fault.strerror}", param, ctx)
        if ctx is not None:
            ctx.call_on_close(file.close)
        return file


class WebSocketUrl(click.ParamType):  # type: ignore[type-arg]  # not generic at run time
    """The address of a central system."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address. Fails if it is none of a WebSocket."""
        try:
            parse_uri(str(value))
        except (InvalidURI, ValueError):
            self.fail(f"{value!r} is no WebSocket URL; an example is ws://csms.example/ocpp/{{cp_id}}", param, ctx)
        return str(value)


def _formats(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        for each in FORMATS:
            click.echo(f"{each.name:<12}  {each.description}")
        ctx.exit()


@click.command(name="replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--format", "format_name", type=click.Choice(NAMES), help="Format of the files. Without it, the format is detected."
)
@click.option("--formats", is_flag=True, is_eager=True, expose_value=False, callback=_formats, help="List the formats.")
@click.option("--time-zone", type=Zone(), default="UTC", help="Time zone of times without an offset.")
@click.option("--cp", "cp_ids", multiple=True, help="Only this charge point. May be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object, with meter curves.")
@click.option("--html", "html", type=NewFile(), metavar="FILE", help="Write the report to a file, as one HTML page.")
@click.option(
    "--otlp", is_flag=True, help="Export spans and metrics, with the times of the log, as the OTEL_* variables say."
)
@click.option(
    "--openmetrics",
    "openmetrics",
    type=NewFile(),
    metavar="FILE",
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
    "--against",
    "against_url",
    type=WebSocketUrl(),
    metavar="URL",
    help="Send the charge points' requests to another central system, and compare its answers.",
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
    html: IO[str] | None,
    otlp: bool,
    openmetrics: IO[str] | None,
    interval_s: float,
    against_url: str | None,
    speed: float,
    unmasked: bool,
) -> None:
    """Read logs of OCPP messages and report sessions, energy and anomalies.

    FILES are logs of a central system or a charge point, also compressed by gzip; "-" is standard input. Several files
    are merged by time. Lines that cannot be read are counted and never end the replay.

    With --against, the requests of the charge points are sent to another central system, with its own transaction ids,
    and the report says where its answers differ from those of the log. URL: ws://host/path/{cp_id}.
    """
    options = Options(
        files=files,
        format=None if format_name is None else by_name(format_name),
        zone=time_zone,
        cp_ids=frozenset(cp_ids),
        otlp=otlp,
        openmetrics=openmetrics,
        interval_s=interval_s,
        curves=as_json or html is not None,
        masked=not unmasked,
    )
    if against_url is not None:
        of_report = {"--otlp": otlp, "--html": html, "--openmetrics": openmetrics, "--unmasked": unmasked}
        for name, value in of_report.items():
            if value:
                raise click.UsageError(f"{name} cannot be combined with --against")
        _play_against(against_url, options, speed, as_json=as_json)
        return
    progress = _Progress(files)
    try:
        report = replay_files(options, progress)
    finally:
        progress.clear()
    if html is not None:
        html.write(html_of(report, ", ".join(Path(file).name for file in files)))
    if as_json:
        sys.stdout.writelines(report.json_parts())
        click.echo()
    else:
        _print(report, options)


def _play_against(url: str, options: Options, speed: float, *, as_json: bool) -> None:
    reader = LogReader(format_=options.format, zone=options.zone)
    chosen = options.cp_ids
    records = merged(reader, options.files)
    wanted = (each for each in records if not chosen or each.record.cp_id in chosen)
    comparison = asyncio.run(play_against(url, wanted, speed=speed))
    rows = [
        {"cp_id": each.cp_id, "difference": each.detail, "count": each.count, "first_where": each.where}
        for each in comparison.differences.values()
    ]
    if as_json:
        summary = {"calls": comparison.calls, "equal": comparison.equal, "commands": comparison.commands}
        click.echo(json.dumps(summary | {"differences": rows}, ensure_ascii=False))
        return
    click.echo(f"{counted(comparison.calls, 'request')} sent, {counted(comparison.equal, 'answer')} as in the log")
    if comparison.commands:
        click.echo(f"{counted(comparison.commands, 'command')} received")
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

    def clear(self) -> None:
        """Take it off the terminal."""
        if self._is_shown:
            click.echo("\033[K", nl=False, err=True)


def _print(report: Report, options: Options) -> None:
    files = report.files
    for name, format_name in files["formats"].items():
        click.echo(f"{name}: {format_name}")
    if files["began_at"] is None:
        _print_no_messages(report, options)
        return
    click.echo(
        f"{counted(files['lines'], 'line')}, {counted(files['messages'], 'message')}, "
        f"{timestamp(files['began_at'])} to {timestamp(files['ended_at'])}"
    )
    if files["repeated_lines"]:
        click.echo(f"{counted(files['repeated_lines'], 'line')} left out as a repetition of the line before")
    if files["messages_without_time"]:
        untimed = counted(files["messages_without_time"], "message")
        click.echo(f"{untimed} without a time: the time in the message or that of the line before is used")
    if files["unreadable_lines"]:
        more = ", among them:" if files["unreadable_lines"] > len(files["first_unreadable"]) else ":"
        click.echo(f"{counted(files['unreadable_lines'], 'line')} could not be read{more}")
        for each in files["first_unreadable"]:
            click.echo(f"  {each['file']}:{each['line']}: {each['reason']}")
    answers = [
        each | {"answered_by": "central system" if each["direction"] == "in" else "charge point"}
        for each in report.answers
    ]
    tables = (
        ("Charge points", report.charge_points, CHARGE_POINTS),
        ("Sessions", [each | {"phases": phases_text(each)} for each in report.sessions], SESSIONS),
        ("Answers", answers, ANSWERS),
        ("Findings", report.findings, FINDINGS),
    )
    for heading, rows, columns in tables:
        if rows:
            click.echo(f"\n{heading}")
            print_rows(rows, columns, as_json=False)
    if not report.findings:
        click.echo("\nNothing odd was found.")


def _print_no_messages(report: Report, options: Options) -> None:
    wanted = f" of {', '.join(sorted(options.cp_ids))}" if options.cp_ids else ""
    hint = "" if options.format is None or wanted else "; the format may be another one: try without --format"
    click.echo(f"{counted(report.files['lines'], 'line')}, no messages{wanted}{hint}")
