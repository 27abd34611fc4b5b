"""Scan pods that cannot be made or started: what keeps them is said at once, and is no end.

Each cause comes about as in a cluster of users; after it is gone, the scan gets its result by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import NAMESPACE, Cluster, configure, pod, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import image_of_its_own, sample, until_event, until_phase
from trivyop.controllers.configuration import TRIVY_CONFIG
from trivyop.kube.resources import CONFIGMAPS, JOBS, NODES, ObjectKey

Json = dict[str, Any]
Act = Callable[[Cluster], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One cause: how it comes about, what it is called, and how it goes."""

    failure_class: str
    words: str
    remedy: str
    begin: Act | None = None
    end: Act | None = None
    settings: dict[str, str] = field(default_factory=dict[str, str])


async def set_up(cluster: Cluster, settings: dict[str, str]) -> None:
    """Write settings where users write them: Trivy's own, and the operator's."""
    texts = {name: text.replace("REGISTRY", cluster.registry) for name, text in settings.items()}
    trivy = {name: text for name, text in texts.items() if name.startswith("trivy.")}
    await configure(cluster, {name: text for name, text in texts.items() if name not in trivy})
    key = ObjectKey(NAMESPACE, TRIVY_CONFIG)
    assert await cluster.api.patch(CONFIGMAPS, key, {"data": trivy}) is not None


async def label_node(cluster: Cluster) -> None:
    await cluster.api.patch(NODES, ObjectKey("", "sandbox-node"), {"metadata": {"labels": {"disk": "fast"}}})


async def push_image(cluster: Cluster) -> None:
    registry = cluster.sandbox.registry
    assert registry is not None
    registry.put("mirror/trivy:0.76.0", image_of_its_own("trivy"))


CASES = {
    "image": Case(
        "scanner-image",
        "not found",
        "Correct trivy.repository or trivy.tag",
        settings={"trivy.repository": "REGISTRY/mirror/trivy", "trivy.tag": "0.76.0"},
        end=push_image,
    ),
    "node-selector": Case(
        "unschedulable",
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector",
        "scanJob.nodeSelector",
        settings={"scanJob.nodeSelector": '{"disk":"fast"}'},
        end=label_node,
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_pod_that_does_not_start_says_why_and_is_scanned_once_it_can(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        if case.begin is not None:
            await case.begin(cluster)
        image = cluster.image("library/single:1")
        await cluster.create(pod("app", "shop", app=image))
        await set_up(cluster, case.settings)
        async with running_operator(cluster, clock=clock) as operator:
            failed = await until_phase(cluster, image, "Failed", seconds=12)
            event = await until_event(cluster, "shop", "app", "ImageScanFailed")
            await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)
            slots = sample(operator, "trivyop_scan_jobs_running")

            assert case.end is not None
            await case.end(cluster)
            clock.leap(16)
            done = await until_phase(cluster, image, "Succeeded")

    assert failed["reason"] == case.failure_class
    assert case.words in failed["message"]
    assert failed["nextRetry"]
    assert case.remedy in event["message"]
    assert slots == 0
    assert not {"reason", "message", "consecutiveFailures"} & set(done)
