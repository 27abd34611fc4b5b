"""Discovery: what is served, as clients ask before anything else, and the health endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.request import Reply

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Kinds
    from trivyop.sandbox.apiserver.request import Request

Obj = dict[str, Any]

VERSION: Obj = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0+trivyop-sandbox",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


class Discovery:
    """The handlers of paths that are not about objects."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds

    def handle(self, request: Request) -> Reply:
        """Answer a path outside of resources."""
        match [part for part in request.info.path.split("/") if part]:
            case ["healthz" | "livez" | "readyz", *_]:
                return Reply.text("ok")
            case ["version"]:
                return Reply.json(VERSION)
            case ["api"]:
                return Reply.json(
                    {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
                )
            case ["apis"]:
                return Reply.json(self._groups())
            case ["apis", group]:
                return Reply.json(self._group(group))
            case ["api", version]:
                return Reply.json(self._resources("", version))
            case ["apis", group, version]:
                return Reply.json(self._resources(group, version))
            case _:
                raise status.no_such_path()

    def _groups(self) -> Obj:
        names = [name for name in self._kinds.groups() if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._entry(name) for name in names]}

    def _group(self, name: str) -> Obj:
        if name not in self._kinds.groups():
            raise status.no_such_path()
        return {"kind": "APIGroup", "apiVersion": "v1", **self._entry(name)}

    def _entry(self, name: str) -> Obj:
        versions = [
            {"groupVersion": f"{name}/{version}", "version": version}
            for version in self._kinds.groups()[name]
        ]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _resources(self, group: str, version: str) -> Obj:
        resources: list[Obj] = []
        for served in self._kinds:
            kind = served.kind
            if (kind.group, kind.version) != (group, version):
                continue
            entry: Obj = {
                "name": kind.plural,
                "singularName": kind.singular,
                "namespaced": kind.namespaced,
                "kind": kind.kind,
                "verbs": list(kind.verbs),
            }
            if kind.short_names:
                entry["shortNames"] = list(kind.short_names)
            if kind.categories:
                entry["categories"] = list(kind.categories)
            resources.append(entry)
            if kind.has_status:
                resources.append(
                    {
                        "name": f"{kind.plural}/status",
                        "singularName": "",
                        "namespaced": kind.namespaced,
                        "kind": kind.kind,
                        "verbs": ["get", "patch", "update"],
                    }
                )
        if not resources:
            raise status.no_such_path()
        group_version = f"{group}/{version}" if group else version
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        }
