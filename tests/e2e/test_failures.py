"""Failed scans: each says why, when it is tried again, and holds up no other.

Many bad images share one cluster: that the good ones among them get their reports is part of what is tested.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.foreign import foreign_kubeconfig, only_with_own_server
from tests.e2e.harness import NAMESPACE, Cluster, deployment, pod, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import (
    image_of_its_own,
    sample,
    status_of,
    until_event,
    until_phase,
    until_status,
)
from trivyop.kube.resources import (
    EXPOSEDSECRETREPORTS,
    IMAGESCANS,
    JOBS,
    PODS,
    SBOMREPORTS,
    SECRETS,
    SERVICEACCOUNTS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.sandbox.kubelet.faults import Fault as PodFault
from trivyop.sandbox.kubelet.faults import Kind
from trivyop.sandbox.registry.auth import Account, Auth
from trivyop.sandbox.registry.faults import Fault
from trivyop.sandbox.registry.oci import ARM64, Image
from trivyop.sandbox.registry.samples import sample_images

Json = dict[str, Any]
FINE = "fine"
TELLER = Account("teller", "correct horse")


@dataclass(frozen=True)
class Seen:
    """What there was to see of one image when all were done."""

    status: Json
    event: Json | None
    reports: int


@dataclass(frozen=True)
class Outcome:
    """What there was to see at the end, by name of the workload."""

    seen: dict[str, Seen]
    failures: dict[str, float]  # the metric, by class


async def outcome_of(cluster: Cluster, images: dict[str, str], classes: set[str]) -> Outcome:
    """Run a bare pod for each image (name -> reference), and wait until each is scanned or failed."""
    await cluster.create(*(pod(name, "bad", app=image) for name, image in images.items()))
    async with running_operator(cluster, clock=LeapingClock(pace=0.01)) as operator:  # without retries
        scans = await cluster.until(
            lambda scans: all(
                status_of(scans, image).get("phase") in ("Succeeded", "Failed") for image in images.values()
            ),
            IMAGESCANS,
            NAMESPACE,
            seconds=150,
            what="all scanned or failed",
        )
        failed = [name for name, image in images.items() if status_of(scans, image)["phase"] == "Failed"]
        events = {name: await until_event(cluster, "bad", name, "ImageScanFailed") for name in failed}
        reports = [
            one["metadata"]["labels"]["trivy-operator.resource.name"]
            for kind in (VULNERABILITYREPORTS, EXPOSEDSECRETREPORTS, SBOMREPORTS)
            for one in await cluster.list(kind, "bad")
        ]
        failures = {
            name: sample(operator, "trivyop_scan_failures_total", **{"class": name}) for name in classes
        }
    seen = {
        name: Seen(status_of(scans, image), events.get(name), reports.count(name))
        for name, image in images.items()
    }
    return Outcome(seen, failures)


def assert_told(seen: Seen, failure_class: str, words: str) -> None:
    """The failure is on the ImageScan and in an Event on the workload: class, message, next retry."""
    status = seen.status
    assert (status["phase"], status["reason"]) == ("Failed", failure_class), status
    assert words in status["message"]
    assert status["consecutiveFailures"] == 1
    (condition,) = [one for one in status["conditions"] if one["type"] == "Succeeded"]
    assert (condition["status"], condition["reason"]) == ("False", failure_class)
    if failure_class == "invalid-image":
        assert "nextRetry" not in status, "only a change of the workload can help"
    else:
        assert datetime.fromisoformat(status["nextRetry"]) > datetime.fromisoformat(status["lastAttempt"])
    assert seen.event is not None
    assert seen.event["type"] == "Warning"
    assert f"container app: {failure_class}: " in seen.event["message"]
    assert words in seen.event["message"]
    assert seen.reports == 0


# what images and registries do

_REGISTRY_FAULTS = {
    "denied": Fault.DENIED,
    "limited": Fault.TOO_MANY_REQUESTS,
    "rubbish": Fault.RUBBISH,
    "broken": Fault.SERVER_ERROR,
    "down": Fault.BAD_GATEWAY,
    "cut": Fault.TRUNCATED_BLOB,
}

OF_IMAGES = {
    "no-repository": ("not-found", "NAME_UNKNOWN"),
    "no-tag": ("not-found", "MANIFEST_UNKNOWN"),
    "no-digest": ("not-found", "MANIFEST_UNKNOWN"),
    "no-name": ("invalid-image", "is not a repository"),
    "no-platform": ("platform", "no child with platform linux/amd64"),
    "private": ("auth", "UNAUTHORIZED"),
    "denied": ("auth", "DENIED"),
    "limited": ("rate-limit", "TOOMANYREQUESTS"),
    "rubbish": ("network", "does not match requested digest"),
    "broken": ("network", "unknown error"),
    "down": ("network", "502"),
    "cut": ("network", "EOF"),
    "no-host": ("network", "no such host"),
}


def _needs_a_leaping_clock() -> None:
    if foreign_kubeconfig() is not None:
        only_with_own_server("a clock that leaps")


@pytest.fixture(scope="module")
def of_images(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    _needs_a_leaping_clock()
    return asyncio.run(_of_images(tmp_path_factory.mktemp("images")))


async def _of_images(directory: Path) -> Outcome:
    own = {f"{name}/app:1": image_of_its_own(name) for name in (*_REGISTRY_FAULTS, "private", FINE)}
    arm = Image.index(Image.build({"server": b"arm"}, platform=ARM64))
    images = {**sample_images(), **own, "no-platform/app:1": arm}
    async with running_cluster(
        directory, images=images, auth=Auth({"private/": TELLER}, nodes_may_pull=False)
    ) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        for name, fault in _REGISTRY_FAULTS.items():
            registry.faults.set(f"{name}/", fault)
        references = {name: cluster.image(f"{name}/app:1") for name in OF_IMAGES}
        references |= {
            "no-repository": cluster.image("nowhere/app:1"),
            "no-tag": cluster.image("fine/app:2"),
            "no-digest": cluster.image(f"fine/app@sha256:{'0' * 64}"),
            "no-name": "Shop/Web:1.0",
            "no-host": "registry.invalid/app:1",
            FINE: cluster.image("fine/app:1"),
        }
        return await outcome_of(
            cluster, references, {failure_class for failure_class, _ in OF_IMAGES.values()}
        )


@pytest.mark.parametrize("name", OF_IMAGES)
def test_failure_of_an_image_is_told_with_its_class(name: str, of_images: Outcome) -> None:
    failure_class, words = OF_IMAGES[name]
    assert_told(of_images.seen[name], failure_class, words)


def test_bad_images_hold_up_no_good_one(of_images: Outcome) -> None:
    assert of_images.seen[FINE].status["phase"] == "Succeeded"
    assert of_images.seen[FINE].reports == 3


def test_failures_are_counted_by_class(of_images: Outcome) -> None:
    classes = [failure_class for failure_class, _ in OF_IMAGES.values()]
    assert of_images.failures == {name: classes.count(name) for name in set(classes)}


# what scanners and nodes do

TRIVY = """\
#!/bin/sh
# A scanner that does what the name of the image says.
case "$*" in *--download-db-only*) exit 0 ;; esac
for word in "$@"; do
  [ "$previous" = --output ] && output=$word
  previous=$word
