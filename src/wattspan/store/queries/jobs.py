"""Jobs and their targets. The states are those of `api.jobs`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from wattspan.store.codec import from_json, to_json
from wattspan.store.queries import audit as audit_queries
from wattspan.store.records import AuditEntry
from wattspan.store.schema import tables as t

RUNNING, STOPPED, FAILED, DONE = "running", "stopped", "failed", "done"
"""States of a job. FAILED: it stopped itself, because too many targets failed."""
WAITING, SUCCEEDED, REJECTED = "waiting", "succeeded", "rejected"
"""States of a target beside RUNNING, FAILED and STOPPED."""

_J = t.jobs.c
_T = t.job_targets.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A command to many charge points.

    `node` runs it; "": there is no cluster. `outcome_s`: how long the outcome of a firmware update is waited for; None:
    the answer is the outcome. `wave_size` None: all targets are one wave. `stop_at_failure_share` None: it does not
    stop by itself.
    """

    job_id: str
    name: str
    operation: str
    parameters: Mapping[str, Any]
    state: str = RUNNING
    reason: str = ""
    rate_per_s: float
    timeout_s: float | None = None
    outcome_s: float | None = None
    wave_size: int | None = None
    wave_pause_s: float = 0.0
    stop_at_failure_share: float | None = None
    node: str = ""
    created_by: str = ""
    created_ts: float = 0.0
    ended_ts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A charge point of a job. `at_ts` None: it was not tried yet."""

    job_id: str
    cp_id: str
    wave: int = 0
    state: str = WAITING
    detail: str = ""
    tries: int = 0
    at_ts: float | None = None
    duration_s: float | None = None
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A job with the numbers of its targets by wave and state."""

    job: Job
    counts: Mapping[tuple[int, str], int] = field(default_factory=dict)

    def count(self, *states: str) -> int:
        """Return how many targets have one of these states; without any, all."""
        return sum(count for (_, state), count in self.counts.items() if not states or state in states)


