"""Scan pods that cannot be made or started: what keeps them is said at once, and is no end.

Each cause comes about as in a cluster of users; after it is gone, the scan gets its result by itself.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import NAMESPACE, Cluster, configure, pod, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import image_of_its_own, sample, until_event, until_phase
from trivyop.kube.resources import (
    CONFIGMAPS,
    IMAGESCANS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    SERVICEACCOUNTS,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.apiserver.faults import Rule
from trivyop.sandbox.controllers.scheduler import PERSISTENTVOLUMECLAIMS, STORAGECLASSES
from trivyop.sandbox.registry.samples import sample_images
from trivyop.settings.configmaps import TRIVY_CONFIG

Json = dict[str, Any]
RESOURCEQUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
LIMITRANGES = Resource("", "v1", "limitranges", "LimitRange")
PRIORITYCLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False)
CLAIM: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
DENIED = 'admission webhook "policy.example" denied the request: label team is missing'
UNANSWERED = (
    'Internal error occurred: failed calling webhook "policy.example": failed to call webhook: '
    'Post "https://policy.example.svc:443/": no endpoints available for service "policy"'
)
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
    environ: dict[str, str] = field(default_factory=dict[str, str])


async def set_up(cluster: Cluster, settings: dict[str, str]) -> None:
    """Write settings where users write them: Trivy's own, and the operator's."""
    texts = {name: text.replace("REGISTRY", cluster.registry) for name, text in settings.items()}
    trivy = {name: text for name, text in texts.items() if name.startswith("trivy.")}
    await configure(cluster, {name: text for name, text in texts.items() if name not in trivy})
    key = ObjectKey(NAMESPACE, TRIVY_CONFIG)
    assert await cluster.api.patch(CONFIGMAPS, key, {"data": trivy}) is not None


async def label_node(cluster: Cluster) -> None:
    await cluster.api.patch(NODES, ObjectKey("", "sandbox-node"), {"metadata": {"labels": {"disk": "fast"}}})


async def create(cluster: Cluster, resource: Resource, name: str, spec: Json) -> None:
    meta = {"name": name, "namespace": NAMESPACE}
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
    await cluster.api.create(resource, body | ({"spec": spec} if spec else {}))


def limits(*, most: str = "", default: str = "") -> Json:
    amounts = {"max": {"memory": most}} if most else {"default": {"memory": default}}
    return {"limits": [{"type": "Container", **amounts}]}


async def enforce(cluster: Cluster, level: str | None) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    await cluster.api.patch(NAMESPACES, ObjectKey("", NAMESPACE), {"metadata": {"labels": labels}})


async def remove(cluster: Cluster, resource: Resource) -> None:
    assert await cluster.api.delete(resource, ObjectKey(NAMESPACE, "mine"))


async def create_in_cluster(cluster: Cluster, resource: Resource, **fields: Any) -> None:
    """Create an object without a namespace or a spec."""
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "mine"}}
    await cluster.api.create(resource, body | fields)


def webhook(code: int, message: str, *, user_agent: str, resource: Resource) -> Act:
    """What a server answers who has such a webhook."""

    async def begin(cluster: Cluster) -> None:
        reason = {400: "BadRequest", 403: "Forbidden", 500: "InternalError"}[code]
        rule = Rule(
            code=code,
            reason=reason,
            message=message,
            retry_after=None,
            user_agent=user_agent,
            verb="create",
            resource=resource.plural,
        )
        cluster.server.faults.add(rule)

    return begin


async def remove_webhook(cluster: Cluster) -> None:
    cluster.server.faults.clear()


def volume(source: Json) -> dict[str, str]:
    """Settings for scan pods with that volume."""
    mounts = [{"name": "mine", "mountPath": "/mine"}]
    return {
        "scanJob.customVolumes": json.dumps([{"name": "mine", **source}]),
        "scanJob.customVolumesMount": json.dumps(mounts),
    }


async def push_image(cluster: Cluster) -> None:
    registry = cluster.sandbox.registry
    assert registry is not None
    registry.put("mirror/trivy:0.76.0", image_of_its_own("trivy"))


CASES = {
    "quota": Case(
        "admission",
        "exceeded quota: mine, requested: pods=1, used: pods=0, limited: pods=0",
        "Raise the ResourceQuota",
        begin=lambda cluster: create(cluster, RESOURCEQUOTAS, "mine", {"hard": {"pods": "0"}}),
        end=lambda cluster: remove(cluster, RESOURCEQUOTAS),
    ),
    "quota-that-wants-limits": Case(
        "admission",
        "failed quota: mine: must specify limits.cpu for: ",
        "trivy.resources.limits",
        begin=lambda cluster: create(cluster, RESOURCEQUOTAS, "mine", {"hard": {"limits.cpu": "100"}}),
        end=lambda cluster: remove(cluster, RESOURCEQUOTAS),
    ),
    "quota-of-jobs": Case(
        "admission",
        "exceeded quota: mine, requested: count/jobs.batch=1, used: count/jobs.batch=0",
        "Raise the ResourceQuota",
        begin=lambda cluster: create(cluster, RESOURCEQUOTAS, "mine", {"hard": {"count/jobs.batch": "0"}}),
        end=lambda cluster: remove(cluster, RESOURCEQUOTAS),
    ),
    "pod-security": Case(
        "admission",
        'violates PodSecurity "restricted:latest": restricted volume types (volume "mine" uses restricted '
        'volume type "hostPath")',
        "pod-security.kubernetes.io/enforce",
        begin=lambda cluster: enforce(cluster, "restricted"),
        end=lambda cluster: enforce(cluster, None),
        settings=volume({"hostPath": {"path": "/mine"}}),
    ),
    "limit-range": Case(
        "admission",
        "maximum memory usage per Container is 1Mi, but limit is 500M",
        "within the LimitRange",
        settings={"trivy.resources.limits.memory": "500M"},
        begin=lambda cluster: create(cluster, LIMITRANGES, "mine", limits(most="1Mi")),
        end=lambda cluster: remove(cluster, LIMITRANGES),
    ),
    "limit-range-below-the-request": Case(
        "admission",
        "must be less than or equal to memory limit of 1Mi",
        "within the LimitRange",
        begin=lambda cluster: create(cluster, LIMITRANGES, "mine", limits(default="1Mi")),
        end=lambda cluster: remove(cluster, LIMITRANGES),
        settings={"trivy.resources.requests.memory": "100M"},
    ),
    "service-account": Case(
        "admission",
        'error looking up service account trivy-system/mine: serviceaccount "mine" not found',
        "Create the service account",
        environ={"OPERATOR_SERVICE_ACCOUNT": "mine"},
        end=lambda cluster: create(cluster, SERVICEACCOUNTS, "mine", {}),
    ),
    "volume": Case(
        "pod-start",
        'MountVolume.SetUp failed for volume "mine" : configmap "mine" not found',
        "Create the Secret or ConfigMap",
        settings=volume({"configMap": {"name": "mine"}}),
        end=lambda cluster: create(cluster, CONFIGMAPS, "mine", {}),
    ),
    "claim": Case(
        "unschedulable",
        'persistentvolumeclaim "mine" not found',
        "Correct scanJob.customVolumes",
        settings=volume({"persistentVolumeClaim": {"claimName": "mine"}}),
        end=lambda cluster: create(cluster, PERSISTENTVOLUMECLAIMS, "mine", CLAIM),
    ),
    "claim-that-nothing-provisions": Case(
        "unschedulable",
        "pod has unbound immediate PersistentVolumeClaims",
        "Correct scanJob.customVolumes",
        settings=volume({"persistentVolumeClaim": {"claimName": "mine"}}),
        begin=lambda cluster: create(
            cluster, PERSISTENTVOLUMECLAIMS, "mine", CLAIM | {"storageClassName": "mine"}
        ),
        end=lambda cluster: create_in_cluster(cluster, STORAGECLASSES, provisioner="example.com/disks"),
    ),
    "priority-class": Case(
        "admission",
        "no PriorityClass with name mine was found",
        "Correct scanJob.podPriorityClassName",
        settings={"scanJob.podPriorityClassName": "mine"},
        end=lambda cluster: create_in_cluster(cluster, PRIORITYCLASSES, value=5),
    ),
    "webhook-that-denies-jobs": Case(
        "admission",
        DENIED,
        "Let the policy that the message names allow scan Jobs",
        begin=webhook(400, DENIED, user_agent="trivyop", resource=JOBS),
        end=remove_webhook,
    ),
    "webhook-that-denies-pods": Case(
        "admission",
        DENIED,
        "Let the policy that the message names allow scan Jobs",
        begin=webhook(403, DENIED, user_agent="sandbox-controllers", resource=PODS),
        end=remove_webhook,
    ),
    "webhook-that-does-not-answer-for-jobs": Case(
        "admission",
        UNANSWERED,
        "The admission webhook that the message names does not answer",
        begin=webhook(500, UNANSWERED, user_agent="trivyop", resource=JOBS),
        end=remove_webhook,
    ),
    "webhook-that-does-not-answer-for-pods": Case(
        "admission",
        UNANSWERED,
        "The admission webhook that the message names does not answer",
        begin=webhook(500, UNANSWERED, user_agent="sandbox-controllers", resource=PODS),
        end=remove_webhook,
    ),
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
        async with running_operator(cluster, clock=clock, environ=case.environ) as operator:
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


@pytest.mark.parametrize("restarted", [False, True], ids=["one-life", "two-lives"])
async def test_others_wait_without_jobs_of_their_own_and_follow_the_first(
    restarted: bool, tmp_path: Path
) -> None:
    names = [f"app{number}" for number in range(7)]
    clock = LeapingClock()
    images = {f"{name}/app:1": image_of_its_own(name) for name in names}
    case = CASES["quota"]
    assert case.begin is not None
    assert case.end is not None
    async with running_cluster(tmp_path, clock=clock, images={**sample_images(), **images}) as cluster:
        await case.begin(cluster)
        await cluster.create(*(pod(name, "shop", app=cluster.image(f"{name}/app:1")) for name in names))
        async with running_operator(cluster, clock=clock):
            stuck = await cluster.until(
                lambda scans: len(scans) == len(names) and all(has_reason(scan) for scan in scans),
                IMAGESCANS,
                NAMESPACE,
            )
            made = cluster.scan_jobs_created()
            if not restarted:
                await case.end(cluster)
                clock.leap(16)
                await cluster.until_settled()
        if restarted:
            await case.end(cluster)
            async with running_operator(cluster, clock=clock):
                await cluster.until_settled()

    phases = sorted(scan["status"]["phase"] for scan in stuck)
    assert made == 4, "as many as may run at once"
    assert phases == ["Failed"] * 4 + ["Queued"] * 3
    assert all("exceeded quota" in scan["status"]["message"] for scan in stuck)


def has_reason(scan: Json) -> bool:
    return scan.get("status", {}).get("reason") == "admission"
