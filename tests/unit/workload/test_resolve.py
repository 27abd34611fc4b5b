"""The rules that say which object the reports attach to, and why others are skipped."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.unit.workload.world import (
    DIGEST,
    EVERYTHING,
    OTHER_DIGEST,
    World,
    controller,
    meta,
    node,
    pod,
)
from trivyop.kube.resources import ObjectKey
from trivyop.workload.images import ContainerKind
from trivyop.workload.objects import (
    DEPLOYMENT_CONFIG_NAME,
    DEPLOYMENT_CONFIG_VERSION,
    DEPLOYMENT_REVISION,
    ROLLOUT_REVISION,
)
from trivyop.workload.owners import WorkloadKind, WorkloadRef, revisions, workload_of_job, workload_of_pod
from trivyop.workload.resolve import Reason, Skipped, Workload
from trivyop.workload.selection import Namespaces, Selection, parse_image_globs

WEB = {"web": "shop/web:1"}
NAMESPACES = Namespaces.parse("trivy-system")


def replica_set(name: str, revision: int, images: dict[str, str] = WEB, **more: Any) -> dict[str, Any]:
    annotations = {DEPLOYMENT_REVISION: str(revision)}
    return controller(
        "ReplicaSet", name, images, owner=("Deployment", "web"), annotations=annotations, **more
    )


# which object


def test_pod_of_a_replica_set_is_scanned_as_its_replica_set() -> None:
    """Reports attach to the ReplicaSet, so its pods have none of their own."""
    world = World(replica_set("web-1", 1), pod("web-1-a", WEB, owner=("ReplicaSet", "web-1")))

    assert world.resolve(WorkloadKind.POD, "web-1-a") == Skipped(Reason.CONTROLLED)
    assert world.workload(WorkloadKind.REPLICA_SET, "web-1").key == ObjectKey("shop", "web-1")


@pytest.mark.parametrize(
    "owner",
    [("Rollout", "web"), ("Node", "n1"), ("CloneSet", "web"), ("Pod", "driver"), ("CronJob", "odd")],
)
def test_pod_of_an_unknown_controller_is_scanned_itself(owner: tuple[str, str]) -> None:
    """Mirror pods belong to a Node, executors of Spark to a Pod, others to operators of their own."""
    world = World(pod("web-a", WEB, owner=owner))

    assert world.workload(WorkloadKind.POD, "web-a").kind == "Pod"


def test_stateful_set_of_another_group_is_not_taken_for_a_built_in_one() -> None:
    """Nobody else scans what it runs."""
    document = pod("db-0", WEB, owner=("StatefulSet", "db"))
    document["metadata"]["ownerReferences"][0]["apiVersion"] = "apps.kruise.io/v1beta1"

    assert World(document).workload(WorkloadKind.POD, "db-0").kind == "Pod"


REVISIONS = {
    "Deployment": ("ReplicaSet", DEPLOYMENT_REVISION),
    "Rollout": ("ReplicaSet", ROLLOUT_REVISION),
    "DeploymentConfig": ("ReplicationController", DEPLOYMENT_CONFIG_VERSION),
}


def revision(owner: str, name: str, number: int) -> dict[str, Any]:
    kind, annotation = REVISIONS[owner]
    return controller(kind, name, WEB, owner=(owner, "web"), annotations={annotation: str(number)})


@pytest.mark.parametrize("owner", REVISIONS)
@pytest.mark.parametrize("only_current", [True, False])
@pytest.mark.parametrize("pods_of_old", ["", "Running", "Pending", "Failed"])
@pytest.mark.parametrize("pods_of_new", ["", "Running", "Pending"])
def test_revision_with_pods_is_scanned_whatever_its_number(
    owner: str, only_current: bool, pods_of_old: str, pods_of_new: str
) -> None:
    """A rollout that is stuck or paused leaves the old revision to serve; evicted pods do not."""
    kind, _ = REVISIONS[owner]
    documents = [revision(owner, "web-9", 9), revision(owner, "web-10", 10)]
    for name, phase in (("web-9", pods_of_old), ("web-10", pods_of_new)):
        if phase:
            documents.append(pod(f"{name}-a", WEB, owner=(kind, name), phase=phase))
    world = World(*documents)
    selection = Selection(NAMESPACES, only_current_revisions=only_current)

    old, new = (world.resolve(WorkloadKind(kind), name, selection) for name in ("web-9", "web-10"))

    if pods_of_old in ("Running", "Pending"):
        assert isinstance(old, Workload)
    else:
        assert old == Skipped(Reason.OUTDATED if only_current else Reason.NO_PODS)
    if pods_of_new:
        assert isinstance(new, Workload)
    else:
        assert new == Skipped(Reason.NO_PODS), "it may be scaled up again"


def test_replica_sets_of_an_unknown_controller_have_no_outdated_revisions() -> None:
    """Nothing says which is the newer one; both count."""
    world = World(
        controller("ReplicaSet", "a", WEB, owner=("Rollout", "web")),
        controller("ReplicaSet", "b", WEB, owner=("Rollout", "web")),
        pod("a-1", WEB, owner=("ReplicaSet", "a")),
        pod("b-1", WEB, owner=("ReplicaSet", "b")),
    )

    assert world.workload(WorkloadKind.REPLICA_SET, "a").key.name == "a"
    assert world.workload(WorkloadKind.REPLICA_SET, "b").key.name == "b"


@pytest.mark.parametrize("kind", ["ReplicaSet", "ReplicationController", "StatefulSet"])
def test_controller_without_pods_is_not_scanned(kind: str) -> None:
    """It is scaled to zero, or an old revision kept for a rollback."""
    assert World(controller(kind, "web", WEB)).resolve(WorkloadKind(kind), "web") == Skipped(Reason.NO_PODS)


@pytest.mark.parametrize("kind", ["DaemonSet", "Job", "CronJob"])
def test_controller_that_may_have_no_pods_for_a_while_is_scanned(kind: str) -> None:
    """A CronJob that never ran will run its image; so will a DaemonSet on the next node."""
    workload = World(controller(kind, "web", WEB)).workload(WorkloadKind(kind), "web")

    assert [container.image for container in workload.containers] == ["shop/web:1"]


def test_job_of_a_cron_job_is_scanned_as_its_cron_job() -> None:
    """Each run makes a Job and a pod; reports stay at the CronJob, with the digest that ran."""
    images = {"report": "shop/report:3"}
    world = World(
        controller("CronJob", "nightly", images),
        controller("Job", "nightly-1", images, owner=("CronJob", "nightly")),
        pod("nightly-1-a", images, owner=("Job", "nightly-1"), running={"report": f"shop/report@{DIGEST}"}),
    )

    assert world.resolve(WorkloadKind.JOB, "nightly-1") == Skipped(Reason.CONTROLLED)
    assert world.resolve(WorkloadKind.POD, "nightly-1-a") == Skipped(Reason.CONTROLLED)
    assert world.workload(WorkloadKind.CRON_JOB, "nightly").containers[0].digest == DIGEST


def test_pod_that_runs_the_rollout_of_a_deployment_config_is_skipped() -> None:
    """OpenShift's deployer is no workload of anybody."""
    world = World(pod("web-2-deploy", WEB, annotations={DEPLOYMENT_CONFIG_NAME: "web"}))

    assert world.resolve(WorkloadKind.POD, "web-2-deploy") == Skipped(Reason.CONTROLLED)


