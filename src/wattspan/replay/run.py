"""Runs a replay: connects reader, player and outputs. It owns their order; each part knows none of the others."""

import gc
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache, partial
from itertools import chain
from typing import IO
from zlib import crc32

from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.replay.formats.base import Format
from wattspan.replay.openmetrics import OpenMetricsWriter
from wattspan.replay.player import MAX_CHARGE_POINTS, Player
from wattspan.replay.reader import LogReader, ReadCounts, changed_ts
from wattspan.replay.records import Located, PassedOver
from wattspan.replay.report import Report, Share, report_of, share_of
from wattspan.replay.telemetry import by_otlp, without_export
from wattspan.telemetry.families import State
from wattspan.telemetry.histogram import Histograms

PROGRESS_RECORDS = 20_000
COLLECT_AFTER = 50_000
"""New objects after which the garbage collector runs."""


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
    return report_of([play_share(options, progress)])


def play_share(options: Options, progress: Callable[[ReadCounts], None] = lambda _: None) -> Share:
    """Read the files, play the charge points of this share, and return what was found. Arguments as `replay`."""
    fleet, counters = Fleet(assigns_ids=False, keeps_readings=False), ServerCounters(started_ts=0.0)
    now_ts = 0.0
    state = State(fleet=fleet, counters=counters, histograms=Histograms(), clock=lambda: now_ts)
    index, count = options.share
    reader = LogReader(format_=options.format, zone=options.zone, is_wanted=partial(_is_of_share, index, count))
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

    needs_time = options.otlp or samples is not None
    player = Player(
        fleet, counters, telemetry.recorder, keeps_curves=options.curves, on_time=on_time if needs_time else None
    )
    with _rare_collections():
        _play(player, merged(reader, options.files), options, lambda: progress(reader.counts))
    player.finish()
    telemetry.export_metrics()
    telemetry.finish()
    if samples is not None:
        samples.finish(player.now_ts)
    return share_of(player, reader.counts, masked=options.masked, curves=options.curves)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector run rarely: playing makes no cycles, and it would go through all that is kept."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _play(player: Player, records: Iterable[Located], options: Options, progress: Callable[[], None]) -> None:
    """Play the records of the chosen charge points. The clock goes on for those that another process plays."""
    index, count = options.share
    chosen = options.cp_ids
    play, pass_over = player.record, player.pass_over
    for number, located in enumerate(records, 1):
        record = located[0]
        cp_id = record.cp_id
        if not chosen or cp_id in chosen:
            if type(record) is PassedOver or not _is_of_share(index, count, cp_id):
                pass_over(record)
            else:
                play(located)
        if number % PROGRESS_RECORDS == 0:
            progress()


@lru_cache(maxsize=MAX_CHARGE_POINTS)
def _is_of_share(index: int, count: int, cp_id: str) -> bool:
    """Return whether the charge point is played by process `index` of `count`."""
    return crc32(cp_id.encode(errors="replace")) % count == index


def merged(reader: LogReader, files: Sequence[str]) -> Iterator[Located]:
    """Yield the records of all files by time; one file's records stay in their order.

    Of records of one time, those of the file that begins first come first: it is the older one of a rotated log. If
    both begin at the same time, it is the one that was written to first.
    """
    if len(files) == 1:
        return reader.read(files[0])
    begun = [(first, rest) for rest in map(reader.read, files) if (first := next(rest, None)) is not None]
    begun.sort(key=lambda each: (_ts(each[0]), changed_ts(each[0].file)))
    return heapq.merge(*(chain([first], rest) for first, rest in begun), key=_ts)


def _ts(located: Located) -> float:
    return located.record.ts