done
name=${previous##*/}
name=${name%%[@:]*}
if [ "$1" = convert ]; then
  echo '{"bomFormat":"CycloneDX","specVersion":"1.6"}' >"$output"
  exit 0
fi
layers='{"DiffIDs":["sha256:0"]}'
report() { printf '{"SchemaVersion":2,"ArtifactName":"%s","Metadata":%s,"Pad":"%s"}' "$1" "$layers" "$2"; }
case "$name" in
exit-*) echo "it ends with ${name#exit-}" >&2; exit "${name#exit-}" ;;
silent) exit 7 ;;
killed) kill -KILL $PPID; sleep 60 ;;
empty) : >"$output" ;;
foreign) echo '<html>welcome</html>' >"$output" ;;
no-report) echo '{"hello":"world"}' >"$output" ;;
next-schema) echo '{"SchemaVersion":3,"ArtifactName":"x"}' >"$output" ;;
other-image) report "example.org/another@sha256:0" >"$output" ;;
no-file) ;;
large) report "$previous" "$(head -c 200000 /dev/urandom | base64 | tr -d '\\n')" >"$output" ;;
*) report "$previous" >"$output" ;;
esac
"""

OF_SCANNERS = {
    "exit-1": ("scanner", "exit code 1: it ends with 1"),
    "exit-2": ("scanner", "exit code 2: it ends with 2"),
    "exit-3": ("scanner", "exit code 3: it ends with 3"),
    "exit-126": ("scanner-image", "exit code 126"),
    "exit-127": ("scanner-image", "exit code 127"),
    "exit-137": ("out-of-memory", "it ends with 137"),
    "exit-139": ("scanner", "exit code 139: Trivy crashed (it ends with 139)"),
    "exit-143": ("interrupted", "it ends with 143"),
    "exit-255": ("scanner", "exit code 255: it ends with 255"),
    "silent": ("scanner", "exit code 7: Trivy said nothing"),
    "killed": ("out-of-memory", "exit code 137"),
    "empty": ("parse", "Trivy's result is empty"),
    "foreign": ("parse", "<html>welcome"),
    "no-report": ("parse", "not a report of Trivy"),
    "next-schema": ("parse", "schema version 3"),
    "other-image": ("parse", "the result is of 'example.org/another@sha256:0'"),
    "no-file": ("scanner", "wrote no result.json"),
    "large": ("transport", "the log begins inside part '"),
    "oom": ("out-of-memory", "OOMKilled"),
    "evicted": ("out-of-memory", "low on resource: memory"),
}


@pytest.fixture(scope="module")
def of_scanners(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    _needs_a_leaping_clock()
    return asyncio.run(_of_scanners(tmp_path_factory.mktemp("scanners")))


async def _of_scanners(directory: Path) -> Outcome:
    programs = directory / "programs"
    programs.mkdir()
    (programs / "trivy").write_text(TRIVY)
    (programs / "trivy").chmod(0o755)
    async with running_cluster(directory, programs_first=programs, max_log_bytes=100_000) as cluster:
        kubelet = cluster.sandbox.kubelet
        assert kubelet is not None
        for name in ("oom", "evicted"):
            kubelet.faults.rules.append(_fault_of(f"example.org/{name}@", PodFault(Kind(name))))
        references = {name: f"example.org/{name}:1" for name in (*OF_SCANNERS, FINE)}
        return await outcome_of(cluster, references, {"parse", "scanner"})


def _fault_of(image: str, fault: PodFault) -> Any:
    return lambda pod: fault if image in str(pod["spec"]["containers"][0]["args"]) else None


@pytest.mark.parametrize("name", OF_SCANNERS)
def test_failure_of_the_scanner_is_told_with_its_class(name: str, of_scanners: Outcome) -> None:
    """Whatever Trivy's exit code, and whatever it wrote or did not write."""
    failure_class, words = OF_SCANNERS[name]
    assert_told(of_scanners.seen[name], failure_class, words)


