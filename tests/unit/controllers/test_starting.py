"""What keeps a pod from starting, as its status and Events say it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trivyop.controllers.jobpods import JobPod
from trivyop.controllers.starting import Notice, Obstacle, obstacle_of

Json = dict[str, Any]
BOUND: Json = {"type": "PodScheduled", "status": "True"}
BARE: Json = {"type": "PodReadyToStartContainers", "status": "False"}
READY: Json = {"type": "PodReadyToStartContainers", "status": "True"}


def pod(*conditions: Json, phase: str = "Pending", init: Json | None = None, **state: Json) -> JobPod:
    statuses = [{"name": "scan", "state": state}] if state else []
    inits = [{"name": "database", "state": init}] if init else []
    status = {
        "phase": phase,
        "conditions": conditions,
        "containerStatuses": statuses,
        "initContainerStatuses": inits,
    }
    return msgspec.convert({"metadata": {"name": "p", "uid": "u"}, "status": status}, JobPod)


def notice(reason: str, message: str = "m", *, count: int | None = 1, at: str = "") -> Notice:
    meta = {"name": f"{reason}.{at}"}
    event = {
        "metadata": meta,
        "reason": reason,
        "message": message,
        "count": count,
        "lastTimestamp": at or None,
    }
    return msgspec.convert(event, Notice)


QUOTA = 'Error creating: pods "scan-1" is forbidden: exceeded quota: q'
REFUSED_CONNECTION = (
    'Error creating: Post "https://10.0.0.1/": dial tcp 10.0.0.1:443: connect: connection refused'
)


@pytest.mark.parametrize(
    ("pod", "notices", "obstacle"),
    [
        (None, [], None),
        (None, [notice("FailedCreate", QUOTA)], ("FailedCreate", QUOTA)),
        (
            None,
            [notice("FailedCreate", "old is forbidden", at="1"), notice("FailedCreate", QUOTA, at="2")],
            ("FailedCreate", QUOTA),
        ),
        (
            None,
            [notice("FailedCreate", QUOTA, at="1"), notice("FailedCreate", REFUSED_CONNECTION, at="2")],
            ("FailedCreate", QUOTA),
        ),
        (None, [notice("SuccessfulCreate")], None),
        (pod(), [], None),
        (
            pod({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}),
            [],
            ("Unschedulable", "0/1"),
        ),
        (pod({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}), [], None),
        (pod(BOUND, waiting={"reason": "ContainerCreating"}), [], None),
        (pod(BOUND, waiting={"reason": "PodInitializing"}), [], None),
        (
            pod(BOUND, waiting={"reason": "ErrImagePull", "message": "not found"}),
            [],
            ("ErrImagePull", "not found"),
        ),
        (pod(BOUND, waiting={"reason": "InvalidImageName"}), [], ("InvalidImageName", "")),
        (pod(BOUND, init={"waiting": {"reason": "ErrImageNeverPull"}}), [], ("ErrImageNeverPull", "")),
        (
            pod(BOUND, waiting={"reason": "CreateContainerConfigError"}),
            [],
            ("CreateContainerConfigError", ""),
        ),
        (
            pod(BOUND, BARE, waiting={"reason": "ContainerCreating"}),
            [notice("FailedMount")],
            ("FailedMount", "m"),
        ),
        (pod(BOUND, BARE), [notice("FailedAttachVolume")], ("FailedAttachVolume", "m")),
        (pod(BOUND, BARE), [notice("FailedCreatePodSandBox")], ("FailedCreatePodSandBox", "m")),
        (pod(BOUND, BARE), [notice("Failed"), notice("InspectFailed")], None),
        (pod(BOUND, READY), [notice("FailedMount")], None),
        (pod(BOUND), [notice("FailedMount", count=1)], None),
        (pod(BOUND), [notice("FailedMount", count=3)], ("FailedMount", "m")),
        (pod(BOUND), [notice("FailedMount", count=None)], None),
        (pod(BOUND, BARE, running={}), [notice("FailedMount")], None),
        (pod(BOUND, BARE, init={"terminated": {"exitCode": 0}}), [notice("FailedMount")], None),
        (pod(BOUND, phase="Running", waiting={"reason": "ErrImagePull"}), [], None),
        (pod(phase="Failed"), [notice("FailedMount")], None),
    ],
)
def test_obstacle(pod: JobPod | None, notices: list[Notice], obstacle: tuple[str, str] | None) -> None:
    assert obstacle_of(pod, notices) == (None if obstacle is None else Obstacle(*obstacle))


@pytest.mark.parametrize(
    "message",
    [
        REFUSED_CONNECTION,
        "Error creating: etcdserver: request timed out",
        "Error creating: Timeout: request did not complete within requested timeout",
        "Error creating: the server is currently unable to handle the request",
        "Error creating: Internal error occurred: resource quota evaluation timed out",
        'Error creating: pods "scan-1" is forbidden: not yet ready to handle request',
        'Error creating: pods "scan-1" is forbidden: status unknown for quota: q, resources: pods',
        'Error creating: pods is forbidden: User "u" cannot create resource "pods" in API group ""',
    ],
)
def test_what_a_job_controller_gets_over_by_itself_is_said_only_if_asked_for(message: str) -> None:
    """A server that starts makes it say so of every Job."""
    notices = [notice("FailedCreate", message)]

    assert obstacle_of(None, notices) is None
    assert obstacle_of(None, notices, passing=True) == Obstacle("FailedCreate", message)
