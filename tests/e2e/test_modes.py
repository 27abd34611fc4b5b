"""Ways to run the operator: with a Trivy server, in some namespaces only, for some workloads only."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import (
    NAMESPACE,
    TRIVY,
    Cluster,
    deployment,
    pod,
    reported,
    running_cluster,
    running_operator,
)
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import until_status
from tests.e2e.programs import ROOT
from tests.kinds import REPORT_KINDS
from tests.patience import patience
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    CONFIGMAPS,
    IMAGESCANS,
    SECRETS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.registry.samples import EXPECTED_FINDINGS

Json = dict[str, Any]

TRIVY_CONFIG = "trivy-operator-trivy-config"
TOKEN = "t0ken"
TENANT = "tenant"
BASE = ROOT / "deploy" / "kustomize" / "base"
RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLES = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
ROLE_BINDINGS = Resource(RBAC, "v1", "rolebindings", "RoleBinding")


# with a Trivy server


@asynccontextmanager
async def trivy_server(cluster: Cluster) -> AsyncGenerator[str]:
    """A Trivy server on loopback that asks for a token; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    log = cluster.directory / "server.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(TRIVY, "server", "--listen", address, "--cache-dir", str(cluster.directory / "server")),
            *("--db-repository", f"{cluster.registry}/trivy-db:2"),
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TRIVY_TOKEN": TOKEN},
            stdout=output,
            stderr=output,
        )
    try:
        async with patience(60):
            while "Listening" not in (told := log.read_text()):
                assert process.returncode is None, told
                await asyncio.sleep(0.05)
        yield f"http://{address}"
    finally:
        process.kill()
        await process.wait()


async def use_server(cluster: Cluster, url: str) -> None:
    """Configure the mode ClientServer, as users do: the address in a ConfigMap, the token in a Secret."""
    key = ObjectKey(NAMESPACE, TRIVY_CONFIG)
    await cluster.api.patch(CONFIGMAPS, key, {"data": {"trivy.mode": "ClientServer", "trivy.serverURL": url}})
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "stringData": {"trivy.serverToken": TOKEN},
    }
    await cluster.api.create(SECRETS, secret)


