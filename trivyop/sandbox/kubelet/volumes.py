"""Volumes: directories of a Pod's own that stand for what it mounts.

emptyDir, ConfigMap, Secret, downward API and projected volumes are made; of any other kind there is an empty
directory, since there is no storage. Content is written once, when the Pod starts; only projected tokens
are renewed while it runs.

Promises: nothing outside the Pod's directory is written, whatever keys and paths say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from trivyop.kube.resources import Resource
from trivyop.sandbox.changes import Json, part, parts
from trivyop.sandbox.kubelet.fields import field_value
from trivyop.sandbox.kubelet.paths import PathMap, expand, nested
from trivyop.sandbox.kubelet.sources import CONFIGMAPS, SECRETS, ConfigMissingError, Sources

_FILE_MODE = 0o644
_TOKEN_SECONDS = 3600


@dataclass(slots=True)
class Volumes:
    """A Pod's volumes: where each lies, and the tokens in them."""

    directories: dict[str, Path] = field(default_factory=dict[str, Path])
    tokens: list[tuple[Path, Json]] = field(default_factory=list[tuple[Path, Json]])

    @property
    def token_seconds(self) -> float | None:
        """How soon tokens should be renewed; None if there are none."""
        validities = [_validity(source) for _, source in self.tokens]
        return min(validities) * 0.8 if validities else None

    async def renew_tokens(self, sources: Sources) -> None:
        """Write new tokens in the place of the old ones."""
        for path, source in self.tokens:
            token = await sources.token(source.get("audience") or "", _validity(source))
            fresh = path.with_name(f".{path.name}.new")
            _write(fresh, token.encode(), 0o600)
            fresh.rename(path)


async def build_volumes(pod: Json, root: Path, sources: Sources) -> Volumes:
    """Make the Pod's volumes below ``root``; raises ``ConfigMissingError`` if what they need is not there."""
    volumes = Volumes()
    for volume in parts(part(pod, "spec"), "volumes"):
        directory = root / str(volume["name"])
        directory.mkdir(parents=True, exist_ok=True)
        volumes.directories[volume["name"]] = directory
        try:
            await _build(pod, directory, volume, sources, volumes)
        except ConfigMissingError as error:
            words = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
            raise ConfigMissingError(words) from error
    return volumes


async def _build(pod: Json, directory: Path, volume: Json, sources: Sources, volumes: Volumes) -> None:
    if "configMap" in volume or "secret" in volume or "downwardAPI" in volume:
        await _fill(pod, directory, volume, volume, sources, volumes)
    elif "projected" in volume:
        projected = part(volume, "projected")
        for source in parts(projected, "sources"):
            await _fill(pod, directory, source, projected, sources, volumes)


async def _fill(
    pod: Json, directory: Path, source: Json, outer: Json, sources: Sources, volumes: Volumes
) -> None:
    for kind, resource in (("configMap", CONFIGMAPS), ("secret", SECRETS)):
        if kind in source:
            reference = part(source, kind)
            mode = reference.get("defaultMode") or outer.get("defaultMode") or _FILE_MODE
            values = await sources.all_of(resource, reference)
            _write_items(directory, values, reference, int(mode), resource)
    if "downwardAPI" in source:
        for item in parts(part(source, "downwardAPI"), "items"):
            value = field_value(pod, part(item, "fieldRef").get("fieldPath", ""))
            _write(_inside(directory, item["path"]), value.encode(), _FILE_MODE)
    if "serviceAccountToken" in source:
        wanted = part(source, "serviceAccountToken")
        volumes.tokens.append((_inside(directory, wanted["path"]), wanted))
        path, _ = volumes.tokens[-1]
        token = await sources.token(wanted.get("audience") or "", _validity(wanted))
        _write(path, token.encode(), 0o600)


def _write_items(
    directory: Path, values: Mapping[str, bytes], reference: Json, mode: int, resource: Resource
) -> None:
    if "items" not in reference:
        for key, value in values.items():
            _write(_inside(directory, key), value, mode)
        return
    for item in parts(reference, "items"):
        if item["key"] in values:
            _write(_inside(directory, item["path"]), values[item["key"]], int(item.get("mode") or mode))
        elif not reference.get("optional"):
            raise ConfigMissingError(f"references non-existent {resource.kind.lower()} key: {item['key']}")


def build_paths(container: Json, volumes: Volumes, own: Mapping[str, str], env: Mapping[str, str]) -> PathMap:
    """Where the container's paths lie: its mounts, and ``own`` for what no mount covers.

    A mount inside another one shows there as a link, for programs that reach it by a relative path.
    """
    roots: dict[str, str] = {}
    for mount in parts(container, "volumeMounts"):
        directory = volumes.directories.get(mount["name"])
        if directory is None:
            raise ConfigMissingError(
                f"volume {mount['name']} of container {container['name']} is not defined"
            )
        sub_path = mount.get("subPath") or expand(mount.get("subPathExpr") or "", env)
        target = _inside(directory, sub_path) if sub_path else directory
        if not target.exists():
            target.mkdir(parents=True)
        roots[str(mount["mountPath"]).rstrip("/")] = str(target)
    for inner, outer in nested(roots):
        link = Path(roots[outer]) / inner.removeprefix(f"{outer}/")
        if Path(roots[outer]).is_dir() and not link.exists() and not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(roots[inner])
    return PathMap.of({**own, **roots})


def _inside(directory: Path, relative: Any) -> Path:
    path = PurePosixPath(str(relative))
    if path.is_absolute() or ".." in path.parts:
        raise ConfigMissingError(f"path {path} leaves its volume")
    return directory / path


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode | 0o400)  # we have to read it ourselves: there is no other user here


def _validity(source: Json) -> int:
    return int(source.get("expirationSeconds") or _TOKEN_SECONDS)
