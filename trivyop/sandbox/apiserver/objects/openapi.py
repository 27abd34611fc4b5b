"""OpenAPI: the documents at /openapi/v2 and /openapi/v3, made from the kinds' schemas.

Enough for ``kubectl apply`` (which fields merge, which parameters a patch takes), ``kubectl explain`` and
clients that look up types. Built-in fields have no descriptions.

Promises: same kinds, same document.
Not here: hashes and caching of the encoded documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from trivyop.sandbox.apiserver.objects.schema import MISSING

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind
    from trivyop.sandbox.apiserver.objects.schema import Schema

_INFO: Final = {"title": "Kubernetes", "version": "v1.36.0"}
_PACKAGES: Final = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "autoscaling2": "io.k8s.api.autoscaling.v2",
}
_FORMATS: Final = {"micro-time": "date-time", "quantity": ""}
_PATCH_TYPES: Final = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_QUERY: Final = ("dryRun", "fieldManager", "fieldValidation", "force")
_LIST_QUERY: Final = ("continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch")


class _Definitions:
    """The named schemas of one document, collected as they are referred to."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix  # "#/components/schemas/" or "#/definitions/"
        self.schemas: dict[str, dict[str, Any]] = {}

    def reference(self, schema: Schema) -> dict[str, Any]:
        name = f"{_PACKAGES.get(schema.section, f'io.k8s.api.{schema.section}.v1')}.{schema.go}"
        if name not in self.schemas:
            self.schemas[name] = {}  # before its fields, which may refer back to it
            self.schemas[name].update(self.inline(schema))
        return {"$ref": f"{self.prefix}{name}"}

    def of(self, schema: Schema) -> dict[str, Any]:
        return self.reference(schema) if schema.go else self.inline(schema)

    def inline(self, schema: Schema) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if schema.description:
            out["description"] = schema.description
        if schema.type:
            out["type"] = schema.type
        if schema.int_or_string:
            out["x-kubernetes-int-or-string"] = True
            out["format"] = "int-or-string"
            if schema.section or not schema.type:
                out["type"] = "string"
        elif schema.format and schema.format != "any":
            form = _FORMATS.get(schema.format, schema.format)
            if form:
                out["format"] = form
        if schema.properties:
            out["properties"] = {name: self.field(child) for name, child in schema.properties.items()}
        if schema.additional is not None:
            out["additionalProperties"] = self.of(schema.additional)
        if schema.items is not None:
            out["items"] = self.of(schema.items)
        out.update(_limits(schema))
        out.update(_extensions(schema))
        return out

    def field(self, schema: Schema) -> dict[str, Any]:
        return self.of(schema)


def _limits(schema: Schema) -> dict[str, Any]:
    out: dict[str, Any] = {
        "required": list(schema.required),
        "enum": list(schema.enum),
        "pattern": schema.pattern_text,
        "nullable": schema.nullable,
    }
    out = {name: value for name, value in out.items() if value}
    for name, value in (
        ("minimum", schema.minimum),
        ("maximum", schema.maximum),
        ("minLength", schema.min_length),
        ("maxLength", schema.max_length),
        ("minItems", schema.min_items),
        ("maxItems", schema.max_items),
    ):
        if value is not None:
            out[name] = value
    if schema.default is not MISSING:
        out["default"] = schema.default
    return out


def _extensions(schema: Schema) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if schema.preserve_unknown and schema.type == "object":
        out["x-kubernetes-preserve-unknown-fields"] = True
    if schema.type == "array" and (schema.section or schema.list_type != "atomic" or schema.merges):
        out["x-kubernetes-list-type"] = schema.list_type
        if schema.list_keys:
            out["x-kubernetes-list-map-keys"] = list(schema.list_keys)
    if schema.atomic:
        out["x-kubernetes-map-type"] = "atomic"
    strategies = [name for name, on in (("merge", schema.merges), ("retainKeys", schema.retain_keys)) if on]
    if strategies:
        out["x-kubernetes-patch-strategy"] = ",".join(strategies)
    if schema.merge_key:
        out["x-kubernetes-patch-merge-key"] = schema.merge_key
    return out


def _name(kind: Kind) -> str:
    if not kind.custom and kind.schema.section:
        package = _PACKAGES.get(kind.schema.section, f"io.k8s.api.{kind.schema.section}.{kind.version}")
        return f"{package}.{kind.kind}"
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