async def test_trivy_server_scans_and_matches_with_its_database_alone(tmp_path: Path) -> None:
    """Neither scan pods nor the operator fetch one."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster, trivy_server(cluster) as url:
        registry = cluster.sandbox.registry
        assert registry is not None
        image = cluster.image("shop/web:1.0")
        await use_server(cluster, url)
        await cluster.create(deployment("web", "shop", web=image))
        async with running_operator(cluster, clock=clock):
            await cluster.until_reported("shop/ReplicaSet/web/web")
            await cluster.until_settled()
            clock.leap(25 * 3600)  # the result is due
            await until_status(cluster, image, lambda status: status.get("source") == "Rematch")
            (report,) = await cluster.list(VULNERABILITYREPORTS)
        databases = registry.blob_pulls["trivy-db"]
        jobs = cluster.scan_jobs_created()

    found = {
        (one["vulnerabilityID"], one["resource"], one["severity"])
        for one in report["report"]["vulnerabilities"]
    }
    assert found == EXPECTED_FINDINGS["shop/web:1.0", "linux/amd64"].vulnerabilities
    assert databases == 1, "the server's own"
    assert jobs == 1


# with permissions in some namespaces


async def allow(cluster: Cluster, *namespaces: str) -> None:
    """Give a user what the manifests give the operator, but in these namespaces and its own only."""
    objects = [one for one in yaml.safe_load_all((BASE / "rbac.yaml").read_text()) if one]
    rules = {
        one["kind"]: one["rules"]
        for one in objects
        if one["kind"] in ("ClusterRole", "Role") and one["metadata"]["name"] == "trivyop"
    }
    in_namespaces = [rule for rule in rules["ClusterRole"] if rule["resources"] != ["namespaces"]]
    for name, role in (("tenant-looks", in_namespaces), ("tenant-scans", rules["Role"])):
        await cluster.api.create(
            CLUSTER_ROLES, {**_rbac("ClusterRole"), "metadata": {"name": name}, "rules": role}
        )
    for name, places in (("tenant-looks", (NAMESPACE, *namespaces)), ("tenant-scans", (NAMESPACE,))):
        for place in places:
            await cluster.api.create(
                ROLE_BINDINGS,
                {
                    **_rbac("RoleBinding"),
                    "metadata": {"name": name, "namespace": place},
                    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
                    "subjects": [{"apiGroup": RBAC, "kind": "User", "name": TENANT}],
                },
            )


def _rbac(kind: str) -> Json:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind}


async def test_permissions_in_the_target_namespaces_are_enough(tmp_path: Path) -> None:
    """Even nodes and bills of materials, which are of no namespace, need not be readable."""
    async with running_cluster(tmp_path) as cluster:
        await cluster.create(
            deployment("web", "shop", web=cluster.image("library/single:1")),
            pod("cache", "data", cache=cluster.image("library/cache:7")),
            pod("other", "other", other=cluster.image("library/clean:1")),
        )
        await allow(cluster, "shop", "data")
        targets = {"OPERATOR_TARGET_NAMESPACES": "shop, data"}
        async with running_operator(cluster, user=TENANT, environ=targets) as operator:
            await cluster.until_reported("shop/ReplicaSet/web/web", "data/Pod/cache/cache")
            await cluster.until_settled()
            before = await cluster.list(VULNERABILITYREPORTS, "data")

            await cluster.api.delete(VULNERABILITYREPORTS, ObjectKey("data", before[0]["metadata"]["name"]))

            (after,) = await cluster.until(
                lambda found: bool(found) and found[0]["metadata"]["uid"] != before[0]["metadata"]["uid"],
                VULNERABILITYREPORTS,
                "data",
            )
            await cluster.until_settled()
            await cluster.until_reported("shop/ReplicaSet/web/web", "data/Pod/cache/cache")
            ready = operator.health.problems()
        scans = await cluster.list(IMAGESCANS)
        boms = await cluster.list(CLUSTERSBOMREPORTS)
        refused = {one.path for one in cluster.requests if one.user == TENANT and one.status == 403}

    assert after["report"]["summary"] == before[0]["report"]["summary"]
    assert ready == {}
    assert boms == []
    assert {scan["spec"]["image"].rpartition("/")[2] for scan in scans} == {"single:1", "cache:7"}
    assert "/api/v1/namespaces/data" in refused, "it was asked whether the namespace is being deleted"
    assert not [path for path in refused if "/other/" in path]


# what is looked at


async def test_only_workloads_of_target_kinds_outside_excluded_namespaces_are_scanned(
    tmp_path: Path,
) -> None:
    """An exclusion counts for namespaces that are named as targets, too."""
    image, namespaces = "library/single:1", ("shop", "shop-test", "team-a", "team-b", "elsewhere")
    environ = {
        "OPERATOR_TARGET_WORKLOADS": "ReplicaSet,StatefulSet",
        "OPERATOR_TARGET_NAMESPACES": "shop,shop-test,team-a,team-b",
        "OPERATOR_EXCLUDE_NAMESPACES": "*-test,team-[b-z]",
    }
    async with running_cluster(tmp_path) as cluster:
        for namespace in namespaces:
            await cluster.create(
                deployment("web", namespace, web=cluster.image(image)),
                pod("bare", namespace, bare=cluster.image("shop/legacy:0.1")),
            )
        async with running_operator(cluster, environ=environ):
            await cluster.until_reported("shop/ReplicaSet/web/web", "team-a/ReplicaSet/web/web")
            # what comes last is served after all the rest
            await cluster.create(deployment("last", "team-a", last=cluster.image("library/clean:1")))
            await cluster.until(
                lambda found: "team-a/ReplicaSet/last/last" in reported(found), VULNERABILITYREPORTS
            )
            await cluster.until_settled()
        (scan,) = [scan for scan in await cluster.list(IMAGESCANS) if scan["spec"]["image"].endswith(image)]
        scans = len(await cluster.list(IMAGESCANS))
        found = {kind: reported(await cluster.list(kind)) for kind in REPORT_KINDS}

    assert {one["namespace"] for one in scan["spec"]["requestedBy"]} == {"shop", "team-a"}
    assert scans == 2
    for of_kind in found.values():
        assert of_kind == {
            "shop/ReplicaSet/web/web",
            "team-a/ReplicaSet/web/web",
            "team-a/ReplicaSet/last/last",
        }
