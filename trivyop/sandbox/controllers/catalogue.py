"""Catalogue: every kind an API server serves right now, for controllers that work on any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from trivyop.kube.client import Api
from trivyop.kube.resources import Resource
from trivyop.sandbox.changes import Json, part, parts

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Kinds in the version that the server prefers, each with the verbs it offers."""

    verbs: dict[Resource, frozenset[str]]

    def offering(self, *verbs: str) -> Iterator[Resource]:
        """Kinds that can be listed, watched, deleted and so on; Events are left out, they go by
        themselves.
        """
        for resource, offered in self.verbs.items():
            if offered.issuperset(verbs) and resource.plural != "events":
                yield resource

    def find(self, api_version: str, kind: str) -> Resource | None:
        """The kind that an owner reference names, whichever its version."""
        group = api_version.rpartition("/")[0]
        return next((r for r in self.verbs if r.group == group and r.kind == kind), None)


async def read_catalogue(api: Api) -> Catalogue:
    """Ask the server, in two requests if it can tell of all groups at once."""
    verbs: dict[Resource, frozenset[str]] = {}
    for path in ("/api", "/apis"):
        document: Json = orjson.loads(await api.get_raw(path, accept=_AGGREGATED))
        if document["kind"] != "APIGroupDiscoveryList":
            return await _read_plainly(api)
        for group in parts(document, "items"):
            verbs |= _kinds(group)
    return Catalogue(verbs)


async def _read_plainly(api: Api) -> Catalogue:
    groups: Json = orjson.loads(await api.get_raw("/apis"))
    verbs: dict[Resource, frozenset[str]] = {}
    versions = [version["groupVersion"] for group in parts(groups, "groups") for version in group["versions"]]
    seen: set[tuple[str, str]] = set()
    for api_version in ("v1", *versions):
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{api_version}" if group else f"/api/{api_version}"
        for entry in parts(orjson.loads(await api.get_raw(path)), "resources"):
            plural: str = entry["name"]
            if "/" in plural or (group, plural) in seen:
                continue
            seen.add((group, plural))
            resource = Resource(group, version, plural, entry["kind"], namespaced=entry["namespaced"])
            verbs[resource] = frozenset(entry.get("verbs") or ())
    return Catalogue(verbs)


def _kinds(group: Json) -> dict[Resource, frozenset[str]]:
    name: str = part(group, "metadata").get("name") or ""
    kinds: dict[str, tuple[Resource, frozenset[str]]] = {}
    for version in parts(group, "versions"):
        for entry in parts(version, "resources"):
            kind = part(entry, "responseKind").get("kind") or ""
            resource = Resource(
                name, version["version"], entry["resource"], kind, namespaced=entry["scope"] == "Namespaced"
            )
            kinds.setdefault(resource.plural, (resource, frozenset(entry.get("verbs") or ())))
    return dict(kinds.values())
