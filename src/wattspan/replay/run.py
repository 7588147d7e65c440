"""Runs a replay: connects reader, player and outputs. It owns their order; each part knows none of the others."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import IO
from zlib import crc32

from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.replay.formats.base import Format
from wattspan.replay.openmetrics import OpenMetricsWriter
from wattspan.replay.player import Player
from wattspan.replay.reader import LogReader, ReadCounts
from wattspan.replay.records import Located
from wattspan.replay.report import Report, report_of
from wattspan.replay.telemetry import by_otlp, without_export
from wattspan.telemetry.families import State
from wattspan.telemetry.histogram import Histograms

PROGRESS_RECORDS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to read and what to make of it. `cp_ids` empty: all charge points. `openmetrics` None: no samples."""

    files: Sequence[str]
    format: Format | None = None
    zone: tzinfo = UTC
    cp_ids: frozenset[str] = frozenset()
    otlp: bool = False
    openmetrics: IO[str] | None = None
    interval_s: float = 60.0
    curves: bool = False
    masked: bool = True
    share: tuple[int, int] = (0, 1)
    """(number, count): only this part of the charge points."""


def replay(options: Options, progress: Callable[[ReadCounts], None] = lambda _: None) -> Report:
    """Read the files, play them, and return the report. Several files are merged by time.

    `progress` is called now and then with what was read so far. Raises LogError and ExportFailed.
    """
    fleet, counters = Fleet(assigns_ids=False, keeps_readings=False), ServerCounters(started_ts=0.0)
    now_ts = 0.0
    state = State(fleet=fleet, counters=counters, histograms=Histograms(), clock=lambda: now_ts)
    reader = LogReader(format_=options.format, zone=options.zone)
    samples = (
        OpenMetricsWriter(options.openmetrics, state, options.interval_s) if options.openmetrics is not None else None
    )
    make_telemetry = by_otlp if options.otlp else without_export
    telemetry = make_telemetry(state, lambda: round(now_ts * 1e9))
    export_ts: float | None = None

    def on_time(record_ts: float) -> None:
        nonlocal now_ts, export_ts
        if samples is not None:
            samples.on_time(record_ts)
        if options.otlp:
            if export_ts is None:
                counters.started_ts, export_ts = record_ts, record_ts + options.interval_s
            elif record_ts >= export_ts:
                telemetry.export_metrics()
                export_ts = record_ts + options.interval_s
        now_ts = record_ts

    plays = _selection(options)
    player = Player(fleet, counters, telemetry.recorder, keeps_curves=options.curves, on_time=on_time)
    for count, located in enumerate(merged(reader, options.files), 1):
        if plays(located.record.cp_id):
            player.record(located)
        if count % PROGRESS_RECORDS == 0:
            progress(reader.counts)
    player.finish()
    telemetry.export_metrics()
    telemetry.finish()
    if samples is not None:
        samples.finish(player.now_ts)
    return report_of(player, reader.counts, masked=options.masked, curves=options.curves)


def _selection(options: Options) -> Callable[[str], bool]:
    """Return whether a charge point is played."""
    index, count = options.share

    @lru_cache(maxsize=4096)
    def plays(cp_id: str) -> bool:
        chosen = not options.cp_ids or cp_id in options.cp_ids
        return chosen and crc32(cp_id.encode(errors="replace")) % count == index

    return plays


def merged(reader: LogReader, files: Sequence[str]) -> Iterator[Located]:
    """Yield the records of all files by time; one file's records stay in their order."""
    if len(files) == 1:
        return reader.read(files[0])
    return heapq.merge(*(reader.read(file) for file in files), key=lambda located: located.record.ts)
