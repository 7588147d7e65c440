"""`wattspan export`: sessions, readings, messages, the audit log, id tags and monthly summaries as files."""

from datetime import UTC, datetime
from typing import BinaryIO

import click

from wattspan.cli.api_client import quote_segment
from wattspan.cli.backends import api_options, open_client
from wattspan.cli.help import TIME, TIME_METAVAR, DescribedOption

KINDS = ("sessions", "readings", "messages", "audit", "id-tags", "monthly")


@click.command(name="export")
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.option("--format", "how", type=click.Choice(("csv", "jsonl")), default="csv", help="Format of the rows.")
@click.option("--cp", "cp_ids", multiple=True, help="Only this charge point. May be repeated.")
@click.option("--site", "site_ids", multiple=True, help="Only charge points of this site. May be repeated.")
@click.option("--from", "from_at", type=TIME, metavar=TIME_METAVAR, help="Only rows from this time (UTC) on.")
@click.option("--until", "until_at", type=TIME, metavar=TIME_METAVAR, help="Only rows before this time (UTC).")
@click.option("--month", metavar="YYYY-MM", help="The month of a monthly summary.")
@click.option(
    "--by", type=click.Choice(("site", "tag_group", "charge_point")), default="site", help="Rows of a monthly summary."
)
@click.option(
    "--output",
    cls=DescribedOption,
    type=click.File("wb", lazy=True),
    default="-",
    shown_default="standard output",
    help="The file to write.",
)
@api_options
def export(  # noqa: PLR0913, PLR0917  one argument an option
    kind: str,
    how: str,
    cp_ids: tuple[str, ...],
    site_ids: tuple[str, ...],
    from_at: datetime | None,
    until_at: datetime | None,
    month: str | None,
    by: str,
    output: BinaryIO,
    url: str | None,
    token: str | None,
) -> None:
    """Export sessions, readings, messages and other records.

    KIND is `sessions`, `readings`, `messages`, `id-tags`, `audit` (the audit log), or `monthly` (the summary of a
    month). `messages` are those of one charge point, as JSON Lines that `wattspan replay` reads.
    """
    params: dict[str, str | list[str]] = {"format": how}
    for name, values in (("cp_id", cp_ids), ("site_id", site_ids)):
        if values:
            params[name] = list(values)
    for name, at in (("from_at", from_at), ("until_at", until_at)):
        if at is not None:
            params[name] = at.replace(tzinfo=UTC).isoformat()
    path = f"/exports/{kind}"
    if kind == "monthly":
        if month is None:
            raise click.UsageError("a monthly summary needs --month")
        params |= {"month": month, "by": by}
    elif kind == "messages":
        if len(cp_ids) != 1:
            raise click.UsageError("messages need one --cp")
        path = f"/charge-points/{quote_segment(cp_ids[0])}/message-history/download"
    with open_client(url, token) as client:
        for chunk in client.download(path, params):
            output.write(chunk)
