"""Manifests: what checks see of an object that the server sent."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from trivyop.controllers.audits.kinds import hold
from trivyop.controllers.audits.manifests import build_manifest
from trivyop.kube.resources import INGRESSES, REPLICASETS, ROLES, Resource
from trivyop.workload.audited import LAST_APPLIED, Document
from trivyop.workload.selection import Namespaces, Selection

ROLE: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {
        "name": "reader",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"team": "checkout"},
        "annotations": {
            LAST_APPLIED: '{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role"}',
            "a": "b",
        },
        "managedFields": [{"manager": "kubectl"}],
    },
    "rules": [],
}


def test_object_is_audited_without_what_managers_and_kubectl_note_in_it() -> None:
    manifest = build_manifest(orjson.dumps(ROLE), ROLES)

    document = orjson.loads(manifest.document)
    assert document["metadata"]["annotations"] == {"a": "b"}
    assert "managedFields" not in document["metadata"]
    assert document["rules"] == []
    assert manifest.uid == "u1"
    assert manifest.labels == {"team": "checkout"}


def ingress(applied: dict[str, Any]) -> dict[str, Any]:
    """One that was applied as something else than what the server has."""
    annotations = {LAST_APPLIED: orjson.dumps(applied).decode()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "annotations": annotations},
        "spec": {"rules": [{"host": "example.com"}]},
    }


@pytest.mark.parametrize("applied", ["extensions/v1beta1", "networking.k8s.io/v1beta1"])
def test_object_that_the_server_converted_has_the_version_that_was_applied(applied: str) -> None:
    """The check for outdated versions would find nothing in what the server made of it."""
    stored = ingress({"apiVersion": applied, "kind": "Ingress"})

    assert orjson.loads(build_manifest(orjson.dumps(stored), INGRESSES).document)["apiVersion"] == applied


def test_note_of_what_was_applied_hides_nothing() -> None:
    """Anybody who may write the object may write its annotations."""
    stored = ingress({"apiVersion": "networking.k8s.io/v1beta1", "kind": "Ingress", "spec": {}})
    made_up = ingress({"apiVersion": "example.com/v1", "kind": "Ingress"})

    assert orjson.loads(build_manifest(orjson.dumps(stored), INGRESSES).document)["spec"] == stored["spec"]
    assert orjson.loads(build_manifest(orjson.dumps(made_up), INGRESSES).document)["apiVersion"] == (
        "networking.k8s.io/v1"
    )


def test_state_is_another_one_when_the_object_is() -> None:
    changed = {**ROLE, "rules": [{"verbs": ["*"]}]}
    relabelled = {**ROLE, "metadata": {**ROLE["metadata"], "labels": {"team": "other"}}}

    states = {build_manifest(orjson.dumps(one), ROLES).state for one in (ROLE, changed, relabelled)}

    assert len(states) == 3


def test_workload_has_its_state_from_its_generation() -> None:
    workload: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "generation": 2},
        "spec": {"template": {"spec": {"containers": []}}},
    }
    scaled = {**workload, "status": {"replicas": 3}}

    assert build_manifest(orjson.dumps(workload), REPLICASETS).state == (
        build_manifest(orjson.dumps(scaled), REPLICASETS).state
    )


def test_state_of_a_custom_object_without_a_generation_is_that_of_its_mirror_and_follows_its_spec() -> None:
    resource = Resource("shop.example", "v1", "gadgets", "Gadget")

    def states(colour: str) -> tuple[str, str]:
        meta = {"name": "one", "namespace": "shop", "uid": "u1"}
        data = orjson.dumps({"kind": "Gadget", "metadata": meta, "spec": {"colour": colour}})
        held = hold(msgspec.json.decode(data, type=Document), resource, Selection(Namespaces("operator")))
        assert held is not None
        return held.state, build_manifest(data, resource).state

    blue, red = states("blue"), states("red")
    assert blue[0] == blue[1]
    assert red[0] == red[1]
    assert blue != red
