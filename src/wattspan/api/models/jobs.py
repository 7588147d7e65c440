"""Jobs: one command to many charge points."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from wattspan.api.models.common import At, Body, CpId, Payload, Shown, datetime_of, storable
from wattspan.csms.plugins.audit import mask
from wattspan.store.queries import jobs as stored

MAX_TARGETS = 10_000


class JobOperation(StrEnum):
    """What a job does on each charge point."""

    RESET = "reset"
    AVAILABILITY = "availability"
    FIRMWARE = "firmware"
    LOGS = "logs"
    LOCAL_LIST = "local-list"
    LIMIT = "limit"
    CLEAR_LIMIT = "clear-limit"
    UNLOCK = "unlock"
    TRIGGER = "trigger"
    CONFIGURATION = "configuration"
    COMMAND = "command"


class TargetFilter(Body):
    """The charge points of a job by filter, with the meanings of the query of `GET /charge-points`."""

    search: Annotated[str, Field(max_length=100)] = ""
    connected: bool | None = None
    charging: bool | None = None
    status: Annotated[str, Field(max_length=50)] | None = None
    worst: Annotated[str, Field(max_length=50)] | None = None
    stale: bool | None = None
    site_id: Annotated[list[str], Field(max_length=100)] = Field(default_factory=list)
    label: Annotated[list[str], Field(max_length=20)] = Field(default_factory=list)
    vendor: Annotated[str, Field(max_length=100)] | None = None
    model: Annotated[str, Field(max_length=100)] | None = None
    firmware: Annotated[str, Field(max_length=100)] | None = None
    protocol: Annotated[str, Field(max_length=20)] | None = None


class Targets(Body):
    """The charge points of a job: a list, or a filter. The filter is applied once, when the job is made."""

    cp_ids: Annotated[list[CpId], Field(max_length=MAX_TARGETS)] | None = None
    filter: TargetFilter | None = None


class Waves(Body):
    """Waves of a campaign of `size` charge points. The next one begins when all of a wave have ended, after a pause."""

    size: Annotated[int, Field(ge=1, le=MAX_TARGETS)]
    pause_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0


class NewJob(Targets):
    """A job to start.

    `parameters` is the body of the operation's own route; for `configuration` it has `key` and `value`, for `command`
    OCPP's `action` and its `payload`. A job can't set passwords and keys. `rate_per_s`: commands sent in a second.
    `outcome_s`, of `firmware` alone: wait so long for the status Installed, instead of the answer to the command.
    `stop_at_failure_share`: the job ends by itself if more than this share of a wave failed.
    """

    name: Annotated[str, Field(max_length=100), AfterValidator(storable)] = ""
    operation: JobOperation
    parameters: Payload = Field(default_factory=dict)
    rate_per_s: Annotated[float, Field(gt=0, le=50)] = 5.0
    timeout_s: Annotated[float, Field(ge=1, le=300)] | None = None
    outcome_s: Annotated[float, Field(ge=1, le=86_400)] | None = None
    waves: Waves | None = None
    stop_at_failure_share: Annotated[float, Field(ge=0, le=1)] | None = None


class TargetPreview(Shown):
    """The charge points that a filter or list chooses now."""

    total: int
    connected: int
    cp_ids: list[str]


class Wave(Shown):
    """The progress of a wave."""

    wave: int
    waiting: int
    running: int
    succeeded: int
    failed: int


class Job(Shown):
    """A job and its progress. `parameters` are masked.

    `state`: running; done; stopped by hand; failed: it ended by itself, for `reason`. `failed` counts the targets that
    refused or did not answer, `stopped` those that were not tried.
    """

    job_id: str
    name: str
    operation: str
    parameters: dict[str, Any]
    state: Literal["running", "done", "stopped", "failed"]
    reason: str
    rate_per_s: float
    timeout_s: float | None
    outcome_s: float | None
    wave_size: int | None
    wave_pause_s: float
    stop_at_failure_share: float | None
    created_by: str
    created_at: At | None
    ended_at: At | None
    total: int
    waiting: int
    running: int
    succeeded: int
    failed: int
    stopped: int
    waves: list[Wave]


class JobResult(Shown):
    """What a job did on one charge point. `detail`: the status of its answer, or why it failed."""

    cp_id: str
    wave: int
    state: Literal["waiting", "running", "succeeded", "rejected", "failed", "stopped"]
    detail: str
    tries: int
    at: At | None
    duration_s: float | None
    trace_id: str


class Retried(Shown):
    """How many charge points a job tries again."""

    targets: int


def job(progress: stored.Progress) -> Job:
    """Return the JSON of a job."""
    found = progress.job
    numbers = sorted({wave for wave, _ in progress.counts})
    failed = (stored.FAILED, stored.REJECTED)
    return Job.model_validate(
        {
            "job_id": found.job_id,
            "name": found.name,
            "operation": found.operation,
            "parameters": mask(dict(found.parameters)),
            "state": found.state,
            "reason": found.reason,
            "rate_per_s": found.rate_per_s,
            "timeout_s": found.timeout_s,
            "outcome_s": found.outcome_s,
            "wave_size": found.wave_size,
            "wave_pause_s": found.wave_pause_s,
            "stop_at_failure_share": found.stop_at_failure_share,
            "created_by": found.created_by,
            "created_at": datetime_of(found.created_ts),
            "ended_at": datetime_of(found.ended_ts),
            "total": progress.count(),
            "waiting": progress.count(stored.WAITING),
            "running": progress.count(stored.RUNNING),
            "succeeded": progress.count(stored.SUCCEEDED),
            "failed": progress.count(*failed),
            "stopped": progress.count(stored.STOPPED),
            "waves": [
                {
                    "wave": number + 1,
                    "waiting": progress.counts.get((number, stored.WAITING), 0),
                    "running": progress.counts.get((number, stored.RUNNING), 0),
                    "succeeded": progress.counts.get((number, stored.SUCCEEDED), 0),
                    "failed": sum(progress.counts.get((number, state), 0) for state in failed),
                }
                for number in numbers
            ],
        }
    )


def result(target: stored.Target) -> JobResult:
    """Return the JSON of what a job did on one charge point."""
    return JobResult.model_validate(
        {
            "cp_id": target.cp_id,
            "wave": target.wave + 1,
            "state": target.state,
            "detail": target.detail,
            "tries": target.tries,
            "at": datetime_of(target.at_ts),
            "duration_s": target.duration_s,
            "trace_id": target.trace_id,
        }
    )