def test_object_that_does_not_exist_is_none() -> None:
    """Its reports go with it: the cluster collects them."""
    assert World().resolve(WorkloadKind.POD, "gone") is None


# what settings and metadata say against it


@pytest.mark.parametrize(
    ("selection", "more", "reason"),
    [
        (Selection(NAMESPACES, kinds=frozenset({WorkloadKind.JOB})), {}, Reason.KIND),
        (Selection(Namespaces.parse("trivy-system", excluded=["sh*"])), {}, Reason.NAMESPACE),
        (Selection(NAMESPACES, skip_label_keys=frozenset({"skip"})), {"labels": {"skip": ""}}, Reason.LABEL),
        (EVERYTHING, {"labels": {"app.kubernetes.io/managed-by": "trivy-operator"}}, Reason.OURS),
        (EVERYTHING, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, Reason.TERMINATING),
    ],
)
def test_object_is_skipped_for_a_reason(selection: Selection, more: dict[str, Any], reason: Reason) -> None:
    """The reason is told, so that people can ask why there is no report."""
    world = World(pod("web", WEB, **more))

    assert world.resolve(WorkloadKind.POD, "web", selection) == Skipped(reason)


def test_excluded_image_is_as_if_its_container_did_not_exist() -> None:
    """Were it still listed, the workload would wait for its report for ever."""
    selection = Selection(NAMESPACES, excluded_images=parse_image_globs(["*/mesh:*"]))
    world = World(pod("web", {"web": "shop/web:1", "mesh": "istio/mesh:1"}))

    workload = world.workload(WorkloadKind.POD, "web", selection)

    assert [container.container for container in workload.containers] == ["web"]