def test_failing_scanners_hold_up_no_good_scan(of_scanners: Outcome) -> None:
    assert of_scanners.seen[FINE].status["phase"] == "Succeeded"
    assert of_scanners.seen[FINE].reports == 3


# what time and people do about it


async def test_hanging_registry_is_ended_by_the_jobs_deadline(tmp_path: Path) -> None:
    """Trivy's own time limit does not end a request that is never answered."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        image = cluster.image("shop/web:1.0")
        registry.faults.set("shop/web", Fault.HANG)
        await cluster.create(pod("web", "shop", app=image), pod("cache", "shop", app=fine_image(cluster)))
        async with running_operator(cluster, clock=clock):
            await until_phase(cluster, fine_image(cluster), "Succeeded")
            await registry.hung.wait()
            clock.leap(301)  # OPERATOR_SCAN_JOB_TIMEOUT is five minutes

            failed = await until_phase(cluster, image, "Failed")
            event = await until_event(cluster, "shop", "web", "ImageScanFailed")

            registry.faults.clear("shop/web")
            clock.leap_to(failed["nextRetry"])
            healed = await until_phase(cluster, image, "Succeeded")

    assert failed["reason"] == "timeout"
    assert "DeadlineExceeded" in failed["message"]
    assert "container app: timeout: " in event["message"]
    assert healed["attempts"] == 2


def fine_image(cluster: Cluster) -> str:
    return cluster.image("library/single:1")


async def test_retry_comes_at_its_time_and_success_clears_the_failure(tmp_path: Path) -> None:
    clock = LeapingClock()
    images = {**sample_images(), "private/app:1": image_of_its_own("private")}
    async with running_cluster(
        tmp_path, clock=clock, images=images, auth=Auth({"private/": TELLER})
    ) as cluster:
        image = cluster.image("private/app:1")
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock) as operator:
            failed = await until_phase(cluster, image, "Failed")
            await give_pull_secret(cluster, "shop")
            clock.leap_to(failed["nextRetry"])
            healed = await until_phase(cluster, image, "Succeeded")
            (report,) = await cluster.until(len, VULNERABILITYREPORTS)
            jobs = sample(operator, "trivyop_scan_jobs_total")

    assert failed["reason"] == "auth"
    assert healed["attempts"] == jobs == 2
    assert not {"reason", "message", "nextRetry", "consecutiveFailures"} & set(healed)
    (condition,) = [one for one in healed["conditions"] if one["type"] == "Succeeded"]
    assert condition["status"] == "True"
    assert "message" not in condition
    assert report["report"]["vulnerabilities"]


async def give_pull_secret(cluster: Cluster, namespace: str) -> None:
    """Let the pods of a namespace's default service account log in to the registry."""
    login = {"auths": {cluster.registry: {"username": TELLER.user, "password": TELLER.password}}}
    await cluster.api.create(
        SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "registry", "namespace": namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": json.dumps(login)},
        },
    )
    await cluster.until(
        lambda accounts: "default" in {one["metadata"]["name"] for one in accounts},
        SERVICEACCOUNTS,
        namespace,
    )
    await cluster.api.patch(
        SERVICEACCOUNTS, ObjectKey(namespace, "default"), {"imagePullSecrets": [{"name": "registry"}]}
    )


