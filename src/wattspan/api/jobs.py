"""Runs jobs: one command to many charge points, at a bounded rate, in waves, until done or stopped.

Every state is stored, so that a job goes on after a restart; commands that were under way then count as failed, because
nobody knows whether they arrived. Each command is a row of the audit log. It owns no command: `Perform` sends them.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from wattspan.csms.commands import CommandResult
from wattspan.csms.core import Spawn
from wattspan.domain import events as ev
from wattspan.errors import NotConnected, StoreError, WattspanError
from wattspan.store.queries import jobs as job_queries
from wattspan.store.queries.jobs import (
    DONE,
    FAILED,
    REJECTED,
    RUNNING,
    STOPPED,
    SUCCEEDED,
    Job,
    Progress,
    Target,
)
from wattspan.store.records import AuditEntry
from wattspan.store.store import Store

log = logging.getLogger(__name__)

MAX_UNDER_WAY = 500
"""Commands of one job whose answer or outcome is awaited at once."""
MIN_JUDGED = 10
"""So many targets of a wave must have ended before its failure share stops it early."""
PROGRESS_S = 0.5
"""The shortest interval between two notices of progress."""
STORE_RETRY_S = 5.0
INTERRUPTED = "the server was restarted; whether the command arrived is not known"
INSTALLED = frozenset({"Installed"})
NOT_INSTALLED = frozenset(
    {
        *("DownloadFailed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature"),
        *("RevokedCertificate", "InstallRebootFailed"),
    }
)

Perform = Callable[[str, str, Mapping[str, Any], float | None], Awaitable[CommandResult]]
"""(cp_id, operation, parameters, timeout_s): sends an operation and returns the answer. Raises WattspanError."""


class Notify(Protocol):
    """Sends a notice to the listeners of the event feed."""

    def __call__(self, name: str, data: Mapping[str, Any], /) -> None: ...


class Jobs:
    """The jobs that run. An `EventSink` for the progress of firmware updates. For the event loop's thread."""

    events: tuple[type[ev.Event], ...] = (ev.FirmwareStatusChanged,)

    def __init__(
        self, store: Store, spawn: Spawn, clock: Callable[[], float], notify: Notify, node: str | None = None
    ) -> None:
        """`node`: the name of this node of a cluster, which runs the jobs that were added to it."""
        self._store = store
        self.node = node or ""
        self._spawn = spawn
        self._clock = clock
        self._notify = notify
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, asyncio.Event] = {}
        self._outcomes: dict[str, tuple[str, asyncio.Future[str]]] = {}
        """The job that waits for the outcome of a charge point's firmware update, and how."""
        self._noticed_s: dict[str, float] = {}

    perform: Perform
    """Set before `resume`."""

    def put(self, event: ev.Event) -> None:
        """End the wait for a firmware update that has succeeded or failed."""
        waiting, status = self._outcomes.get(event.cp_id), str(getattr(event, "status", ""))
        if waiting is not None and not waiting[1].done() and status in INSTALLED | NOT_INSTALLED:
            waiting[1].set_result(status)

    async def resume(self) -> None:
        """Continue the jobs that ran when the server ended. The server starts even if they can't be read."""
        try:
            for job in await self._store.read(job_queries.running_jobs, self.node):
                await self._store.do(job_queries.interrupted, job.job_id, INTERRUPTED)
                self._start(job)
        except StoreError as exc:
            log.warning("jobs are not continued: %s", exc)

    async def add(self, job: Job, cp_ids: Sequence[str]) -> Progress:
        """Store and start a job. Raises StoreError."""
        await self._store.do(job_queries.add_job, job, cp_ids)
        self._start(job)
        return await self._progress(job.job_id)

    async def stop(self, job_id: str) -> bool:
        """Stop a job: commands under way end, no more are sent. Return False if it does not run. Raises StoreError."""
        ended = await self._store.do(job_queries.end_job, job_id, STOPPED, "stopped by hand", self._clock())
        if ended and job_id in self._stops:
            self._stops[job_id].set()
            for waiting_id, waiter in self._outcomes.values():
                if waiting_id == job_id and not waiter.done():
                    waiter.set_result(STOPPED)
        self._notice(job_id, always=True)
        return ended

    async def retry(self, job_id: str) -> int:
        """Run an ended job again for the targets that did not succeed; return their number. Raises StoreError."""
        if job_id in self._tasks:
            return 0
        count = await self._store.do(job_queries.retry_job, job_id)
        if count:
            self._start((await self._progress(job_id)).job)
        return count

    def close(self) -> None:
        """End all tasks; the jobs go on at the next start."""
        for task in self._tasks.values():
            task.cancel()

    async def _progress(self, job_id: str) -> Progress:
        found = await self._store.read(job_queries.progress, job_id)
        assert found is not None  # noqa: S101  jobs are deleted long after their end
        return found

    def _start(self, job: Job) -> None:
        self._stops[job.job_id] = asyncio.Event()
        self._tasks[job.job_id] = self._spawn(self._run(job))

    async def _run(self, job: Job) -> None:
        try:
            state, reason = await self._run_waves(job)
            if state is not None:
                await self._store_surely(job_queries.end_job, job.job_id, state, reason, self._clock())
        except Exception:
            log.exception("job %s ended by an error", job.job_id)
            with contextlib.suppress(StoreError):
                text = "an error of the server; see its log"
                await self._store.do(job_queries.end_job, job.job_id, FAILED, text, self._clock())
        finally:
            del self._tasks[job.job_id], self._stops[job.job_id]
            self._notice(job.job_id, always=True)
            self._noticed_s.pop(job.job_id, None)

    async def _run_waves(self, job: Job) -> tuple[str | None, str]:
        """Return the state and reason in which the job ends; None if it was stopped by hand."""
        waiting = await self._store.read(job_queries.waiting_targets, job.job_id)
        stop = self._stops[job.job_id]
        waves = sorted({each.wave for each in waiting})
        for index, number in enumerate(waves):
            wave = _Wave(job, [each for each in waiting if each.wave == number])
            await self._run_wave(job, wave)
            if stop.is_set():
                return None, ""
            if wave.has_failed(1):
                share = f"{wave.failed} of {wave.ended} in wave {number + 1}"
                return FAILED, f"too many failed: {share}"
            if index + 1 < len(waves):
                await _elapsed(job.wave_pause_s, stop)
                if stop.is_set():
                    return None, ""
        return DONE, ""

    async def _run_wave(self, job: Job, wave: "_Wave") -> None:
        under_way = asyncio.Semaphore(MAX_UNDER_WAY)
        loop, stop = asyncio.get_running_loop(), self._stops[job.job_id]
        next_s = loop.time()
        async with asyncio.TaskGroup() as tasks:
            for target in wave.targets:
                await _elapsed(next_s - loop.time(), stop)
                next_s = max(next_s, loop.time() - 1.0) + 1.0 / job.rate_per_s
                await under_way.acquire()
                if stop.is_set() or wave.has_failed(MIN_JUDGED):
                    under_way.release()
                    break
                task = tasks.create_task(self._one(job, target, wave))
                task.add_done_callback(lambda _task: under_way.release())

    async def _one(self, job: Job, target: Target, wave: "_Wave") -> None:
        began_ts, began_s = self._clock(), time.perf_counter()
        tried = replace(target, state=RUNNING, tries=target.tries + 1, at_ts=began_ts, detail="", trace_id="")
        await self._store_surely(job_queries.put_target, tried)
        state, detail, trace_id = await self._outcome(job, target.cp_id)
        duration_s = time.perf_counter() - began_s
        ended = replace(tried, state=state, detail=detail[:500], duration_s=duration_s, trace_id=trace_id)
        entry = AuditEntry(
            at_ts=self._clock(),
            who=job.created_by,
            auth_method=f"job {job.job_id}",
            action=f"job_{job.operation.replace('-', '_')}",
            target=f"/api/v1/charge-points/{target.cp_id}",
            status=200 if state == SUCCEEDED else 502,
            trace_id=trace_id,
        )
        await self._store_surely(job_queries.put_target, ended, entry)
        wave.ended += 1
        wave.failed += state != SUCCEEDED
        self._notice(job.job_id)

    async def _outcome(self, job: Job, cp_id: str) -> tuple[str, str, str]:
        """Return the state, detail and trace id of one target."""
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if job.outcome_s is not None:
            self._outcomes[cp_id] = (job.job_id, waiter)
        try:
            result = await self.perform(cp_id, job.operation, job.parameters, job.timeout_s)
            if not result.accepted:
                return REJECTED, result.status, result.trace_id
            if job.outcome_s is None:
                return SUCCEEDED, result.status, result.trace_id
            return *await _firmware_outcome(waiter, job.outcome_s), result.trace_id
        except NotConnected:
            return FAILED, "not connected", ""
        except WattspanError as exc:
            return FAILED, str(exc), ""
        finally:
            if self._outcomes.get(cp_id) == (job.job_id, waiter):
                del self._outcomes[cp_id]

    async def _store_surely(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Write, and wait while the store is unavailable."""
        while True:
            try:
                await self._store.do(work, *arguments)
            except StoreError as exc:
                log.warning("a job waits for the store: %s", exc)
                await asyncio.sleep(STORE_RETRY_S)
            else:
                return

    def _notice(self, job_id: str, *, always: bool = False) -> None:
        """Let listeners know that a job has progressed; they read it themselves."""
        now_s = time.monotonic()
        if always or now_s - self._noticed_s.get(job_id, 0.0) >= PROGRESS_S:
            self._noticed_s[job_id] = now_s
            self._notify("JobProgressed", {"job_id": job_id})


async def _elapsed(pause_s: float, stop: asyncio.Event) -> None:
    """Wait for a pause, or until the job is stopped. Other tasks run even if there is no pause."""
    if pause_s <= 0:
        await asyncio.sleep(0)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(pause_s):
            await stop.wait()


async def _firmware_outcome(waiter: "asyncio.Future[str]", limit_s: float) -> tuple[str, str]:
    """Return the state and detail of a target whose update was accepted."""
    try:
        async with asyncio.timeout(limit_s):
            status = await waiter
    except TimeoutError:
        return FAILED, f"no outcome within {limit_s:g} s"
    if status == STOPPED:
        return STOPPED, "the update was accepted; its outcome was not waited for"
    return (SUCCEEDED if status in INSTALLED else FAILED), status


class _Wave:
    """The targets of a wave, and how many have ended."""

    def __init__(self, job: Job, targets: Sequence[Target]) -> None:
        self.targets = targets
        self.ended = 0
        self.failed = 0
        self._limit = job.stop_at_failure_share

    def has_failed(self, least: int) -> bool:
        """Return whether at least so many have ended, and too many of them failed."""
        return self._limit is not None and self.ended >= least and self.failed > self._limit * self.ended
