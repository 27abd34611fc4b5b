"""What a Job's controller makes of its Pods."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.clock import NOON
from tests.sandbox.controllers.builders import pod, workload
from trivyop.sandbox.controllers.jobs import BACKOFF, DEADLINE, TRACKING, plan
from trivyop.sandbox.controllers.objects import Pod, Workload


def job(status: dict[str, Any] | None = None, **spec: Any) -> Workload:
    return workload("scan", {"parallelism": 1, "completions": 1, "backoffLimit": 6, **spec}, status)


def tracked(name: str, phase: str = "Running", **more: Any) -> Pod:
    return pod(name, phase=phase, finalizers=[TRACKING], nodeName="n1", **more)


def conditions(status: dict[str, Any]) -> list[tuple[str, str]]:
    return [(c["type"], c["reason"]) for c in status.get("conditions", ())]


def test_new_job_gets_a_pod_and_says_so_in_one_write() -> None:
    step = plan(job(), [], NOON)

    assert step.create == 1
    assert step.status == {
        "startTime": "2026-01-02T12:00:00Z",
        "active": 1,
        "terminating": 0,
        "uncountedTerminatedPods": {},
        "ready": 0,
    }


def test_finished_pod_is_counted_once_in_two_steps() -> None:
    """First noted, then let go of, then counted: interrupted anywhere, the count comes out the same."""
    first = plan(job({"startTime": "2026-01-02T12:00:00Z"}), [tracked("a", "Succeeded")], NOON)
    assert first.status["uncountedTerminatedPods"] == {"succeeded": ["uid-a"]}
    assert [p.metadata.name for p in first.release] == ["a"]
    assert conditions(first.status) == [("SuccessCriteriaMet", "CompletionsReached")]

    released = pod("a", phase="Succeeded")
    second = plan(job(first.status), [released], NOON)
    assert second.status["succeeded"] == 1
    assert second.status["uncountedTerminatedPods"] == {}
    assert conditions(second.status)[1] == ("Complete", "CompletionsReached")
    assert second.status["completionTime"] == "2026-01-02T12:00:00Z"

    third = plan(job(second.status), [released], NOON)
    assert third.status == second.status
    assert not third.create


def test_pod_that_vanished_uncounted_is_counted() -> None:
    status = {"startTime": "2026-01-02T12:00:00Z", "uncountedTerminatedPods": {"failed": ["uid-a"]}}

    step = plan(job(status, backoffLimit=0), [], NOON)

    assert step.status["failed"] == 1
    assert conditions(step.status) == [("FailureTarget", BACKOFF[0]), ("Failed", BACKOFF[0])]


def test_failed_pod_is_replaced_after_a_back_off() -> None:
    ended = {"name": "main", "state": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-02T12:00:00Z"}}}
    pods = [pod("a", phase="Failed", statuses=[ended])]
    failed = job({"startTime": "2026-01-02T12:00:00Z", "failed": 1})

    at_once = plan(failed, pods, NOON)
    later = plan(failed, pods, NOON + timedelta(seconds=10))

    assert (at_once.create, at_once.look_again_seconds) == (0, 10.0)
    assert later.create == 1


def test_deadline_ends_the_job_once_its_pods_are_gone() -> None:
    started = job({"startTime": "2026-01-02T12:00:00Z"}, activeDeadlineSeconds=60)
    assert plan(started, [tracked("a")], NOON).look_again_seconds == 60.0

    over = NOON + timedelta(seconds=60)
    step = plan(started, [tracked("a")], over)
    assert [p.metadata.name for p in step.delete] == ["a"]
    assert conditions(step.status) == [("FailureTarget", DEADLINE[0])]

    ending = plan(job(step.status, activeDeadlineSeconds=60), [tracked("a", deleting=True)], over)
    assert ending.look_again_seconds is None, "the pod's end comes by itself; asking at once would never end"

    gone = plan(job({**step.status, "failed": 1}, activeDeadlineSeconds=60), [], over)
    assert conditions(gone.status) == [("FailureTarget", DEADLINE[0]), ("Failed", DEADLINE[0])]


def test_deleted_pod_has_failed_at_once_and_is_replaced() -> None:
    """It need not have ended: with no retries left, the Job fails while its pod still terminates."""
    deleted = tracked("b", deleting=True)

    step = plan(job(parallelism=3, completions=5), [tracked("a"), deleted], NOON)
    last = plan(job(backoffLimit=0), [deleted], NOON)

    assert (step.create, step.status["terminating"]) == (2, 1)
    assert step.status["uncountedTerminatedPods"] == {"failed": ["uid-b"]}
    assert step.release == (deleted,)
    assert conditions(last.status) == [("FailureTarget", BACKOFF[0])]


def test_deleted_pod_counts_once_it_has_ended_where_only_failed_ones_are_replaced() -> None:
    waiting = job(parallelism=3, completions=5, podReplacementPolicy="Failed")

    step = plan(waiting, [tracked("a"), tracked("b", deleting=True)], NOON)
    ended = plan(waiting, [tracked("a"), tracked("b", phase="Failed", deleting=True)], NOON)

    assert (step.create, step.status["terminating"]) == (1, 1)
    assert step.status["uncountedTerminatedPods"] == {}
    assert ended.status["uncountedTerminatedPods"] == {"failed": ["uid-b"]}


def test_restarts_in_place_count_against_the_limit() -> None:
    restarted = tracked("a", restartPolicy="OnFailure", statuses=[{"name": "main", "restartCount": 2}])

    step = plan(job({"startTime": "2026-01-02T12:00:00Z"}, backoffLimit=2), [restarted], NOON)

    assert conditions(step.status) == [("FailureTarget", BACKOFF[0])]


def test_suspended_job_gives_its_pods_up() -> None:
    step = plan(job(suspend=True), [tracked("a")], NOON)

    assert [p.metadata.name for p in step.delete] == ["a"]
    assert "startTime" not in step.status
    assert conditions(step.status) == [("Suspended", "JobSuspended")]
