"""Jobs: one command to many charge points, and firmware campaigns in waves."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import ValidationError

from wattspan.api import PREFIX
from wattspan.api.access.guard import Who, guarded
from wattspan.api.access.rights import Right
from wattspan.api.filters import FleetFilter
from wattspan.api.models import jobs as models
from wattspan.api.models.common import Body, Payload
from wattspan.api.models.operations import OperationBody
from wattspan.api.paging import Cursor, Limit, Page, page, text_of
from wattspan.api.problems import Problem, not_found
from wattspan.api.routes.configuration import SECRET, Value
from wattspan.api.routes.operations import OPERATIONS, located
from wattspan.api.services import Given, Services
from wattspan.csms.commands import CommandResult
from wattspan.csms.operations.parameters import ChangeConfiguration
from wattspan.csms.plugins.audit import mask_secrets
from wattspan.domain.model import ChargePoint
from wattspan.store.queries import jobs as job_queries

router = APIRouter(prefix=PREFIX, tags=["jobs"])

JobId = Annotated[str, Path(max_length=32, pattern="^[0-9a-z]+$", description="The job's id.")]


class _Setting(Value):
    key: str


class _Command(Body):
    action: str
    payload: Payload


@router.post("/jobs/preview", **guarded(Right.COMMAND))
async def preview_job(services: Given, targets: models.Targets) -> models.TargetPreview:
    """Return the charge points that a job with these targets would have."""
    found = await _chosen(services, targets)
    return models.TargetPreview(
        total=len(found), connected=sum(cp.connected for cp in found), cp_ids=[cp.cp_id for cp in found]
    )


@router.post("/jobs", status_code=201, **guarded(Right.COMMAND, 404))
async def start_job(services: Given, who: Who, new: models.NewJob) -> models.Job:
    """Send one command to many charge points. The event feed sends `JobProgressed` as it goes on."""
    await _validated(services, new.operation.value, new.parameters)
    found = await _chosen(services, new)
    if not found:
        raise Problem(422, "no charge point matches", kind="no-targets")
    if new.outcome_s is not None and new.operation is not models.JobOperation.FIRMWARE:
        raise Problem(422, "the job is not valid", faults=[("/outcome_s", "is for firmware alone")])
    job = job_queries.Job(
        node=services.jobs.node,
        job_id=secrets.token_hex(8),
        name=new.name,
        operation=new.operation.value,
        parameters=new.parameters,
        rate_per_s=new.rate_per_s,
        timeout_s=new.timeout_s,
        outcome_s=new.outcome_s,
        wave_size=None if new.waves is None else new.waves.size,
        wave_pause_s=0.0 if new.waves is None else new.waves.pause_s,
        stop_at_failure_share=new.stop_at_failure_share,
        created_by=who.name,
        created_ts=services.now_ts(),
    )
    return models.job(await services.jobs.add(job, [cp.cp_id for cp in found]))


@router.get("/jobs", **guarded(Right.READ))
async def list_jobs(services: Given, limit: Limit = 100, cursor: Cursor = None) -> Page[models.Job]:
    """List jobs, newest first. They are deleted 90 days after their end."""
    before = text_of(cursor)
    try:
        before_ts = float(before) if before else None
    except ValueError:
        raise Problem(422, "the cursor is not valid") from None
    found = await services.store.read(job_queries.list_jobs, before_ts, limit + 1)
    return page(found, limit, lambda each: repr(each.job.created_ts), models.job)


@router.get("/jobs/{job_id}", **guarded(Right.READ, 404))
async def read_job(services: Given, job_id: JobId) -> models.Job:
    """Return one job and its progress."""
    return models.job(await _known(services, job_id))


@router.get("/jobs/{job_id}/results", **guarded(Right.READ, 404))
async def list_job_results(
    services: Given,
    job_id: JobId,
    limit: Limit = 100,
    cursor: Cursor = None,
    state: Annotated[list[str] | None, Query(max_length=6, description="Only these states.")] = None,
) -> Page[models.JobResult]:
    """List what a job did on each charge point, by its id."""
    await _known(services, job_id)
    found = await services.store.read(job_queries.targets, job_id, text_of(cursor), limit + 1, state or ())
    return page(found, limit, lambda each: each.cp_id, models.result)


@router.post("/jobs/{job_id}/stop", **guarded(Right.COMMAND, 404, 409))
async def stop_job(services: Given, job_id: JobId) -> models.Job:
    """Stop a job. Commands that were sent are still answered; no more are sent."""
    await _known(services, job_id)
    if not await services.jobs.stop(job_id):
        raise Problem(409, "the job has ended already", kind="ended")
    return models.job(await _known(services, job_id))


@router.post("/jobs/{job_id}/retry", **guarded(Right.COMMAND, 404, 409))
async def retry_job(services: Given, job_id: JobId) -> models.Retried:
    """Try the charge points again that failed, refused or were not tried."""
    await _known(services, job_id)
    targets = await services.jobs.retry(job_id)
    if not targets:
        raise Problem(409, "the job still runs, or nothing of it failed", kind="nothing-to-retry")
    return models.Retried(targets=targets)


async def perform(
    services: Services, cp_id: str, operation: str, parameters: Mapping[str, Any], timeout_s: float | None
) -> CommandResult:
    """Send an operation of a job. Raises WattspanError."""
    if operation == models.JobOperation.COMMAND:
        command = _Command.model_validate(dict(parameters))
        return await services.commands.send_payload(cp_id, command.action, command.payload, timeout_s=timeout_s)
    if operation == models.JobOperation.CONFIGURATION:
        setting = _Setting.model_validate(dict(parameters))
        change = ChangeConfiguration(key=setting.key, value=setting.value)
        return await services.operations.perform(cp_id, change, timeout_s=timeout_s)
    body = OPERATIONS[operation][1].model_validate(dict(parameters))
    return await services.operations.perform(cp_id, (await located(services, body)).operation(), timeout_s=timeout_s)


async def _validated(services: Services, operation: str, parameters: Mapping[str, Any]) -> None:
    """Raise Problem 422 for parameters that the operation does not accept."""
    own: Mapping[str, type[Body]] = {"command": _Command, "configuration": _Setting}
    model = own.get(operation) or OPERATIONS[operation][1]
    try:
        body = model.model_validate(dict(parameters))
    except ValidationError as exc:
        faults = [("/parameters/" + "/".join(map(str, each["loc"])), each["msg"]) for each in exc.errors()]
        raise Problem(422, "the parameters are not valid", kind="invalid", faults=faults) from None
    is_secret = isinstance(body, _Setting) and body.key.strip().casefold() in SECRET
    if is_secret or mask_secrets(dict(parameters)) != dict(parameters):
        raise Problem(422, "a job can't set passwords or keys; rotate credentials instead", kind="secret")
    if operation in OPERATIONS:
        assert isinstance(body, OperationBody)  # noqa: S101
        (await located(services, body)).operation()


async def _chosen(services: Services, targets: models.Targets) -> list[ChargePoint]:
    """Return the charge points of a job, by id. Raises Problem 422 for identities that do not exist."""
    if (targets.cp_ids is None) == (targets.filter is None):
        raise Problem(422, "give either cp_ids or filter", faults=[("/cp_ids", "either this or filter")])
    if targets.cp_ids is not None:
        unknown = [each for each in targets.cp_ids if each not in services.fleet.charge_points]
        if unknown:
            raise Problem(422, "there is no such charge point", faults=[("/cp_ids", f"{unknown[0]} does not exist")])
        return [services.fleet.charge_points[each] for each in sorted(set(targets.cp_ids))]
    assert targets.filter is not None  # noqa: S101
    found = await FleetFilter(**targets.filter.model_dump()).find(services)
    if len(found) > models.MAX_TARGETS:
        raise Problem(422, f"more than {models.MAX_TARGETS} charge points match", kind="too-much")
    return sorted(found, key=lambda cp: cp.cp_id)


async def _known(services: Services, job_id: str) -> job_queries.Progress:
    found = await services.store.read(job_queries.progress, job_id)
    if found is None:
        raise not_found("job")
    return found
