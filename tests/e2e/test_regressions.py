"""What once went wrong, and must not again: mostly Jobs too many, and Jobs that did not come.

Each of them took something unusual at a certain moment, which the other tests do not bring about.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    NAMESPACE,
    Cluster,
    pod,
    running_cluster,
    running_operator,
)
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import image_of_its_own, sample, until_phase, until_status
from tests.patience import patience
from trivyop.app import Operator
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.leader import LeadershipLostError
from trivyop.kube.resources import (
    CONFIGMAPS,
    CRDS,
    CRONJOBS,
    EXPOSEDSECRETREPORTS,
    IMAGESCANS,
    JOBS,
    LEASES,
    NODES,
    PODS,
    SBOMREPORTS,
    SECRETS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.sandbox.apiserver.faults import Rule
from trivyop.sandbox.registry.auth import Account, Auth
from trivyop.sandbox.registry.faults import Fault
from trivyop.sandbox.registry.samples import EXPECTED_FINDINGS, sample_images
from trivyop.sandbox.registry.vulndb import build_newer_database
from trivyop.settings.configmaps import ENVIRONMENT_CONFIG, read_settings, read_texts

Json = dict[str, Any]
FINE = "library/single:1"
WEB = ObjectKey("shop", "web")
DATABASE_UPDATED = "trivyop_database_updated_timestamp_seconds"


@contextmanager
def no_new_pods(cluster: Cluster) -> Generator[None]:
    """Jobs wait for their pods during the block, and nothing says why."""
    faults = cluster.server.faults
    rule = faults.add(Rule(silent=True, user_agent="sandbox-controllers", verb="create", resource="pods"))
    try:
        yield
    finally:
        faults.rules.remove(rule)
        faults.break_silence()


async def ask_for_rescan(cluster: Cluster, image: str, *, now: str) -> None:
    """As a user asks: with the field of the ImageScan."""
    (scan,) = [one for one in await cluster.list(IMAGESCANS) if one["spec"]["image"] == image]
    key = ObjectKey(NAMESPACE, scan["metadata"]["name"])
    await cluster.api.patch(IMAGESCANS, key, {"spec": {"rescanAfter": now}}, field_manager="kubectl")


def names_of(objects: list[Json]) -> list[str]:
    return sorted(one["metadata"]["name"] for one in objects)


# Jobs that stay


async def test_scan_job_that_cannot_go_stands_in_nobodys_way(tmp_path: Path) -> None:
    """Somebody's finalizer keeps it; it is deleted once, and all later work is done beside it."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        image = cluster.image(FINE)
        await cluster.create(pod("web", "shop", web=image))
        async with running_operator(cluster, clock=clock):
            with no_new_pods(cluster):
                (job,) = await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)
                key = ObjectKey(NAMESPACE, job["metadata"]["name"])
                finalizers = {"metadata": {"finalizers": ["example.org/audit"]}}
                await cluster.api.patch(JOBS, key, finalizers)
            await cluster.until_reported("shop/Pod/web/web")
            await cluster.until(lambda jobs: "deletionTimestamp" in jobs[0]["metadata"], JOBS, NAMESPACE)

            await cluster.create(pod("copy", "shop", other=image))
            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/copy/other")
            before = cluster.scan_jobs_created()
            await ask_for_rescan(cluster, image, now=clock.now().isoformat())
            again = await until_status(
                cluster, image, lambda status: status["attempts"] == 2 and status["phase"] == "Succeeded"
            )
            left = await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)
        deletes = [
            one
            for one in cluster.requests
            if one.method == "DELETE" and one.path.endswith(f"/jobs/{key.name}")
        ]

    assert len(deletes) == 1
    assert before == 1
    assert again["job"] != key.name
    assert names_of(left) == [key.name]
    assert cluster.scan_jobs_created() == 2


