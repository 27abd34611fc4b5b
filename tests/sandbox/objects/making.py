"""What the tests of object functions share: writes, kinds, and the schemas of small custom resources."""

from __future__ import annotations

import itertools
from typing import Any

import orjson

from trivyop.sandbox.apiserver.objects import crd, writing
from trivyop.sandbox.apiserver.objects.builtin import KINDS
from trivyop.sandbox.apiserver.objects.kinds import Kind
from trivyop.sandbox.apiserver.objects.writing import Write, Written

NOON = "2026-01-01T12:00:00Z"
JSON = "application/json"
APPLY = "application/apply-patch+yaml"

CONFIG_MAP = KINDS["", "v1", "configmaps"]
POD = KINDS["", "v1", "pods"]
SERVICE = KINDS["", "v1", "services"]
DEPLOYMENT = KINDS["apps", "v1", "deployments"]
JOB = KINDS["batch", "v1", "jobs"]


def write(**changes: Any) -> Write:
    tokens = itertools.count()
    values: dict[str, Any] = {
        "manager": "tester",
        "now": NOON,
        "uid": "00000000-0000-4000-8000-000000000001",
        "token": lambda: f"a{next(tokens):04}",
        "namespace": "shop",
    }
    return Write(**(values | changes))


def obj_of(kind: Kind, name: str = "x", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, **fields}


def create(kind: Kind, obj: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The object as it is stored, with a resource version as the store gives it."""
    made = writing.create(kind, orjson.dumps(obj), JSON, write(**changes)).obj
    made["metadata"]["resourceVersion"] = "1"
    return made


def apply(kind: Kind, live: dict[str, Any] | None, obj: dict[str, Any], **changes: Any) -> Written:
    name = obj["metadata"]["name"]
    return writing.patch(kind, live, orjson.dumps(obj), APPLY, write(name=name, **changes))


def custom_kind(schema: dict[str, Any], **version: Any) -> Kind:
    """The kind that a definition with this schema defines, in group example.com."""
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    served = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [served | version]}
    return crd.kinds_of({"spec": spec})[0]