def test_workload_with_nothing_but_excluded_images_is_skipped() -> None:
    selection = Selection(NAMESPACES, excluded_images=parse_image_globs(["shop/*"]))

    assert World(pod("web", WEB)).resolve(WorkloadKind.POD, "web", selection) == Skipped(Reason.NO_IMAGES)


def test_init_containers_are_left_out_when_settings_say_so() -> None:
    selection = Selection(NAMESPACES, skip_init_containers=True)
    world = World(pod("web", WEB, init={"prepare": "shop/prepare:1"}, debug={"debugger": "busybox"}))

    workload = world.workload(WorkloadKind.POD, "web", selection)

    assert [container.kind for container in workload.containers] == [
        ContainerKind.REGULAR,
        ContainerKind.EPHEMERAL,
    ]


# what it runs


def test_digest_and_platform_come_from_the_newest_pod_that_has_them() -> None:
    """The newest pod has not pulled yet; the one before it tells, and where it ran."""
    owner = ("ReplicaSet", "web-1")
    new = {"web": f"docker-pullable://shop/web@{DIGEST}"}
    world = World(
        replica_set("web-1", 1),
        pod("web-1-a", WEB, owner=owner, node="amd", created="2026-01-01T00:00:01Z"),
        pod("web-1-b", WEB, owner=owner, running=new, node="arm", created="2026-01-01T00:00:02Z"),
        pod("web-1-c", WEB, owner=owner, waiting={"web": "ImagePullBackOff"}, created="2026-01-01T00:00:03Z"),
        node("arm", "arm64"),
        node("amd", "amd64"),
    )

    (container,) = world.workload(WorkloadKind.REPLICA_SET, "web-1").containers

    assert (container.digest, container.platform) == (DIGEST, "linux/arm64")
    assert container.waiting_reason == "ImagePullBackOff"


def test_platform_is_unknown_without_a_node() -> None:
    (container,) = World(pod("web", WEB)).workload(WorkloadKind.POD, "web").containers

    assert (container.digest, container.platform, container.key) == (None, None, None)


def test_digest_in_the_spec_is_known_before_any_pod_starts() -> None:
    """It also beats the status, where some runtimes put the digest of the platform's manifest."""
    images = {"web": f"shop/web:1@{DIGEST}"}
    world = World(pod("web", images, running={"web": f"shop/web@{OTHER_DIGEST}"}))

    assert world.workload(WorkloadKind.POD, "web").containers[0].digest == DIGEST


def test_image_that_was_loaded_on_the_node_has_no_digest() -> None:
    """A bare digest in a status is that of the configuration, which no registry serves."""
    world = World(pod("web", WEB, running={"web": DIGEST}))

    assert world.workload(WorkloadKind.POD, "web").containers[0].digest is None


CONTROLLERS = ["ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job"]


def images_of(world: World, kind: str, name: str = "web") -> dict[str, tuple[str, str | None]]:
    found = world.workload(WorkloadKind(kind), name).containers
    assert len({one.container for one in found}) == len(found)
    return {one.container: (one.image, one.digest) for one in found}