async def test_kept_job_is_not_read_again_in_place_of_one_that_was_deleted(tmp_path: Path) -> None:
    """Its result is of before the rescan that somebody asked for."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        image = cluster.image(FINE)
        await cluster.create(pod("web", "shop", web=image))
        async with running_operator(cluster, clock=clock, environ={"OPERATOR_SCAN_JOB_TTL": "24h"}):
            first = await until_phase(cluster, image, "Succeeded")
            with no_new_pods(cluster):
                await ask_for_rescan(cluster, image, now=clock.now().isoformat())
                second = await until_status(
                    cluster, image, lambda status: (status["attempts"], status["phase"]) == (2, "Running")
                )
                await cluster.api.delete(JOBS, ObjectKey(NAMESPACE, second["job"]))
                third = await until_status(
                    cluster, image, lambda status: status["attempts"] == 3, what="begun anew"
                )
            last = await until_phase(cluster, image, "Succeeded")
            kept = await cluster.list(JOBS, NAMESPACE)

    assert third["lastSuccess"] == first["lastSuccess"]
    assert last["lastSuccess"] > first["lastSuccess"]
    assert last["attempts"] == 3
    assert names_of(kept) == sorted((first["job"], last["job"]))


# credentials and registries


async def test_credentials_of_a_scan_go_with_its_job(tmp_path: Path) -> None:
    clock = LeapingClock()
    account = Account("teller", "correct horse")
    images = {**sample_images(), "private/app:1": image_of_its_own("private")}
    async with running_cluster(
        tmp_path, clock=clock, images=images, auth=Auth({"private/": account})
    ) as cluster:
        image = cluster.image("private/app:1")
        app = pod("app", "shop", app=image)
        app["spec"]["imagePullSecrets"] = [{"name": "registry"}]
        await cluster.create(app)
        before = names_of(await cluster.list(SECRETS, NAMESPACE))

        async with running_operator(cluster, clock=clock):
            await give_login(cluster, Account("teller", "wrong"))
            with no_new_pods(cluster):
                (job,) = await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)
                during = await cluster.until(
                    lambda secrets: len(secrets) > len(before), SECRETS, NAMESPACE, what="with credentials"
                )
            failed = await until_phase(cluster, image, "Failed")
            await give_login(cluster, account)
            clock.leap_to(failed["nextRetry"])
            await until_phase(cluster, image, "Succeeded")
            await cluster.until_settled()
            await cluster.until(lambda secrets: names_of(secrets) == before, SECRETS, NAMESPACE)
        jobs = cluster.scan_jobs_created()

    (given,) = [secret for secret in during if secret["metadata"]["name"] not in before]
    assert [owner["uid"] for owner in given["metadata"]["ownerReferences"]] == [job["metadata"]["uid"]]
    assert failed["reason"] == "auth"
    assert jobs == 2


async def give_login(cluster: Cluster, account: Account) -> None:
    """Write the Secret ``shop/registry`` that a pod pulls with."""
    login = {"auths": {cluster.registry: {"username": account.user, "password": account.password}}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "registry", "namespace": "shop"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(login).encode()).decode()},
    }
    await cluster.api.apply(SECRETS, secret, field_manager="kubectl")


async def test_image_that_one_repository_refuses_is_scanned_from_another(tmp_path: Path) -> None:
    """The digest is the same, so is the scan: each name that it runs under gets its turn."""
    clock = LeapingClock()
    image = image_of_its_own("mirrored")
    images = {**sample_images(), "first/app:1": image, "second/app:1": image}
    async with running_cluster(tmp_path, clock=clock, images=images) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        for repository in ("first/", "second/"):
            registry.faults.set(repository, Fault.DENIED)
        await cluster.create(
            pod("one", "shop", app=cluster.image("first/app:1")),
            pod("two", "shop", app=cluster.image("second/app:1")),
        )
        async with running_operator(cluster, clock=clock):
            (scan,) = await cluster.until(
                lambda scans: bool(scans) and _has_failed(scans[0], attempts=2), IMAGESCANS
            )
            refused = scan["spec"]["image"]
            other = {"first": "second", "second": "first"}[refused.split("/")[1]]
            registry.faults.clear(f"{other}/")
            clock.leap_to(scan["status"]["nextRetry"])

            await cluster.until_reported("shop/Pod/one/app", "shop/Pod/two/app")
            await cluster.until_settled()
            (scan,) = await cluster.list(IMAGESCANS)
        jobs = cluster.scan_jobs_created()

    assert scan["spec"]["image"] == cluster.image(f"{other}/app:1")
    assert scan["status"]["attempts"] == jobs == 3, "both at once, and then the one that had its turn again"


def _has_failed(scan: dict[str, Any], *, attempts: int) -> bool:
    status = scan.get("status", {})
    return status.get("phase") == "Failed" and status.get("attempts") == attempts


# containers without a digest, nodes without a platform


async def test_restart_while_the_image_of_a_pending_pod_is_scanned_costs_no_second_job(
    tmp_path: Path,
) -> None:
    """It is scanned by its name, for want of a digest; a new life must not wait for one once more."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        pending = pod("pending", "shop", app=cluster.image(FINE))
        pending["spec"]["nodeSelector"] = {"no-node": "has-this"}
        await cluster.create(pending)
        async with running_operator(cluster, clock=clock):
            await cluster.until(bool, PODS, "shop")
            running = await until_scan_hangs(cluster, clock)

        assert await jobs_after_restart(cluster, clock) == [running]


