"""The state of an object: what audits go by, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import orjson
import pytest

from trivyop.workload.audited import (
    LAST_APPLIED,
    Document,
    annotations_state,
    applied_version,
    document_state,
    object_state,
)
from trivyop.workload.objects import CronJob, Pod, Slim

ROLE: dict[str, Any] = {
    "metadata": {
        "name": "reader",
        "namespace": "shop",
        "uid": "1",
        "resourceVersion": "7",
        "labels": {"app": "web"},
        "managedFields": [{"manager": "kubectl"}],
    },
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
}
CRON_JOB: dict[str, Any] = {
    "metadata": {"name": "nightly", "namespace": "shop", "generation": 3, "labels": {"app": "web"}},
    "spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": {"spec": {"containers": []}}}}},
}


def state(document: dict[str, Any], api_version: str = "rbac.authorization.k8s.io/v1") -> str:
    return document_state(msgspec.json.decode(orjson.dumps(document), type=Document), api_version)


def changed(document: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    """A copy with one value set."""
    copied = copy.deepcopy(document)
    place = copied
    for step in path[:-1]:
        place = place.setdefault(step, {})
    place[path[-1]] = to
    return copied


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rules",), [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
        (("metadata", "labels", "app"), "other"),
        (("metadata", "annotations", "owner"), "me"),
        (("metadata", "annotations", LAST_APPLIED), '{"apiVersion": "rbac.authorization.k8s.io/v1beta1"}'),
    ],
)
def test_what_checks_can_see_makes_another_state(path: tuple[str, ...], value: Any) -> None:
    assert state(changed(ROLE, *path, to=value)) != state(ROLE)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("status",), {"phase": "Bound"}),
        (("metadata", "resourceVersion"), "8"),
        (("metadata", "managedFields"), []),
        (("metadata", "finalizers"), ["x"]),
        (("metadata", "annotations", "control-plane.alpha.kubernetes.io/leader"), "{}"),
        (("metadata", "annotations", "deployment.kubernetes.io/desired-replicas"), "3"),
        (("metadata", "annotations", LAST_APPLIED), '{"apiVersion": "rbac.authorization.k8s.io/v1"}'),
        (("metadata", "annotations", LAST_APPLIED), "not JSON"),
    ],
)
def test_what_checks_cannot_see_makes_no_other_state(path: tuple[str, ...], value: Any) -> None:
    assert state(changed(ROLE, *path, to=value)) == state(ROLE)


def test_content_counts_by_its_generation_where_there_is_one() -> None:
    """Lists of metadata alone tell as much as whole objects."""
    whole = state(CRON_JOB, "batch/v1")
    metadata = {"metadata": CRON_JOB["metadata"]}

    assert state(metadata, "batch/v1") == whole
    assert state(changed(CRON_JOB, "metadata", "generation", to=4), "batch/v1") != whole


def test_stored_object_has_the_state_of_the_whole_one() -> None:
    """A store drops annotations, and keeps what audits go by."""
    document = changed(
        CRON_JOB, "metadata", "annotations", to={"owner": "me", "deployment.kubernetes.io/x": "1"}
    )
    stored = Slim()(msgspec.convert(document, CronJob))

    assert object_state(stored, "batch/v1") == state(document, "batch/v1")
    assert "owner" not in (stored.metadata.annotations or {})


def test_pod_without_a_generation_counts_by_its_containers() -> None:
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "nginx:1"}]}}
    other = {**pod, "spec": {"containers": [{"name": "a", "image": "nginx:2"}]}}
    ran = {**pod, "status": {"containerStatuses": [{"name": "a", "imageID": "x@sha256:ab"}]}}

    first, second, third = (object_state(msgspec.convert(one, Pod), "v1") for one in (pod, other, ran))

    assert first != second
    assert first == third


def test_order_of_labels_and_annotations_does_not_count() -> None:
    assert annotations_state({"a": "1", "b": "2"}, "v1") == annotations_state({"b": "2", "a": "1"}, "v1")


def test_version_that_was_applied_is_read_from_what_kubectl_noted() -> None:
    assert applied_version({LAST_APPLIED: '{"apiVersion":"extensions/v1beta1","kind":"Ingress"}'}) == (
        "extensions/v1beta1"
    )
    assert applied_version(None) == ""
