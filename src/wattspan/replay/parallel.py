"""Replays large files on several cores: each process reads all lines and plays its share of the charge points.

Of the lines of other processes' charge points, a process reads time and charge point only, where the format allows it:
charge points depend on each other by the clock of the log alone.
It owns the division; `report` puts the shares together.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from wattspan.replay.files import STDIN
from wattspan.replay.reader import ReadCounts
from wattspan.replay.report import Report, Share, report_of
from wattspan.replay.run import Options, play_share, replay

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
        return report_of([share.result() for share in shares])


def _processes(options: Options) -> int:
    if options.otlp or options.openmetrics is not None or STDIN in options.files:
        return 1
    if sum(Path(file).stat().st_size for file in options.files) < LARGE_BYTES:
        return 1
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MAX_PROCESSES)


def _start(read: "Synchronized[int]") -> None:
    global _bytes_read  # noqa: PLW0603  a worker has one
    _bytes_read = read


def _share(options: Options, index: int, processes: int) -> Share:
    def show(counts: ReadCounts) -> None:
        if index == 0 and _bytes_read is not None:
            _bytes_read.value = counts.bytes

    return play_share(replace(options, share=(index, processes)), show)


def _show(shares: Sequence[Future[Share]], read: "Synchronized[int]", progress: Callable[[ReadCounts], None]) -> None:
    while wait(shares, timeout=PROGRESS_S).not_done:
        progress(ReadCounts(bytes=read.value))