async def test_restart_in_the_first_run_of_a_cron_job_costs_no_second_job(tmp_path: Path) -> None:
    """It was scanned by the image's name before it ever ran; now there is a pod that may tell a digest."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        await cluster.api.create(NODES, node("slow"))
        nightly = cron_job(cluster.image(FINE), node_name="slow")  # where nothing starts
        await cluster.create(nightly)
        async with running_operator(cluster, clock=clock):
            running = await until_scan_hangs(cluster, clock)
            (there,) = await cluster.list(CRONJOBS)
            await cluster.create(run_of(there))
            await cluster.until(bool, PODS, "shop")

        assert await jobs_after_restart(cluster, clock) == [running]


async def until_scan_hangs(cluster: Cluster, clock: LeapingClock) -> str:
    """Wait until the one scan Job runs, and let it run for ever; returns its uid."""
    registry = cluster.sandbox.registry
    assert registry is not None
    registry.faults.set("library/single", Fault.HANG)
    async with patience(60):
        while not await cluster.list(JOBS, NAMESPACE):
            clock.leap(31)  # for so long a digest is waited for, from when the operator hears of the workload
            await asyncio.sleep(0.2)
        await registry.hung.wait()
    (job,) = await cluster.list(JOBS, NAMESPACE)
    return job["metadata"]["uid"]


async def jobs_after_restart(cluster: Cluster, clock: LeapingClock) -> list[str]:
    """Run the operator again, and wait until it has looked at all; returns the uids of the scan Jobs."""
    await cluster.create(pod("last", "shop", last=cluster.image("library/clean:1")))
    async with running_operator(cluster, clock=clock):
        await cluster.until_reported("shop/Pod/last/last")
        jobs = await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)
    return [job["metadata"]["uid"] for job in jobs]


def node(name: str) -> Json:
    """A node that nothing runs, and that tells nothing yet."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def cron_job(image: str, *, node_name: str) -> Json:
    """The CronJob ``shop/nightly``; its pods are on a certain node."""
    containers = [{"name": "app", "image": image}]
    template = {"spec": {"restartPolicy": "Never", "nodeName": node_name, "containers": containers}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "namespace": "shop"},
        "spec": {"schedule": "0 4 1 1 *", "jobTemplate": {"spec": {"template": template}}},
    }


def run_of(cron_job: Json) -> Json:
    """A Job that the CronJob runs."""
    meta = cron_job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "nightly-1",
            "namespace": meta["namespace"],
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": cron_job["spec"]["jobTemplate"]["spec"],
    }


async def test_image_is_scanned_for_the_platform_of_a_node_that_tells_it_late(tmp_path: Path) -> None:
    """Until then the platform of the other nodes is the best guess."""
    image = "shop/gateway:3"
    async with running_cluster(tmp_path) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        reference = cluster.image(image)
        await cluster.api.create(NODES, node("edge"))
        web = pod("web", "shop", app=reference)
        web["spec"]["nodeName"] = "edge"
        await cluster.create(web)
        told: Json = {
            "name": "app",
            "image": reference,
            "imageID": f"{cluster.registry}/shop/gateway@{registry.digest(image)}",
            "ready": True,
            "restartCount": 0,
        }
        status: Json = {"phase": "Running", "containerStatuses": [{**told, "state": {"running": {}}}]}
        await cluster.api.patch(PODS, WEB, {"status": status}, subresource="status")
        async with running_operator(cluster):
            await cluster.until(
                lambda found: findings(found) == expected(image, "linux/amd64"), VULNERABILITYREPORTS
            )
            info = {"architecture": "arm64", "operatingSystem": "linux"}
            missing = ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage")
            missing += ("containerRuntimeVersion", "kubeletVersion", "kubeProxyVersion")
            await cluster.api.patch(
                NODES,
                ObjectKey("", "edge"),
                {"status": {"nodeInfo": {**dict.fromkeys(missing, ""), **info}}},
                subresource="status",
            )

            await cluster.until(
                lambda found: findings(found) == expected(image, "linux/arm64"), VULNERABILITYREPORTS
            )
            await cluster.until_reported("shop/Pod/web/app")
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 2