def add_job(connection: sa.Connection, job: Job, cp_ids: Sequence[str]) -> None:
    """Add a job with its targets, in waves in their order."""
    connection.execute(sa.insert(t.jobs).values(asdict(job) | {"parameters": to_json(dict(job.parameters))}))
    size = job.wave_size or max(1, len(cp_ids))
    rows = [asdict(Target(job_id=job.job_id, cp_id=each, wave=index // size)) for index, each in enumerate(cp_ids)]
    connection.execute(sa.insert(t.job_targets), rows)


def progress(connection: sa.Connection, job_id: str) -> Progress | None:
    """Return a job with its progress, or None."""
    found = connection.execute(sa.select(t.jobs).where(_J.job_id == job_id)).mappings().first()
    return None if found is None else Progress(_job(found), _counts(connection, [job_id]).get(job_id, {}))


def list_jobs(connection: sa.Connection, before_ts: float | None, limit: int) -> list[Progress]:
    """Return up to `limit` jobs that began before a time, newest first."""
    query = sa.select(t.jobs).order_by(_J.created_ts.desc(), _J.job_id).limit(limit)
    if before_ts is not None:
        query = query.where(_J.created_ts < before_ts)
    found = [_job(each) for each in connection.execute(query).mappings()]
    counts = _counts(connection, [each.job_id for each in found])
    return [Progress(each, counts.get(each.job_id, {})) for each in found]


def running_jobs(connection: sa.Connection, node: str) -> list[Job]:
    """Return the jobs that run on a node, oldest first."""
    query = sa.select(t.jobs).where(_J.state == RUNNING, _J.node == node).order_by(_J.created_ts)
    return [_job(each) for each in connection.execute(query).mappings()]


def targets(connection: sa.Connection, job_id: str, after: str, limit: int, states: Sequence[str] = ()) -> list[Target]:
    """Return up to `limit` targets after a charge point, by its id."""
    query = sa.select(t.job_targets).where(_T.job_id == job_id, _T.cp_id > after).order_by(_T.cp_id).limit(limit)
    if states:
        query = query.where(_T.state.in_(states))
    return [Target(**each) for each in connection.execute(query).mappings()]


def waiting_targets(connection: sa.Connection, job_id: str) -> list[Target]:
    """Return the targets that wait, by wave."""
    query = sa.select(t.job_targets).where(_T.job_id == job_id, _T.state == WAITING).order_by(_T.wave, _T.cp_id)
    return [Target(**each) for each in connection.execute(query).mappings()]


def put_target(connection: sa.Connection, target: Target, entry: AuditEntry | None = None) -> None:
    """Write a target's state, and a row of the audit log."""
    values = {name: value for name, value in asdict(target).items() if name not in ("job_id", "cp_id")}
    mine = sa.and_(_T.job_id == target.job_id, _T.cp_id == target.cp_id)
    connection.execute(sa.update(t.job_targets).where(mine).values(values))
    if entry is not None:
        audit_queries.add_entry(connection, entry)


def end_job(connection: sa.Connection, job_id: str, state: str, reason: str, now_ts: float) -> bool:
    """End a job that runs; its waiting targets are stopped. Return False if it does not run."""
    running = sa.and_(_J.job_id == job_id, _J.state == RUNNING)
    values = {"state": state, "reason": reason, "ended_ts": now_ts}
    if not connection.execute(sa.update(t.jobs).where(running).values(values)).rowcount:
        return False
    waiting = sa.and_(_T.job_id == job_id, _T.state == WAITING)
    connection.execute(sa.update(t.job_targets).where(waiting).values(state=STOPPED))
    return True


def interrupted(connection: sa.Connection, job_id: str, detail: str) -> None:
    """Mark the targets whose command was under way when the server ended as failed."""
    mine = sa.and_(_T.job_id == job_id, _T.state == RUNNING)
    connection.execute(sa.update(t.job_targets).where(mine).values(state=FAILED, detail=detail))


def retry_job(connection: sa.Connection, job_id: str) -> int:
    """Let a job that ended run again for the targets that did not succeed; return their number."""
    ended = sa.and_(_J.job_id == job_id, _J.state != RUNNING)
    again = sa.and_(_T.job_id == job_id, _T.state.in_((FAILED, REJECTED, STOPPED)))
    chosen = connection.execute(sa.select(sa.func.count()).select_from(t.job_targets).where(again)).scalar_one()
    values = {"state": RUNNING, "reason": "", "ended_ts": None}
    if not chosen or not connection.execute(sa.update(t.jobs).where(ended).values(values)).rowcount:
        return 0
    connection.execute(sa.update(t.job_targets).where(again).values(state=WAITING))
    return int(chosen)


def expire(connection: sa.Connection, before_ts: float, limit: int) -> int:
    """Delete up to `limit` jobs that ended before a time, with their targets; return how many."""
    old = sa.select(_J.job_id).where(_J.ended_ts < before_ts).order_by(_J.ended_ts).limit(limit)
    job_ids = list(connection.execute(old).scalars())
    if job_ids:
        connection.execute(sa.delete(t.job_targets).where(_T.job_id.in_(job_ids)))
        connection.execute(sa.delete(t.jobs).where(_J.job_id.in_(job_ids)))
    return len(job_ids)


def _counts(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, dict[tuple[int, str], int]]:
    query = (
        sa.select(_T.job_id, _T.wave, _T.state, sa.func.count())
        .where(_T.job_id.in_(job_ids))
        .group_by(_T.job_id, _T.wave, _T.state)
    )
    found: dict[str, dict[tuple[int, str], int]] = {}
    for job_id, wave, state, count in connection.execute(query):
        found.setdefault(job_id, {})[wave, state] = count
    return found


def _job(row: Mapping[Any, Any]) -> Job:
    return Job(**{**row, "parameters": from_json(row["parameters"])})
