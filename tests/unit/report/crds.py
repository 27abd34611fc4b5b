"""The schemas in ``manifests/crds``, applied as an API server applies them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from trivyop.sandbox.apiserver.objects.schema import Schema, definition_schema
from trivyop.sandbox.apiserver.objects.structural import prune
from trivyop.sandbox.apiserver.objects.validation import validate

CRDS = Path(__file__).parents[3] / "manifests/crds"
_ANYTHING = Schema(type="object", preserve_unknown=True)


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """The custom resource definitions by kind."""
    documents = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*_*.yaml"))]
    return {document["spec"]["names"]["kind"]: document for document in documents}


@cache
def _schema(kind: str) -> Schema:
    return definition_schema(
        definitions()[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"], _ANYTHING
    )


def check_accepted(document: dict[str, Any]) -> None:
    """Assert that the API server would take the object, and store all of it."""
    schema = _schema(document["kind"])
    unknown: list[str] = []
    stored = prune(schema, document, unknown)
    assert unknown == []
    assert stored == document
    assert [str(error) for error in validate(schema, document, "")] == []