def findings(reports: list[Json]) -> frozenset[tuple[str, str, str]]:
    return frozenset(
        (one["vulnerabilityID"], one["resource"], one["severity"])
        for report in reports
        for one in report["report"]["vulnerabilities"]
    )


def expected(image: str, platform: str) -> frozenset[tuple[str, str, str]]:
    return EXPECTED_FINDINGS[image, platform].vulnerabilities


# databases, kinds and Leases


async def test_newer_database_pulls_no_image_without_bills_of_materials(tmp_path: Path) -> None:
    """It is worth matching anew, which is not possible then; the age of the reports decides."""
    clock = LeapingClock()
    without = {"OPERATOR_CLUSTER_SBOM_CACHE_ENABLED": "false"}
    async with running_cluster(tmp_path, clock=clock) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        await cluster.create(pod("web", "shop", web=cluster.image(FINE)))
        async with running_operator(cluster, clock=clock, environ=without) as operator:
            await cluster.until_reported("shop/Pod/web/web")
            await cluster.until_settled()
            before = sample(operator, DATABASE_UPDATED)
            registry.move_tag("trivy-db", "2", build_newer_database())
            clock.leap(12 * 3600)
            await cluster.until(lambda _: sample(operator, DATABASE_UPDATED) > before, IMAGESCANS)
            # the Job of what comes now outlasts all that the new database led to
            await cluster.create(pod("last", "shop", last=cluster.image("library/clean:1")))
            await cluster.until_reported("shop/Pod/web/web", "shop/Pod/last/last")
            await cluster.until_settled()

        assert cluster.scan_jobs_created() == 2


async def test_report_kind_that_was_deleted_causes_no_job_when_pods_change(tmp_path: Path) -> None:
    """The reports of that kind are lost, and so is their place: one scan finds out, no more."""
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image(FINE)
        await cluster.create(pod("web", "shop", web=image))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web")
            await cluster.until_settled()
            await cluster.api.delete(CRDS, ObjectKey("", EXPOSEDSECRETREPORTS.name))
            await until_status(cluster, image, lambda status: status["attempts"] == 2)
            await cluster.until_settled()

            for change in range(3):
                await cluster.api.patch(PODS, WEB, {"metadata": {"labels": {"change": str(change)}}})
                # whatever comes after a change is served after it
                await cluster.create(pod(f"last-{change}", "shop", last=cluster.image("library/clean:1")))
                for kind in (VULNERABILITYREPORTS, SBOMREPORTS):
                    await cluster.until(lambda found: len(found) == 2 + change, kind)  # noqa: B023
            await cluster.until_settled()
            scans = await cluster.list(IMAGESCANS)

    assert {scan["spec"]["image"]: scan["status"]["attempts"] for scan in scans} == {
        image: 2,
        cluster.image("library/clean:1"): 1,
    }


@pytest.mark.parametrize("cause", ["deleted", "forbidden"])
async def test_leader_that_lost_its_lease_ends_and_says_so(tmp_path: Path, cause: str) -> None:
    """As that, and not as whatever the server answered."""
    async with running_cluster(tmp_path) as cluster, running_api(cluster) as api:
        texts = await read_texts(cluster.api, CONFIGMAPS, ObjectKey(NAMESPACE, ENVIRONMENT_CONFIG))
        environ = {**texts, "OPERATOR_NAMESPACE": NAMESPACE, "OPERATOR_LEADER_ELECTION_ENABLED": "true"}
        operator = Operator(api, await read_settings(cluster.api, environ, NAMESPACE))
        running = asyncio.create_task(operator.run(asyncio.Event()))
        try:
            (lease,) = await cluster.until(lambda leases: len(leases) == 1, LEASES, NAMESPACE)
            await cluster.create(pod("web", "shop", web=cluster.image(FINE)))
            await cluster.until_reported("shop/Pod/web/web")

            if cause == "deleted":
                await cluster.api.delete(LEASES, ObjectKey(NAMESPACE, lease["metadata"]["name"]))
            else:
                cluster.server.faults.add(Rule(code=403, verb="update", resource="leases"))

            with pytest.raises(LeadershipLostError, match=lease["metadata"]["name"]):
                async with patience(30):
                    await running
        finally:
            running.cancel()
            await asyncio.wait([running])


@asynccontextmanager
async def running_api(cluster: Cluster) -> AsyncGenerator[Api]:
    """A client for an operator of its own."""
    config = await ClusterConfig.from_kubeconfig_dict(await cluster.kubeconfig())
    async with Api(config) as api:
        yield api