@pytest.mark.parametrize("kind", CONTROLLERS)
@pytest.mark.parametrize("template", ["shop/web:1", "auto"])
def test_image_that_admission_rewrote_is_the_one_that_counts(kind: str, template: str) -> None:
    """Whatever the template says, and also where it may have changed since."""
    world = World(
        controller(kind, "web", {"web": template}),
        pod(
            "web-a",
            {"web": "mirror.example/shop/web:1"},
            owner=(kind, "web"),
            running={"web": f"mirror.example/shop/web@{DIGEST}"},
        ),
    )

    assert images_of(world, kind) == {"web": ("mirror.example/shop/web:1", DIGEST)}


@pytest.mark.parametrize("kind", ["DaemonSet", "CronJob", "Job"])
def test_placeholder_of_an_injector_is_no_image(kind: str) -> None:
    assert World(controller(kind, "web", {"web": "auto"})).resolve(WorkloadKind(kind), "web") == Skipped(
        Reason.NO_IMAGES
    )


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_every_image_of_a_rollout_in_place_counts(kind: str) -> None:
    """Pods show the revisions that run; a template that no pod was made from yet does not run."""
    owner = (kind, "web")
    first = pod("web-a", {"web": "shop/web:1"}, owner=owner, running={"web": f"shop/web@{DIGEST}"})
    second = pod("web-b", {"web": "shop/web:2"}, owner=owner, created="2026-01-02T00:00:00Z")
    third = pod(
        "web-b",
        {"web": "shop/web:2"},
        owner=owner,
        created="2026-01-02T00:00:00Z",
        running={"web": f"shop/web@{OTHER_DIGEST}"},
    )
    template = controller(kind, "web", {"web": "shop/web:2"})
    old, new = ("shop/web:1", DIGEST), ("shop/web:2", OTHER_DIGEST)

    before = images_of(World(template, first), kind)
    begun = images_of(World(template, first, second), kind)
    under_way = images_of(World(template, first, third), kind)
    done = images_of(World(template, third), kind)

    assert before == {"web": old}
    assert begun["web"] == old, "what runs has the name, until the new one has started"
    assert set(begun.values()) == {old, ("shop/web:2", None)}
    assert under_way["web"] == new
    assert set(under_way.values()) == {old, new}
    assert done == {"web": new}


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet", "DaemonSet"])
def test_both_images_count_where_a_tag_moved_between_pods(kind: str) -> None:
    """The one of the newest pod has the container's name."""
    pods = [
        pod(name, WEB, owner=(kind, "web"), running={"web": f"shop/web@{digest}"}, created=f"2026-01-0{day}")
        for name, digest, day in (("a", DIGEST, 1), ("b", OTHER_DIGEST, 2), ("c", DIGEST, 1))
    ]

    found = images_of(World(controller(kind, "web", WEB), *pods), kind)

    assert found.pop("web") == ("shop/web:1", OTHER_DIGEST)
    ((place, other),) = found.items()
    assert other == ("shop/web:1", DIGEST)
    assert place.startswith("web.")


def test_pods_of_a_cron_job_that_ended_tell_of_the_template_they_were_made_from() -> None:
    """Those of an earlier template do not run and never will again; rewritten ones count from run to run."""
    rewritten, running = {"run": "mirror.example/run:1"}, {"run": f"mirror.example/run@{DIGEST}"}
    job = controller("Job", "run-1", {"run": "run:1"}, owner=("CronJob", "run"))

    def world(template: str, phase: str) -> World:
        return World(
            controller("CronJob", "run", {"run": template}),
            job,
            pod("run-1-a", rewritten, owner=("Job", "run-1"), running=running, phase=phase),
        )

    kept = {"run": ("mirror.example/run:1", DIGEST)}
    assert images_of(world("run:1", "Succeeded"), "CronJob", "run") == kept
    assert images_of(world("run:2", "Running"), "CronJob", "run") == kept
    assert images_of(world("run:2", "Succeeded"), "CronJob", "run") == {"run": ("run:2", None)}


