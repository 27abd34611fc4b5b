"""Controllers that go by the clock, which the tests move."""

from __future__ import annotations

from typing import Any

from tests.sandbox.controllers.jumpclock import JumpClock
from tests.sandbox.controllers.world import (
    Json,
    controllers,
    names,
    set_pod_status,
    template,
    until,
    until_gone,
    until_one,
    workload,
)
from trivyop.kube.client import Api
from trivyop.kube.resources import CRONJOBS, JOBS, PODS, ObjectKey
from trivyop.sandbox.controllers.run import Name


def job_spec(**spec: Any) -> Json:
    return {"template": template(restartPolicy="Never"), **spec}


def _is(job: Json, condition: str) -> bool:
    return any(c["type"] == condition for c in job["status"].get("conditions", ()))


async def test_finished_job_goes_when_its_time_is_up(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.JOB, Name.TTL_AFTER_FINISHED, Name.GARBAGE_COLLECTOR):
        await api.create(JOBS, workload(JOBS, "scan", **job_spec(ttlSecondsAfterFinished=100)))
        [pod] = await until(api, PODS, lambda pods: len(pods) == 1)
        await set_pod_status(api, pod["metadata"]["name"], {"phase": "Succeeded"})
        await until_one(api, JOBS, "scan", lambda job: _is(job, "Complete"))
        clock.jump(90)
        await until_one(api, JOBS, "scan", lambda _: True)

        clock.jump(11)

        await until_gone(api, JOBS, "scan")
        await until(api, PODS, lambda pods: not pods)


async def test_job_that_takes_too_long_fails_and_its_pod_goes(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.JOB):
        await api.create(JOBS, workload(JOBS, "scan", **job_spec(activeDeadlineSeconds=60)))
        await until_one(api, JOBS, "scan", lambda job: job["status"].get("active") == 1)

        clock.jump(61)

        failed = await until_one(api, JOBS, "scan", lambda job: _is(job, "Failed"))
        assert [c["reason"] for c in failed["status"]["conditions"]] == ["DeadlineExceeded"] * 2
        assert failed["status"]["failed"] == 1
        await until(api, PODS, lambda pods: not pods)


async def test_cron_job_starts_a_job_at_each_due_time(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.CRONJOB):
        spec = {"schedule": "* * * * *", "jobTemplate": {"spec": job_spec()}}
        await api.create(CRONJOBS, workload(CRONJOBS, "tick", **spec))

        clock.jump(60)
        [first] = await until(api, JOBS, lambda jobs: len(jobs) == 1)
        await until_one(api, CRONJOBS, "tick", lambda c: len(c["status"].get("active", ())) == 1)
        clock.jump(60)
        both = await until(api, JOBS, lambda jobs: len(jobs) == 2)

        owners = [job["metadata"]["ownerReferences"][0]["name"] for job in both]
        assert owners == ["tick", "tick"]
        assert first["metadata"]["name"].startswith("tick-")


async def test_forbidden_overlap_is_skipped(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.CRONJOB):
        spec = {
            "schedule": "* * * * *",
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": job_spec()},
        }
        await api.create(CRONJOBS, workload(CRONJOBS, "tick", **spec))
        clock.jump(60)
        [first] = await until(api, JOBS, lambda jobs: len(jobs) == 1)
        await until_one(api, CRONJOBS, "tick", lambda c: len(c["status"].get("active", ())) == 1)
        clock.jump(60)

        condition = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        met = {**condition, "type": "SuccessCriteriaMet"}
        status = {
            "startTime": "2026-01-01T00:00:00Z",
            "completionTime": "2026-01-01T00:00:00Z",
            "succeeded": 1,
            "conditions": [met, condition],
        }
        key = ObjectKey("default", first["metadata"]["name"])
        await api.patch(JOBS, key, {"status": status}, subresource="status")

        await until(api, JOBS, lambda jobs: len(jobs) == 2)


async def test_surplus_finished_jobs_go(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.CRONJOB, Name.JOB):
        spec = {
            "schedule": "* * * * *",
            "successfulJobsHistoryLimit": 1,
            "jobTemplate": {"spec": job_spec()},
        }
        await api.create(CRONJOBS, workload(CRONJOBS, "tick", **spec))
        finished: set[str] = set()
        for _ in range(2):
            clock.jump(60)
            for pod in await until(api, PODS, lambda pods: not names(pods) <= finished):
                await set_pod_status(api, pod["metadata"]["name"], {"phase": "Succeeded"})
                finished.add(pod["metadata"]["name"])

        await until(api, JOBS, lambda jobs: [_is(job, "Complete") for job in jobs] == [True])
