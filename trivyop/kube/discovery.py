"""Discovery: which kinds a server serves.

It asks for the aggregated document, which has all groups in two requests, and where a server does not
know that, for the list of groups and for each version's resources.

Promises: a group that cannot be read right now (an aggregated API that is down) is left out, not an
error.
Not here: what a kind looks like (OpenAPI).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from trivyop.errors import DeniedError, NotFoundError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.pages import decode_one
from trivyop.kube.resources import Resource

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


@dataclass(frozen=True, slots=True)
class Discovery:
    """The kinds of a server, as it listed them at one moment."""

    kinds: dict[tuple[str, str, str], frozenset[str]]  # (group, version, plural) -> verbs
    resources: tuple[Resource, ...] = ()  # the same, each group's preferred version first

    def serves(self, resource: Resource) -> bool:
        """Whether the server has this kind in this version."""
        return (resource.group, resource.version, resource.plural) in self.kinds

    def verbs(self, resource: Resource) -> frozenset[str]:
        """What can be done with it; nothing if the server does not have it."""
        return self.kinds.get((resource.group, resource.version, resource.plural), frozenset())

    def called(self, kind: str) -> tuple[Resource, ...]:
        """What can be listed and watched under the name of a kind: one for each group that has it.

        Groups of Kubernetes itself come first, whatever others call theirs.
        """
        found: dict[str, Resource] = {}
        for resource in self.resources:
            if resource.kind == kind and {"list", "watch"} <= self.verbs(resource):
                found.setdefault(resource.group, resource)
        return tuple(found[group] for group in sorted(found, key=_group_order))


def _group_order(group: str) -> tuple[bool, bool, str]:
    return "." in group, not group.endswith(".k8s.io"), group


class _ResponseKind(msgspec.Struct, frozen=True, gc=False):
    kind: str = ""


class _Kind(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    resource: str
    verbs: tuple[str, ...] | None = None
    response_kind: _ResponseKind | None = None
    scope: str = ""


class _GroupVersionKinds(msgspec.Struct, frozen=True, gc=False):
    version: str
    resources: tuple[_Kind, ...] | None = None


class _GroupMeta(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class _Group(msgspec.Struct, frozen=True, gc=False):
    metadata: _GroupMeta
    versions: tuple[_GroupVersionKinds, ...] | None = None


class _Aggregated(msgspec.Struct, frozen=True, gc=False):
    kind: str
    items: tuple[_Group, ...] | None = None


class _PlainVersion(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    group_version: str


class _PlainGroup(msgspec.Struct, frozen=True, gc=False):
    versions: tuple[_PlainVersion, ...]


class _PlainGroups(msgspec.Struct, frozen=True, gc=False):
    groups: tuple[_PlainGroup, ...]


class _PlainKind(msgspec.Struct, frozen=True, gc=False):
    name: str
    verbs: tuple[str, ...] | None = None
    kind: str = ""
    namespaced: bool = True


class _PlainKinds(msgspec.Struct, frozen=True, gc=False):
    resources: tuple[_PlainKind, ...] | None = None


async def discover(api: Api) -> Discovery:
    """Ask the server what it serves."""
    kinds: dict[tuple[str, str, str], frozenset[str]] = {}
    resources: list[Resource] = []
    for path in ("/api", "/apis"):
        document = decode_one(await api.get_raw(path, accept=_AGGREGATED), _Aggregated, path)
        if document.kind != "APIGroupDiscoveryList":
            return await _discover_plainly(api)
        for group in document.items or ():
            for version in group.versions or ():
                for kind in version.resources or ():
                    place = (group.metadata.name, version.version, kind.resource)
                    kinds[place] = frozenset(kind.verbs or ())
                    if kind.response_kind is not None:
                        namespaced = kind.scope != "Cluster"
                        resources.append(Resource(*place, kind.response_kind.kind, namespaced))
    return Discovery(kinds, tuple(resources))


async def _discover_plainly(api: Api) -> Discovery:
    groups = decode_one(await api.get_raw("/apis"), _PlainGroups, "/apis")
    group_versions = [v.group_version for group in groups.groups for v in group.versions]
    kinds: dict[tuple[str, str, str], frozenset[str]] = {}
    resources: list[Resource] = []
    for group_version in ["v1", *group_versions]:
        group, _, version = group_version.rpartition("/")
        path = f"/apis/{group_version}" if group else f"/api/{version}"
        try:
            found = decode_one(await api.get_raw(path), _PlainKinds, path)
        except DeniedError:
            raise  # of the server that starts, and of each group, not of this one
        except (NotFoundError, TransientError):
            if not group:
                raise  # without the core group there is no server to speak of
            continue
        for kind in found.resources or ():
            if "/" not in kind.name:  # a subresource
                kinds[group, version, kind.name] = frozenset(kind.verbs or ())
                resources.append(Resource(group, version, kind.name, kind.kind, kind.namespaced))
    return Discovery(kinds, tuple(resources))