def test_sidecar_in_the_list_of_init_containers_is_not_left_out_with_them() -> None:
    """It goes on running: ``restartPolicy: Always`` says so."""
    document = pod("web", WEB, init={"prepare": "shop/prepare:1", "proxy": "shop/proxy:1"})
    document["spec"]["initContainers"][1]["restartPolicy"] = "Always"
    world = World(document)

    some = world.workload(WorkloadKind.POD, "web", Selection(NAMESPACES, skip_init_containers=True))
    every = world.workload(WorkloadKind.POD, "web")

    assert [one.container for one in some.containers] == ["web", "proxy"]
    assert [one.container for one in every.containers] == ["web", "prepare", "proxy"]


def with_volume(document: dict[str, Any], reference: str = "shop/weights:1", ref: str = "") -> dict[str, Any]:
    """The pod with an image volume; `ref` is what the node says it mounted."""
    others = [{"name": "token", "projected": {}}]
    document["spec"]["volumes"] = [{"name": "weights", "image": {"reference": reference}}, *others]
    mounts: list[dict[str, Any]] = [{"name": "token", "mountPath": "/token"}]
    if ref:
        mounts.append({"name": "weights", "volumeStatus": {"image": {"imageRef": ref}}})
    for status in document["status"]["containerStatuses"]:
        status["volumeMounts"] = mounts
    return document


def test_image_of_a_volume_has_a_place_of_its_own() -> None:
    """A container may have the volume's name, and a node may say which image it mounted."""
    running = {"weights": f"shop/web@{DIGEST}"}
    told = with_volume(
        pod("web", {"weights": "shop/web:1"}, running=running), ref=f"shop/weights@{OTHER_DIGEST}"
    )
    untold = with_volume(pod("web", {"weights": "shop/web:1"}, running=running))
    waiting = with_volume(pod("web", {"weights": "shop/web:1"}))

    assert images_of(World(told), "Pod") == {
        "weights": ("shop/web:1", DIGEST),
        "volume.weights": ("shop/weights:1", OTHER_DIGEST),
    }
    may_come = {
        name: World(document).workload(WorkloadKind.POD, "web").containers[1].digest_may_come
        for name, document in {"untold": untold, "waiting": waiting}.items()
    }
    assert may_come == {"untold": False, "waiting": True}, "it is mounted before any container starts"


def test_spec_hash_changes_with_the_image_of_a_volume() -> None:
    documents = [
        pod("web", WEB),
        with_volume(pod("web", WEB)),
        with_volume(pod("web", WEB), "shop/weights:2"),
    ]
    hashes = [World(document).workload(WorkloadKind.POD, "web").spec_hash for document in documents]

    assert len(set(hashes)) == 3


def test_sidecar_injected_on_admission_is_scanned_too() -> None:
    """No template names it, yet it runs in every pod."""
    images = {**WEB, "mesh": "istio/mesh:1"}
    world = World(
        replica_set("web-1", 1),
        pod("web-1-a", images, owner=("ReplicaSet", "web-1"), debug={"debugger": "busybox"}),
        pod("web-1-b", images, owner=("ReplicaSet", "web-1")),
    )

    workload = world.workload(WorkloadKind.REPLICA_SET, "web-1")

    assert [container.container for container in workload.containers] == ["web", "debugger", "mesh"]


def test_spec_hash_of_a_pod_changes_with_its_containers_only() -> None:
    """It is scanned once, not again when it is scheduled and starts."""
    before = pod("web", WEB)
    after = pod("web", WEB, node="n1", running={"web": f"shop/web@{DIGEST}"})
    other = pod("web", {"web": "shop/web:2"})

    hashes = [
        World(document).workload(WorkloadKind.POD, "web").spec_hash for document in (before, after, other)
    ]

    assert hashes[0] == hashes[1] != hashes[2]


def test_spec_hash_does_not_depend_on_what_runs_beside_the_template() -> None:
    """A pod that starts or stops must not look like a change of the workload."""
    alone = World(replica_set("web-1", 1), pod("a", WEB, owner=("ReplicaSet", "web-1")))
    injected = World(
        replica_set("web-1", 1), pod("a", {**WEB, "mesh": "mesh:1"}, owner=("ReplicaSet", "web-1"))
    )

    first, second = (
        world.workload(WorkloadKind.REPLICA_SET, "web-1").spec_hash for world in (alone, injected)
    )

    assert first == second


