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


@pytest.mark.parametrize(
    ("pod", "notices", "obstacle"),
    [
        (None, [], None),
        (None, [notice("FailedCreate", "exceeded quota")], ("FailedCreate", "exceeded quota")),
        (
            None,
            [notice("FailedCreate", "old", at="1"), notice("FailedCreate", "new", at="2")],
            ("FailedCreate", "new"),
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