def _gvk(kind: Kind, suffix: str = "") -> dict[str, str]:
    return {"group": kind.group, "kind": f"{kind.kind}{suffix}", "version": kind.version}


def _root(kind: Kind, definitions: _Definitions) -> None:
    body = definitions.inline(kind.schema)
    body["x-kubernetes-group-version-kind"] = [_gvk(kind)]
    definitions.schemas[_name(kind)] = body
    items = {"type": "array", "items": {"$ref": f"{definitions.prefix}{_name(kind)}"}}
    definitions.schemas[f"{_name(kind)}List"] = {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "items": items,
        },
        "x-kubernetes-group-version-kind": [_gvk(kind, "List")],
    }


def _paths(kind: Kind, definitions: _Definitions) -> dict[str, Any]:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    collection = (
        f"{root}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    )
    one = {"$ref": f"{definitions.prefix}{_name(kind)}"}
    many = {"$ref": f"{definitions.prefix}{_name(kind)}List"}
    v2 = definitions.prefix == "#/definitions/"
    place = [_parameter("namespace", "path", v2=v2)] if kind.namespaced else []
    paths = {
        collection: {
            "get": _operation(kind, "list", many, _LIST_QUERY, v2=v2),
            "post": _operation(kind, "post", one, _QUERY[:3], v2=v2),
            "parameters": place,
        },
        f"{collection}/{{name}}": {
            "get": _operation(kind, "get", one, (), v2=v2),
            "put": _operation(kind, "put", one, _QUERY[:3], v2=v2),
            "patch": _operation(kind, "patch", one, _QUERY, v2=v2),
            "delete": _operation(kind, "delete", one, _QUERY[:1], v2=v2),
            "parameters": [*place, _parameter("name", "path", v2=v2)],
        },
    }
    if kind.namespaced:
        paths[f"{root}/{kind.plural}"] = {"get": _operation(kind, "list", many, _LIST_QUERY, v2=v2)}
    return paths


def _parameter(name: str, place: str, *, v2: bool) -> dict[str, Any]:
    types = {"force": "boolean", "watch": "boolean", "limit": "integer"}
    schema = {"type": types.get(name, "string"), "uniqueItems": True}
    out: dict[str, Any] = {"name": name, "in": place, **(schema if v2 else {"schema": schema})}
    if place == "path":
        out["required"] = True
    return out


def _operation(
    kind: Kind, action: str, answer: dict[str, str], query: Iterable[str], *, v2: bool
) -> dict[str, Any]:
    response = {"schema": answer} if v2 else {"content": {"application/json": {"schema": answer}}}
    operation: dict[str, Any] = {
        "operationId": f"{action}{kind.group.title().replace('.', '')}{kind.version.title()}{kind.kind}",
        "parameters": [_parameter(name, "query", v2=v2) for name in query],
        "responses": {"200": {"description": "OK", **response}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(kind),
    }
    if action == "patch":
        types = [kind_ for kind_ in _PATCH_TYPES if not (kind.custom and "strategic" in kind_)]
        if v2:
            operation["consumes"] = types
        else:
            operation["requestBody"] = {"content": {name: {"schema": {"type": "object"}} for name in types}}
    return operation


def document_v2(kinds: Iterable[Kind]) -> dict[str, Any]:
    """The one Swagger document of all kinds."""
    definitions = _Definitions("#/definitions/")
    paths: dict[str, Any] = {}
    for kind in kinds:
        _root(kind, definitions)
        paths |= _paths(kind, definitions)
    return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": definitions.schemas}


def documents_v3(kinds: Iterable[Kind]) -> dict[str, dict[str, Any]]:
    """The OpenAPI 3 document of each group version, by its path: "api/v1", "apis/apps/v1"."""
    groups: dict[str, list[Kind]] = {}
    for kind in kinds:
        path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
        groups.setdefault(path, []).append(kind)
    return {path: document_v3(members) for path, members in groups.items()}


def document_v3(kinds: Iterable[Kind]) -> dict[str, Any]:
    """The OpenAPI 3 document of the kinds of one group version."""
    definitions = _Definitions("#/components/schemas/")
    paths: dict[str, Any] = {}
    for kind in kinds:
        _root(kind, definitions)
        paths |= _paths(kind, definitions)
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": definitions.schemas}}


def index_v3(hashes: dict[str, str]) -> dict[str, Any]:
    """The index at /openapi/v3 for documents with these hashes, by path."""
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}
            for path, digest in hashes.items()
        }
    }
