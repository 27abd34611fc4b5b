"""Metadata is decoded once, into little memory."""

from __future__ import annotations

import msgspec

from trivyop.kube.objects import Object, TemplateMeta, controller_of, intern_meta, key_of, version_of
from trivyop.kube.resources import ObjectKey

POD = b"""{"kind": "Pod", "apiVersion": "v1", "spec": {"nodeName": "n1"}, "metadata": {
  "name": "web-1", "namespace": "shop", "uid": "u1", "resourceVersion": "7", "generation": 2,
  "creationTimestamp": "2026-01-02T12:00:00Z", "labels": {"app": "web"}, "managedFields": [{"manager": "x"}],
  "ownerReferences": [
    {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u2"},
    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u3", "controller": true}]}}"""


def test_metadata_is_read_and_the_rest_skipped() -> None:
    pod = msgspec.json.decode(POD, type=Object)

    assert pod.key == ObjectKey("shop", "web-1")
    assert (pod.metadata.uid, pod.metadata.resource_version, pod.metadata.generation) == ("u1", "7", 2)
    assert pod.metadata.creation_timestamp == "2026-01-02T12:00:00Z"
    assert pod.metadata.deletion_timestamp is None
    assert pod.metadata.labels == {"app": "web"}


def test_controller_is_the_owner_that_says_so() -> None:
    pod = msgspec.json.decode(POD, type=Object)

    owner = controller_of(pod.metadata)
    assert owner is not None
    assert owner.name == "web"
    assert controller_of(msgspec.json.decode(b"{}", type=type(pod.metadata))) is None


def test_template_takes_the_null_that_servers_write() -> None:
    body = b'{"creationTimestamp": null, "labels": {"app": "web"}}'

    assert msgspec.json.decode(body, type=TemplateMeta).labels == {"app": "web"}


def test_key_and_version_of_structs_and_of_dicts_agree() -> None:
    struct, plain = msgspec.json.decode(POD, type=Object), msgspec.json.decode(POD)

    assert key_of(struct) == key_of(plain) == ObjectKey("shop", "web-1")
    assert version_of(struct) == version_of(plain) == "7"
    assert key_of({"metadata": {"name": "n1"}}) == ObjectKey("", "n1")


def test_interning_shares_strings_and_changes_no_value() -> None:
    """Thousands of pods repeat their namespace, their labels and their owner."""
    one, two, untouched = (msgspec.json.decode(POD, type=Object).metadata for _ in range(3))
    intern_meta(one)
    intern_meta(two)

    assert one == two == untouched
    assert one.namespace is two.namespace
    assert one.owner_references[1].uid is two.owner_references[1].uid
    assert one.labels is not None
    assert two.labels is not None
    assert one.labels["app"] is two.labels["app"]
