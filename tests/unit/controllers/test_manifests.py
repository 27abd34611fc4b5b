"""Manifests: what checks see of an object that the server sent."""

from __future__ import annotations

from typing import Any

import orjson

from trivyop.controllers.manifests import build_manifest
from trivyop.kube.resources import INGRESSES, REPLICASETS, ROLES
from trivyop.workload.audited import LAST_APPLIED

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


def test_manifest_that_the_server_converted_is_audited_as_it_was_applied() -> None:
    """The check for outdated versions would find nothing in what the server made of it."""
    applied = {"apiVersion": "extensions/v1beta1", "kind": "Ingress", "metadata": {"name": "web"}}
    stored = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "annotations": {LAST_APPLIED: orjson.dumps(applied).decode()}},
    }

    manifest = build_manifest(orjson.dumps(stored), INGRESSES)

    assert orjson.loads(manifest.document) == applied


def test_note_about_something_else_is_not_believed() -> None:
    applied = {"apiVersion": "extensions/v1beta1", "kind": "Deployment"}
    stored = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "annotations": {LAST_APPLIED: orjson.dumps(applied).decode()}},
    }

    assert orjson.loads(build_manifest(orjson.dumps(stored), INGRESSES).document)["kind"] == "Ingress"


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
