"""Replays large files on several cores: each process reads all lines and plays its share of the charge points.

Reading takes a seventh of the time, playing the rest; charge points do not depend on each other. It owns the division
and the merging of reports.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from wattspan.replay.reader import STDIN, ReadCounts
from wattspan.replay.report import Report, Row
from wattspan.replay.run import Options, replay

LARGE_BYTES = 32 << 20
"""A replay of less takes a few seconds; processes would take a second of them to start."""
MAX_PROCESSES = 8
PROGRESS_S = 0.5

_bytes_read: "Synchronized[int] | None" = None
"""In a worker: where it writes how far it has read."""


def replay_files(options: Options, progress: Callable[[ReadCounts], None] = lambda _: None) -> Report:
    """Replay, on several cores where the files are large and nothing is exported. Arguments and errors as `replay`."""
    processes = _processes(options)
    if processes == 1:
        return replay(options, progress)
    context = get_context("spawn")
    read: Synchronized[int] = context.Value("Q", 0)
    with ProcessPoolExecutor(processes, context, initializer=_start, initargs=(read,)) as pool:
        shares = [pool.submit(_share, options, index, processes) for index in range(processes)]
        _show(shares, read, progress)
        return _merged([share.result() for share in shares])


def _processes(options: Options) -> int:
    if options.otlp or options.openmetrics is not None or STDIN in options.files:
        return 1
    if sum(Path(file).stat().st_size for file in options.files) < LARGE_BYTES:
        return 1
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MAX_PROCESSES)


def _start(read: "Synchronized[int]") -> None:
    global _bytes_read  # noqa: PLW0603  a worker has one
    _bytes_read = read


def _share(options: Options, index: int, processes: int) -> Report:
    def show(counts: ReadCounts) -> None:
        if index == 0 and _bytes_read is not None:
            _bytes_read.value = counts.bytes

    return replay(replace(options, share=(index, processes)), show)


def _show(shares: Sequence[Future[Report]], read: "Synchronized[int]", progress: Callable[[ReadCounts], None]) -> None:
    while wait(shares, timeout=PROGRESS_S).not_done:
        progress(ReadCounts(bytes=read.value))


def _merged(reports: Sequence[Report]) -> Report:
    files = dict(reports[0].files)
    files["messages"] = sum(each.files["messages"] for each in reports)
    began, ended = ([each.files[name] for each in reports if each.files[name]] for name in ("began_at", "ended_at"))
    files["began_at"], files["ended_at"] = min(began, default=None), max(ended, default=None)
    return Report(
        files=files,
        charge_points=sorted(_all(each.charge_points for each in reports), key=lambda row: str(row["cp_id"])),
        sessions=sorted(_all(each.sessions for each in reports), key=lambda row: str(row["began_at"])),
        findings=_all(each.findings for each in reports),
        answers=_answers(_all(each.answers for each in reports)),
        findings_left_out=sum(each.findings_left_out for each in reports),
    )


def _all(rows: Iterable[Sequence[Row]]) -> list[Row]:
    return [row for each in rows for row in each]


def _answers(rows: Sequence[Row]) -> list[Row]:
    """Return one row for each direction and action."""
    merged: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row["direction"], row["action"])
        known = merged.get(key)
        if known is None:
            merged[key] = dict(row)
            continue
        count = known["count"] + row["count"]
        known["mean_s"] = round((known["mean_s"] * known["count"] + row["mean_s"] * row["count"]) / count, 3)
        known["count"] = count
        if (row["slowest_s"], -_line(row)) > (known["slowest_s"], -_line(known)):
            known["slowest_s"], known["slowest_where"] = row["slowest_s"], row["slowest_where"]
    return [merged[key] for key in sorted(merged)]


def _line(row: Row) -> int:
    return int(str(row["slowest_where"]).rpartition(":")[2])
