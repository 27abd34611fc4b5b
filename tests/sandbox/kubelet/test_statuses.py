"""Statuses: phases and conditions from the states of containers, and what is pretended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trivyop.sandbox.kubelet.images import FamiliarName
from trivyop.sandbox.kubelet.pods import BoundPod, Task, labelled, pretended_status, scan_pods, task_for
from trivyop.sandbox.kubelet.statuses import (
    Container,
    PodFacts,
    Running,
    State,
    Terminated,
    Waiting,
    build_status,
    phase_of,
)

GOOD = Terminated(0, "Completed", "then", "now")
BAD = Terminated(3, "Error", "then", "now")
RUNNING = Running("then")
WAITING = Waiting("ContainerCreating")
NEVER = PodFacts("Never", "then", "127.0.0.1")
ON_FAILURE = PodFacts("OnFailure", "then", "127.0.0.1")
ALWAYS = PodFacts("Always", "then", "127.0.0.1")


def made(*states: State, sidecar: bool = False) -> list[Container]:
    return [
        Container(f"c{n}", "image", state, ready=isinstance(state, Running), sidecar=sidecar)
        for n, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("facts", "init", "main", "phase"),
    [
        (NEVER, (), (WAITING,), "Pending"),
        (NEVER, (RUNNING,), (WAITING,), "Pending"),
        (NEVER, (BAD,), (WAITING,), "Failed"),
        (ON_FAILURE, (BAD,), (WAITING,), "Pending"),
        (NEVER, (GOOD,), (RUNNING, GOOD), "Running"),
        (NEVER, (), (GOOD, GOOD), "Succeeded"),
        (NEVER, (), (GOOD, BAD), "Failed"),
        (ON_FAILURE, (), (BAD,), "Running"),
        (ON_FAILURE, (), (GOOD,), "Succeeded"),
        (ALWAYS, (), (GOOD,), "Running"),
        (PodFacts("Always", "then", "ip", stopped=True), (), (GOOD,), "Succeeded"),
        (PodFacts("Always", "then", "ip", stopped=True), (), (WAITING,), "Failed"),
        (PodFacts("Never", "then", "ip", ended=("Evicted", "why")), (), (GOOD,), "Failed"),
    ],
)
def test_phase(facts: PodFacts, init: tuple[State, ...], main: tuple[State, ...], phase: str) -> None:
    assert phase_of(facts, made(*init), made(*main)) == phase


def test_pod_is_ready_when_all_its_containers_are() -> None:
    half = build_status(ALWAYS, [], made(RUNNING, WAITING), stamp="now")
    whole = build_status(ALWAYS, [], made(RUNNING, RUNNING), stamp="now")

    def ready(status: dict[str, Any]) -> tuple[str, str | None]:
        [condition] = [c for c in status["conditions"] if c["type"] == "Ready"]
        return condition["status"], condition.get("message")

    assert ready(half) == ("False", "containers with unready status: [c1]")
    assert ready(whole) == ("True", None)


def test_sidecar_that_runs_lets_the_others_start() -> None:
    status = build_status(ALWAYS, made(RUNNING, sidecar=True), made(WAITING), stamp="now")

    assert {c["type"]: c["status"] for c in status["conditions"]}["Initialized"] == "True"


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("shop/web:1", "docker.io/shop/web:1"),
        ("index.docker.io/shop/web:1", "docker.io/shop/web:1"),
        ("127.0.0.1:5000/web", "127.0.0.1:5000/web:latest"),
        ("localhost/web:1", "localhost/web:1"),
        ("ghcr.io/a/b@sha256:00", "ghcr.io/a/b@sha256:00"),
        ("ghcr.io/a/b:1@sha256:00", "ghcr.io/a/b:1@sha256:00"),
    ],
)
def test_references_are_spelled_out_as_containerd_does(reference: str, full: str) -> None:
    assert str(FamiliarName.parse(reference)) == full


def bound(status: dict[str, Any] | None = None, owner: str = "", **meta: Any) -> BoundPod:
    if owner:
        reference = {"apiVersion": "v1", "kind": owner, "name": "o", "uid": "o", "controller": True}
        meta["ownerReferences"] = [reference]
    body = {
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", **meta},
        "spec": {"containers": [{"name": "main", "image": "nginx:1"}], "restartPolicy": "Never"},
        "status": status or {},
    }
    return msgspec.convert(body, BoundPod)


RUNS: dict[str, Any] = {"phase": "Running"}


def started(image: str) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "main", "image": image, "restartCount": 3}]}


GOING = {"deletionTimestamp": "now"}


@pytest.mark.parametrize(
    ("pod", "selected", "runs", "ran", "task"),
    [
        (bound(), True, False, False, Task.RUN),
        (bound(RUNS), True, True, True, Task.NOTHING),
        (bound(RUNS), True, False, False, Task.LOST),
        (bound(RUNS, **GOING), True, True, True, Task.STOP),
        (bound(RUNS, **GOING), True, False, True, Task.REMOVE),
        (bound(), False, False, False, Task.PRETEND),
        (bound(RUNS), False, False, False, Task.NOTHING),
        (bound(RUNS, owner="Job"), False, False, False, Task.COMPLETE),
        (bound({"phase": "Succeeded"}, owner="Job"), False, False, False, Task.NOTHING),
        (bound(RUNS | started("docker.io/library/nginx:1")), False, False, False, Task.NOTHING),
        (bound(RUNS | started("docker.io/library/nginx:0")), False, False, False, Task.PRETEND),
    ],
)
def test_task(pod: BoundPod, *, selected: bool, runs: bool, ran: bool, task: Task) -> None:
    assert task_for(pod, selected=selected, runs=runs, ran=ran) is task


def test_selector_takes_scan_pods_and_what_else_is_named() -> None:
    scan = bound(labels={"app.kubernetes.io/managed-by": "trivy-operator"})
    operator = bound(labels={"app": "trivyop", "x": "y"})

    assert [scan_pods(scan), scan_pods(operator)] == [True, False]
    selector = labelled({"app": "trivyop"})
    assert [selector(scan), selector(operator), selector(bound())] == [True, True, False]


def test_pretended_pod_carries_its_digest_as_containerd_reports_it() -> None:
    status = pretended_status(bound(), {"nginx:1": "sha256:00"}, stamp="now", host_ip="h", pod_ip="p")

    [container] = status["containerStatuses"]
    assert status["phase"] == "Running"
    assert container["image"] == "docker.io/library/nginx:1"
    assert container["imageID"] == "docker.io/library/nginx@sha256:00"
    assert container["containerID"].startswith("containerd://")


def test_container_whose_image_was_changed_starts_anew() -> None:
    pods = [bound(RUNS | started(f"docker.io/library/nginx:{tag}")) for tag in (0, 1)]

    statuses = [
        pretended_status(pod, {"nginx:1": "sha256:00"}, stamp="now", host_ip="h", pod_ip="p") for pod in pods
    ]

    assert [status["containerStatuses"][0]["restartCount"] for status in statuses] == [4, 3]


def test_pod_whose_image_cannot_be_pulled_stays_pending() -> None:
    answer = ("ErrImagePull", "not found")

    status = pretended_status(bound(), {"nginx:1": answer}, stamp="now", host_ip="h", pod_ip="p")

    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {
        "waiting": {"reason": "ErrImagePull", "message": "not found"}
    }
