"""Discovery: what is served, as clients ask before anything else.

In two forms: the aggregated one (two requests for everything) and the old one (one for each group version).

Promises: what is listed can be asked for, subresources included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from trivyop.sandbox.apiserver import reviews, status
from trivyop.sandbox.apiserver.request import Reply

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Kinds
    from trivyop.sandbox.apiserver.objects.kinds import Kind
    from trivyop.sandbox.apiserver.request import Request

Obj = dict[str, Any]

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_CHANGE = ("get", "patch", "update")


class _Subresource(NamedTuple):
    """What a subresource takes or gives, where it is not the kind itself."""

    verbs: tuple[str, ...] = _CHANGE
    group: str = ""
    version: str = ""
    kind: str = ""


_SUBRESOURCES = {
    "binding": _Subresource(("create",), kind="Binding"),
    "ephemeralcontainers": _Subresource(),
    "eviction": _Subresource(("create",), "policy", "v1", "Eviction"),
    "finalize": _Subresource(("update",)),
    "log": _Subresource(("get",)),
    "proxy": _Subresource(("get",), kind="NodeProxyOptions"),
    "scale": _Subresource(_CHANGE, "autoscaling", "v1", "Scale"),
    "status": _Subresource(),
    "token": _Subresource(("create",), "authentication.k8s.io", "v1", "TokenRequest"),
}
_LISTED = _SUBRESOURCES.keys() - {"ephemeralcontainers", "proxy"}  # as the server did that was recorded


def serves(kind: Kind, subresource: str, verb: str) -> bool:
    """Return whether a subresource may be asked for with ``verb``; raises the 404 of one that is absent."""
    if subresource not in kind.subresources or subresource not in _SUBRESOURCES:
        raise status.no_such_path()
    return verb in _SUBRESOURCES[subresource].verbs


class _Resource(NamedTuple):
    """One line of discovery."""

    plural: str
    singular: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    custom: bool = False


class Discovery:
    """The handlers of ``/api``, ``/apis`` and the group versions below."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds

    def handle(self, request: Request, parts: list[str]) -> Reply:
        """Answer a path, given in its parts."""
        aggregated = _AGGREGATED in request.headers.get("Accept", "").replace(" ", "")
        match parts:
            case ["api"] if aggregated:
                return _reply(self._discovered([""]))
            case ["apis"] if aggregated:
                return _reply(self._discovered([group for group in self._groups() if group]))
            case ["api"]:
                address = {"clientCIDR": "0.0.0.0/0", "serverAddress": request.headers.get("Host", "")}
                versions = {"kind": "APIVersions", "versions": ["v1"]}
                return Reply.json(versions | {"serverAddressByClientCIDRs": [address]})
            case ["apis"]:
                groups = [_group(name, versions) for name, versions in self._groups().items() if name]
                return Reply.json({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
            case ["apis", group] if group in self._groups():
                entry = _group(group, self._groups()[group])
                return Reply.json({"kind": "APIGroup", "apiVersion": "v1"} | entry)
            case ["api", version]:
                return Reply.json(self._resource_list("", version))
            case ["apis", group, version]:
                return Reply.json(self._resource_list(group, version))
            case _:
                raise status.page_not_found()

    def _groups(self) -> dict[str, list[str]]:
        """Return the versions of each group, the preferred one first."""
        groups = self._kinds.groups()
        for group, _ in reviews.KINDS:
            if group not in groups:
                groups[group] = ["v1"]
        return {group: sorted(versions, key=version_order) for group, versions in groups.items()}

    def _resources(self, group: str, version: str) -> list[_Resource]:
        found: list[_Resource] = []
        for served in self._kinds:
            kind = served.kind
            if (kind.group, kind.version) == (group, version):
                found.append(
                    _Resource(
                        kind.plural,
                        kind.singular,
                        kind.kind,
                        kind.namespaced,
                        _CUSTOM_VERBS if kind.custom else kind.verbs,
                        kind.short_names,
                        kind.categories,
                        tuple(sorted(_LISTED.intersection(kind.subresources))),
                        kind.custom,
                    )
                )
        for (review_group, plural), name in reviews.KINDS.items():
            if (review_group, "v1") == (group, version) and all(r.plural != plural for r in found):
                local = plural.startswith("local")
                found.append(_Resource(plural, name.lower(), name, local, ("create",)))
        return sorted(found)

    def _resource_list(self, group: str, version: str) -> Obj:
        resources = self._resources(group, version)
        if not resources:
            raise status.no_such_path() if group in self._groups() else status.page_not_found()
        head: Obj = {"kind": "APIResourceList", "groupVersion": f"{group}/{version}" if group else version}
        if group:
            head["apiVersion"] = "v1"
        return head | {"resources": [line for resource in resources for line in _lines(resource)]}

    def _discovered(self, groups: Iterable[str]) -> Obj:
        items: list[Obj] = []
        for group in groups:
            versions: list[Obj] = [
                {
                    "version": version,
                    "resources": [
                        _discovered(group, version, resource) for resource in self._resources(group, version)
                    ],
                    "freshness": "Current",
                }
                for version in self._groups()[group]
            ]
            items.append({"metadata": {"name": group} if group else {}, "versions": versions})
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }


def version_order(version: str) -> tuple[int, int, int]:
    """Sort versions as Kubernetes prefers them: v2, v1, v1beta1, v1alpha1."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not found:
        return (3, 0, 0)
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return (stage, -int(found[1]), -int(found[3] or 0))


def _reply(discovered: Obj) -> Reply:
    return Reply(200, orjson.dumps(discovered), media_type=_AGGREGATED)


def _group(name: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _lines(resource: _Resource) -> list[Obj]:
    """Return the entries of one resource in the old form."""
    entry: Obj = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    _add_names(entry, resource)
    lines = [entry]
    for name in resource.subresources:
        sub = _SUBRESOURCES[name]
        line: Obj = {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": sub.kind or resource.kind,
            "verbs": list(sub.verbs),
        }
        if sub.group:
            line |= {"group": sub.group, "version": sub.version}
        lines.append(line)
    return lines


def _discovered(group: str, version: str, resource: _Resource) -> Obj:
    """Return the entry of one resource in the aggregated form."""
    own = (group, version) if resource.custom else ("", "")
    entry: Obj = {
        "resource": resource.plural,
        "responseKind": {"group": own[0], "version": own[1], "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    _add_names(entry, resource)
    subresources: list[Obj] = []
    for name in resource.subresources:
        sub = _SUBRESOURCES[name]
        sub_group, sub_version = (sub.group, sub.version) if sub.group else own
        kind = {"group": sub_group, "version": sub_version, "kind": sub.kind or resource.kind}
        subresources.append({"subresource": name, "responseKind": kind, "verbs": list(sub.verbs)})
    if subresources:
        entry["subresources"] = subresources
    return entry


def _add_names(entry: Obj, resource: _Resource) -> None:
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