def test_what_scanning_needs_is_taken_along() -> None:
    document = pod("web", WEB, node="n1", labels={"team": "checkout"})
    document["spec"] |= {"serviceAccountName": "web", "imagePullSecrets": [{"name": "regcred"}, {}]}

    workload = World(document).workload(WorkloadKind.POD, "web")

    assert (workload.service_account, workload.pull_secrets, workload.node_name) == (
        "web",
        ("regcred",),
        "n1",
    )
    assert (workload.uid, workload.api_version, workload.labels) == ("Pod/web", "v1", {"team": "checkout"})


def test_answer_does_not_depend_on_the_order_of_pods() -> None:
    """Stores hand objects out in no order."""
    owner = ("ReplicaSet", "web-1")
    pods = [
        pod(f"web-1-{n}", WEB, owner=owner, running={"web": f"shop/web@{digest}"}, node="n1")
        for n, digest in enumerate((DIGEST, OTHER_DIGEST))
    ]
    orders = (pods, list(reversed(copy.deepcopy(pods))))

    answers = [
        World(replica_set("web-1", 1), *order).resolve(WorkloadKind.REPLICA_SET, "web-1") for order in orders
    ]

    assert answers[0] == answers[1]


# which workload an event is about


def test_event_of_a_pod_leads_to_what_it_is_scanned_as() -> None:
    world = World(
        controller("Job", "nightly-1", WEB, owner=("CronJob", "nightly")),
        controller("Job", "migrate", WEB),
        pod("nightly-1-a", WEB, owner=("Job", "nightly-1")),
        pod("migrate-a", WEB, owner=("Job", "migrate")),
        pod("forgotten-a", WEB, owner=("Job", "forgotten")),
        pod("db-0", WEB, owner=("StatefulSet", "db")),
        pod("bare", WEB),
    )

    def told(name: str) -> WorkloadRef:
        found = world.pods.get(ObjectKey("shop", name))
        assert found is not None
        return workload_of_pod(found, world.jobs)

    assert told("nightly-1-a") == WorkloadRef(WorkloadKind.CRON_JOB, ObjectKey("shop", "nightly"))
    assert told("migrate-a") == WorkloadRef(WorkloadKind.JOB, ObjectKey("shop", "migrate"))
    assert told("forgotten-a") == WorkloadRef(WorkloadKind.JOB, ObjectKey("shop", "forgotten"))
    assert told("db-0") == WorkloadRef(WorkloadKind.STATEFUL_SET, ObjectKey("shop", "db"))
    assert told("bare") == WorkloadRef(WorkloadKind.POD, ObjectKey("shop", "bare"))


def test_event_of_a_job_leads_to_its_cron_job() -> None:
    world = World(controller("Job", "nightly-1", WEB, owner=("CronJob", "nightly")))
    job = world.jobs.get(ObjectKey("shop", "nightly-1"))
    assert job is not None

    assert workload_of_job(job) == WorkloadRef(WorkloadKind.CRON_JOB, ObjectKey("shop", "nightly"))


def test_event_of_a_replica_set_leads_to_all_revisions() -> None:
    """A new one makes the old ones outdated, and nothing else would tell them."""
    world = World(replica_set("web-1", 1), replica_set("web-2", 2), controller("ReplicaSet", "other", WEB))
    newest = world.replica_sets.get(ObjectKey("shop", "web-2"))
    assert newest is not None

    told = revisions(WorkloadKind.REPLICA_SET, newest, world.replica_sets)

    assert told == [WorkloadRef(WorkloadKind.REPLICA_SET, ObjectKey("shop", f"web-{n}")) for n in (1, 2)]


def test_metadata_helper_spells_owners_as_the_api_does() -> None:
    """Guards the fixtures: an owner without uid would make every rule pass by accident."""
    owner = meta("a", owner=("ReplicaSet", "web"))["ownerReferences"][0]

    assert (owner["apiVersion"], owner["uid"], owner["controller"]) == ("apps/v1", "ReplicaSet/web", True)
