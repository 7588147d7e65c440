"""Jobs in both databases."""

from support.databases import query
from support.sites import NOW
from wattspan.store.queries import jobs as job_queries
from wattspan.store.queries.jobs import DONE, FAILED, RUNNING, STOPPED, SUCCEEDED, WAITING, Job, Target


async def test_a_job_is_stored_with_every_state_of_its_targets(site):
    store = site.store
    job = Job(
        job_id="j1",
        name="night",
        operation="reset",
        parameters={"hard": True},
        rate_per_s=5.0,
        wave_size=2,
        created_by="admin",
        created_ts=NOW,
    )
    await store.do(job_queries.add_job, job, ["CP1", "CP2", "CP3"])
    assert await store.read(job_queries.running_jobs, "") == [job]
    waiting = await store.read(job_queries.waiting_targets, "j1")
    assert [(each.cp_id, each.wave) for each in waiting] == [("CP1", 0), ("CP2", 0), ("CP3", 1)]
    await store.do(job_queries.put_target, Target(job_id="j1", cp_id="CP1", state=SUCCEEDED, tries=1, at_ts=NOW))
    await store.do(job_queries.put_target, Target(job_id="j1", cp_id="CP2", state=RUNNING, tries=1, at_ts=NOW))
    await store.do(job_queries.interrupted, "j1", "restarted")
    progress = await store.read(job_queries.progress, "j1")
    assert progress.counts == {(0, SUCCEEDED): 1, (0, FAILED): 1, (1, WAITING): 1}
    assert await store.do(job_queries.retry_job, "j1") == 0  # it runs
    assert await store.do(job_queries.end_job, "j1", STOPPED, "by hand", NOW + 1)
    assert not await store.do(job_queries.end_job, "j1", DONE, "", NOW + 2)
    assert [each.cp_id for each in await store.read(job_queries.targets, "j1", "CP1", 9, [STOPPED])] == ["CP3"]
    assert await store.do(job_queries.retry_job, "j1") == 2
    assert (await store.read(job_queries.progress, "j1")).count(WAITING) == 2
    assert await store.do(job_queries.expire, NOW + 10, 9) == 0
    await store.do(job_queries.end_job, "j1", DONE, "", NOW + 2)
    assert [each.job.state for each in await store.read(job_queries.list_jobs, None, 9)] == [DONE]
    assert await store.do(job_queries.expire, NOW + 10, 9) == 1
    assert query(site.path, "SELECT count(*) FROM job_targets") == [(0,)]
