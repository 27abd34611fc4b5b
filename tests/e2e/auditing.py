"""What tests of audits share: resources to audit, and ways to look at their reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.e2e.harness import NAMESPACE, Cluster, running_operator
from tests.patience import patience
from trivyop.app import Operator
from trivyop.control.clock import Clock
from trivyop.controllers.audits.policies import POLICIES_CONFIG
from trivyop.kube.resources import CONFIGMAPS, NAMESPACES, ObjectKey, Resource

Json = dict[str, Any]
AUDITS_ONLY = {
    "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "true",
    "OPERATOR_INFRA_ASSESSMENT_SCANNER_ENABLED": "false",  # it reads nodes as well
    "OPERATOR_VULNERABILITY_SCANNER_ENABLED": "false",
    "OPERATOR_EXPOSED_SECRET_SCANNER_ENABLED": "false",
    "OPERATOR_SBOM_GENERATION_ENABLED": "false",
}
SECRETS_CHECK = "AVD-KSV-0113"  # fails for who may read Secrets


@asynccontextmanager
async def auditing(
    cluster: Cluster,
    environ: Mapping[str, str] | None = None,
    *,
    clock: Clock | None = None,
    user: str = "admin",
) -> AsyncGenerator[Operator]:
    """The operator, auditing and doing nothing else."""
    environ = {**AUDITS_ONLY, **(environ or {})}
    async with running_operator(cluster, environ=environ, clock=clock, user=user) as operator:
        yield operator


def role(name: str, namespace: str = "shop", *, verbs: tuple[str, ...] = ("get",), **more: Any) -> Json:
    """A Role that lets read Secrets, which a check minds."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace, **more},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": list(verbs)}],
    }


def service(name: str, namespace: str = "shop", **more: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, **more},
        "spec": {"ports": [{"port": 80}], "selector": {"app": name}},
    }


async def create(cluster: Cluster, resource: Resource, *bodies: Json) -> None:
    """Create objects, and the namespaces they are in."""
    for body in bodies:
        await need_namespace(cluster, body["metadata"].get("namespace", ""))
        await cluster.api.create(resource, body)


async def need_namespace(cluster: Cluster, name: str) -> None:
    if name and await cluster.api.get(NAMESPACES, ObjectKey("", name)) is None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await cluster.api.create(NAMESPACES, body)


async def set_policies(cluster: Cluster, data: Mapping[str, str]) -> None:
    """Write the ConfigMap with custom policies."""
    meta = {"name": POLICIES_CONFIG, "namespace": NAMESPACE}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(data)}
    await cluster.api.apply(CONFIGMAPS, body)


async def until_report(
    cluster: Cluster,
    kind: Resource,
    name: str,
    namespace: str = "shop",
    *,
    check: str = "",
    but: Json | None = None,
    seconds: float = 90,
) -> Json:
    """Wait for the report called `name`: with a failed check of that id, and `but` another one than that."""

    def wanted(report: Json) -> bool:
        return (
            report["metadata"]["name"] == name
            and (not check or check in failed(report))
            and (but is None or basis(report) != basis(but))
        )

    found = await cluster.until(
        lambda reports: any(map(wanted, reports)),
        kind,
        namespace,
        seconds=seconds,
        what=f"{name} with {check or 'anything'}",
    )
    return next(filter(wanted, found))


async def until_gone(cluster: Cluster, kind: Resource, *names: str, namespace: str = "") -> None:
    await cluster.until(
        lambda reports: not {report["metadata"]["name"] for report in reports} & set(names),
        kind,
        namespace,
        seconds=90,
    )


def failed(report: Json) -> set[str]:
    """The ids of the checks that a report says failed."""
    return {row["checkID"] for row in report["report"]["checks"] if not row["success"]}


def basis(report: Json) -> tuple[str, str, str]:
    """What a report says that it was made from."""
    labels, uid = report["metadata"]["labels"], report["metadata"]["uid"]
    return labels["resource-spec-hash"], labels["plugin-config-hash"], uid


def names(reports: list[Json]) -> set[str]:
    return {report["metadata"]["name"] for report in reports}


def audits_done(operator: Operator) -> float:
    """How many audits have ended well so far."""
    return operator.registry.get_sample_value("trivyop_audits_total", {"outcome": "done"}) or 0.0


async def until_idle(operator: Operator) -> float:
    """Wait until no audit has ended for a while; returns how many have."""
    before, still = -1.0, 0
    async with patience(120):
        while still < 15:
            now = audits_done(operator)
            depth = operator.registry.get_sample_value("trivyop_audits_waiting") or 0.0
            still = still + 1 if now == before and not depth else 0
            before = now
            await asyncio.sleep(0.2)
    return before
