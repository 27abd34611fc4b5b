from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from tests.sandbox.objects.making import custom_kind
from trivyop.sandbox.apiserver.objects import openapi
from trivyop.sandbox.apiserver.objects.builtin import KINDS

PODS = "io.k8s.api.core.v1.PodSpec"


def references(document: Any) -> Iterator[str]:
    yield from re.findall(
        r'"\$ref":"#/(?:components/schemas|definitions)/([^"]+)"', orjson.dumps(document).decode()
    )


def test_every_reference_leads_somewhere() -> None:
    v2 = openapi.document_v2(KINDS.values())
    assert set(references(v2)) <= set(v2["definitions"])
    for document in openapi.documents_v3(KINDS.values()).values():
        assert set(references(document)) <= set(document["components"]["schemas"])


def test_kubectl_finds_how_lists_merge() -> None:
    pods = openapi.documents_v3(KINDS.values())["api/v1"]["components"]["schemas"][PODS]["properties"]

    assert pods["containers"]["x-kubernetes-patch-merge-key"] == "name"
    assert pods["containers"]["x-kubernetes-patch-strategy"] == "merge"
    assert pods["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys"
    assert pods["containers"]["items"] == {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}


def test_kubectl_finds_that_patches_validate_fields() -> None:
    paths = openapi.documents_v3(KINDS.values())["apis/apps/v1"]["paths"]
    patch = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]

    assert {"fieldValidation", "dryRun"} <= {parameter["name"] for parameter in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
    }


def test_a_custom_kind_is_described_by_its_definition() -> None:
    size = {"type": "integer", "description": "How large.", "minimum": 1}
    kind = custom_kind({"type": "object", "properties": {"size": size}})

    schemas = openapi.document_v3([kind])["components"]["schemas"]

    assert schemas["com.example.v1.Thing"]["properties"]["size"] == size
