"""Routing: what a method and a path ask for, before it is known whether such a thing is served.

Promises: verbs, resources and names as authorization sees them; the same rules as Kubernetes' RequestInfo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_VERBS = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "GET": "get",
    "HEAD": "get",
}
_NAME_SELECTED = re.compile(r"metadata\.name==?([^,=!]+)")
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """One request's target. ``resource`` is empty for paths that are not about objects."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    rest: tuple[str, ...] = ()  # what follows the subresource
    selected_name: str = ""  # the one name that a list or watch is narrowed to, for rules on resource names


def parse(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Read a request line."""
    verb = _VERBS.get(method, method.lower())
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return RequestInfo(method.lower(), path)

    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]  # a namespace is in itself, to RBAC
    resource, name, subresource, *more = [*rest, "", ""][: max(3, len(rest))]

    if verb == "get" and not name:
        verb = "watch" if _true(query.get("watch")) else "list"
    elif verb == "delete" and not name:
        verb = "deletecollection"
    only = _NAME_SELECTED.fullmatch(query.get("fieldSelector", "")) if not name else None
    return RequestInfo(
        verb,
        path,
        group,
        version,
        namespace,
        resource,
        subresource,
        name,
        tuple(more),
        only[1] if only else "",
    )


def _true(value: str | None) -> bool:
    return value is not None and value.lower() not in ("", "0", "f", "false")