async def test_failures_in_a_row_are_further_and_further_apart(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        image = cluster.image("shop/none:1")
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock):
            waits: list[float] = []
            for failures in (1, 2, 3):
                failed = await until_status(
                    cluster,
                    image,
                    lambda status: status.get("consecutiveFailures") == failures,  # noqa: B023
                )
                due = datetime.fromisoformat(failed["nextRetry"])
                waits.append((due - clock.now()).total_seconds())
                clock.leap_to(failed["nextRetry"])

    for failures, wait in enumerate(waits):
        longest = 300 * 2**failures
        assert longest / 2 - 60 < wait <= longest, waits


async def test_database_that_cannot_be_fetched_is_told_as_such(tmp_path: Path) -> None:
    """It is no fault of the image, and over once the database is there again."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        registry.faults.set("trivy-db", Fault.SERVER_ERROR)
        image = fine_image(cluster)
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock):
            failed = await until_phase(cluster, image, "Failed")
            event = await until_event(cluster, "shop", "app", "ImageScanFailed")
            registry.faults.clear("trivy-db")
            clock.leap_to(failed["nextRetry"])
            await until_phase(cluster, image, "Succeeded")

    assert failed["reason"] == "database"
    assert "unknown error" in failed["message"]
    assert "trivy.dbRepository" in event["message"]


async def test_scan_pod_that_is_deleted_counts_as_interrupted(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        registry.faults.set("library/single", Fault.HANG)
        image = fine_image(cluster)
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster, clock=clock):
            await registry.hung.wait()
            (scanning,) = await cluster.list(PODS, NAMESPACE)
            key = ObjectKey(NAMESPACE, scanning["metadata"]["name"])
            await cluster.api.delete(PODS, key, grace_seconds=0)
            failed = await until_phase(cluster, image, "Failed")
            registry.faults.clear("library/single")
            clock.leap_to(failed["nextRetry"])
            await until_phase(cluster, image, "Succeeded")

    assert failed["reason"] == "interrupted"


async def test_scan_job_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        registry = cluster.sandbox.registry
        assert registry is not None
        registry.faults.set("library/single", Fault.HANG)
        image = fine_image(cluster)
        await cluster.create(pod("app", "shop", app=image))
        async with running_operator(cluster):
            await registry.hung.wait()
            registry.faults.clear("library/single")
            (job,) = await cluster.list(JOBS, NAMESPACE)
            await cluster.api.delete(JOBS, ObjectKey(NAMESPACE, job["metadata"]["name"]))
            status = await until_phase(cluster, image, "Succeeded")

    assert status["attempts"] == 2


async def test_one_bad_container_costs_only_its_own_reports(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        bad = cluster.image("shop/none:1")
        images = {"app": fine_image(cluster), "side": bad, "cache": cluster.image("library/cache:7")}
        await cluster.create(deployment("web", "shop", **images))
        async with running_operator(cluster):
            failed = await until_phase(cluster, bad, "Failed")
            await cluster.until_reported("shop/ReplicaSet/web/app", "shop/ReplicaSet/web/cache", seconds=60)

    assert failed["reason"] == "not-found"
    assert failed["nextRetry"]
