"""What tests of audits share: resources to audit, and ways to look at their reports."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.e2e.harness import NAMESPACE, Cluster, running_operator
from trivyop.app import Operator
from trivyop.control.clock import Clock
from trivyop.controllers.policies import POLICIES_CONFIG
from trivyop.kube.resources import CONFIGMAPS, NAMESPACES, ObjectKey, Resource

Json = dict[str, Any]
AUDITS_ONLY = {
    "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "true",
    "OPERATOR_VULNERABILITY_SCANNER_ENABLED": "false",
    "OPERATOR_EXPOSED_SECRET_SCANNER_ENABLED": "false",
    "OPERATOR_SBOM_GENERATION_ENABLED": "false",
}


@asynccontextmanager
async def auditing(
    cluster: Cluster,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    user: str = "admin",
) -> AsyncGenerator[Operator]:
    """The operator, auditing and doing nothing else."""
    async with running_operator(
        cluster, environ={**AUDITS_ONLY, **(environ or {})}, clock=clock, user=user
    ) as operator:
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


async def need_namespace(cluster: Cluster, name: str) -> None:
    if await cluster.api.get(NAMESPACES, ObjectKey("", name)) is None:
        await cluster.api.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        )


async def set_policies(cluster: Cluster, data: Mapping[str, str]) -> None:
    """Write the ConfigMap with custom policies."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": POLICIES_CONFIG, "namespace": NAMESPACE},
        "data": dict(data),
    }
    await cluster.api.apply(CONFIGMAPS, body)


async def until_audited(
    cluster: Cluster,
    kind: Resource,
    name: str,
    namespace: str = "shop",
    *,
    check: str = "",
    seconds: float = 60,
) -> Json:
    """Wait for the report called `name`, if need be until it has a failed check of that id."""
    found = await cluster.until(
        lambda reports: (
            any(one["metadata"]["name"] == name and check in failed(one) for one in reports)
            if check
            else any(one["metadata"]["name"] == name for one in reports)
        ),
        kind,
        namespace,
        seconds=seconds,
        what=f"{name} with {check or 'anything'}",
    )
    (report,) = [one for one in found if one["metadata"]["name"] == name]
    return report


def failed(report: Json) -> set[str]:
    """The ids of the checks that a report says failed."""
    return {row["checkID"] for row in report["report"]["checks"] if not row["success"]}
