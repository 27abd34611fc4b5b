"""Report writes through the whole reconcile, against bare requests with the same bodies to the same server.

The operator starts on a namespace where one pod of 100 has its reports; it finds them, and makes those of the
others. Then the same reports are applied to another namespace by nothing but the API client. That is done
three times, so that what else the machine does hits both.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

from tests.bench.figures import Figure
from tests.bench.server import separate_server
from trivyop.app import Operator
from trivyop.cli.manifests import crds
from trivyop.control.clock import SystemClock
from trivyop.controllers.images.delivery import WRITES_AT_ONCE
from trivyop.controllers.selecting import build_options
from trivyop.kube.client import Api
from trivyop.kube.resources import (
    CRDS,
    EXPOSEDSECRETREPORTS,
    NAMESPACES,
    NODES,
    PODS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.report.findings import Findings, Severity, Vulnerability
from trivyop.report.sbom import build_sbom_report
from trivyop.report.secret import build_secret_report
from trivyop.report.vulnerability import build_vulnerability_report
from trivyop.settings import load_settings
from trivyop.workload.images import ContainerImage, ContainerKind
from trivyop.workload.objects import Pod
from trivyop.workload.owners import WorkloadKind
from trivyop.workload.resolve import Workload, spec_hash

_PODS = 100
_ROUNDS = 3
_FINDINGS = 100
_DIGEST = "sha256:" + "5" * 64
_IMAGE = "registry.example.com/shop/web:1.0"
_KINDS = (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS, SBOMREPORTS)
_ENVIRON = {
    "OPERATOR_NAMESPACE": "trivy-system",
    "OPERATOR_METRICS_BIND_ADDRESS": "127.0.0.1:0",
    "OPERATOR_HEALTH_PROBE_BIND_ADDRESS": "127.0.0.1:0",
    "OPERATOR_REMATCH_ENABLED": "false",
    "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "false",
    "OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED": "false",
    "OPERATOR_INFRA_ASSESSMENT_SCANNER_ENABLED": "false",
    "OPERATOR_CLUSTER_COMPLIANCE_ENABLED": "false",
}


async def measure() -> list[Figure]:
    """Measure both on one server, in turn."""
    written = (_PODS - 1) * len(_KINDS)
    reconciled, bare = 0.0, 0.0
    async with separate_server() as config, Api(config) as api:
        await _cluster(api)
        for n in range(_ROUNDS):
            namespace = f"shop-{n}"
            await api.create(NAMESPACES, {"metadata": {"name": namespace}})
            pods = [await _pod(api, namespace, f"web-{n:04d}") for n in range(_PODS)]
            await _first_reports(api, pods[0])
            reconciled += await _through_the_operator(api, namespace, written)
            bare += await _bare(api, namespace, written)
    count = written * _ROUNDS
    return [
        Figure("reports", "bare requests", count / bare, "writes/s"),
        Figure("reports", "whole reconcile", count / reconciled, "writes/s"),
        Figure("reports", "reconcile to bare", bare / reconciled, "x", 0.7),
    ]


async def _cluster(api: Api) -> None:
    for crd in crds():
        await api.apply(CRDS, crd)
    for name in ("bare", "trivy-system"):
        await api.create(NAMESPACES, {"metadata": {"name": name}})
    await api.create(NODES, {"metadata": {"name": "n1"}})
    info = {"nodeInfo": {"operatingSystem": "linux", "architecture": "amd64"}}
    await api.patch(NODES, ObjectKey("", "n1"), {"status": info}, subresource="status")


async def _pod(api: Api, namespace: str, name: str) -> dict[str, Any]:
    spec = {"nodeName": "n1", "containers": [{"name": "web", "image": _IMAGE}]}
    await api.create(PODS, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
    status = {"phase": "Running", "containerStatuses": [_status()]}
    pod = await api.patch(PODS, ObjectKey(namespace, name), {"status": status}, subresource="status")
    assert pod is not None
    return pod


def _status() -> dict[str, Any]:
    return {
        "name": "web",
        "image": _IMAGE,
        "imageID": f"registry.example.com/shop/web@{_DIGEST}",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
    }


async def _first_reports(api: Api, pod: dict[str, Any]) -> None:
    """The reports of one pod, as an earlier life of the operator has left them."""
    key = ObjectKey(pod["metadata"]["namespace"], pod["metadata"]["name"])
    decoded = await api.get(PODS, key, Pod)
    assert decoded is not None
    container = ContainerImage("web", ContainerKind.REGULAR, _IMAGE, _DIGEST, "linux/amd64")
    workload = Workload(
        kind=WorkloadKind.POD.value,
        api_version="v1",
        key=key,
        uid=decoded.metadata.uid,
        labels={},
        annotations={},
        containers=(container,),
        spec_hash=spec_hash(decoded.spec),
    )
    options = build_options(load_settings(_ENVIRON))
    now = SystemClock().now()
    found = Findings(
        os_family="debian",
        os_name="12.4",
        scanner_version="0.76.0",
        vulnerabilities=tuple(
            Vulnerability(
                id=f"CVE-2026-{n:05d}",
                package=f"package-{n}",
                installed_version="1.0",
                fixed_version="1.1",
                severity=Severity.HIGH,
                title="a finding as long as findings are, give or take some words",
                primary_link=f"https://avd.aquasec.com/nvd/cve-2026-{n:05d}",
                purl=f"pkg:deb/debian/package-{n}@1.0?arch=amd64&distro=debian-12.4",
            )
            for n in range(_FINDINGS)
        ),
    )
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [
            {"bom-ref": f"p{n}", "name": f"package-{n}", "type": "library", "version": "1.0"}
            for n in range(_FINDINGS)
        ],
        "dependencies": [],
    }
    await api.apply(
        VULNERABILITYREPORTS, build_vulnerability_report(workload, container, found, options, now=now)
    )
    await api.apply(EXPOSEDSECRETREPORTS, build_secret_report(workload, container, found, options, now=now))
    await api.apply(
        SBOMREPORTS, build_sbom_report(workload, container, bom, options, scanner_version="0.76.0", now=now)
    )


async def _through_the_operator(api: Api, namespace: str, count: int) -> float:
    stop = asyncio.Event()
    operator = Operator(api, load_settings({**_ENVIRON, "OPERATOR_TARGET_NAMESPACES": namespace}))
    written = _written(operator, count)
    task = asyncio.create_task(operator.run(stop))
    while operator.health.problems():  # noqa: ASYNC110 - it tells by no event
        await asyncio.sleep(0.01)
    began = time.perf_counter()
    await written.wait()
    spent = time.perf_counter() - began
    stop.set()
    await task
    return spent


def _written(operator: Operator, count: int) -> asyncio.Event:
    """Is set once it has written so many; to ask its registry again and again would take its time."""
    enough = asyncio.Event()
    numbers = itertools.count(1)
    metrics = operator.surroundings.report_metrics
    wrote = metrics.wrote

    def counted(kind: str, size: int, *, truncated: bool) -> None:
        wrote(kind, size, truncated=truncated)
        if next(numbers) == count:
            enough.set()

    metrics.wrote = counted
    return enough


async def _bare(api: Api, namespace: str, count: int) -> float:
    """Apply the same bodies elsewhere; as the operator does, without reading the reports back."""
    kept = ("name", "labels", "annotations", "ownerReferences")
    bodies = [
        (kind, {**one, "metadata": {name: one["metadata"][name] for name in kept}})
        for kind in _KINDS
        for one in (await api.list(kind, type=dict[str, Any], namespace=namespace)).items
    ]
    for n, (_, body) in enumerate(bodies):
        body["metadata"] |= {"name": f"{namespace}-{n}", "namespace": "bare"}
    work = iter(bodies[:count])

    async def write() -> None:
        for kind, body in work:
            await api.apply(kind, body, metadata_only=True)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(WRITES_AT_ONCE):
            group.create_task(write())
    return time.perf_counter() - began
