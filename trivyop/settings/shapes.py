"""Kubernetes objects that settings carry as JSON: tolerations, affinity, security contexts, volumes.

The JSON is checked against the shape the API server would ask for, so that a typing mistake is reported at
start and not by a scan that never runs. What is kept is the JSON as written.

A JSON ``null``, which Helm writes for a value that is none, is as if the key were empty; a ``null`` in an
object is as if the field were not there, as it is to the API server.

Promises: a field that the shape does not know is refused and named, with its path.
Not here: rules between fields that only the API server applies (a volume with two sources, say).
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec
import orjson

from trivyop.settings.kinds import Kind, check_label_key

Json = dict[str, Any]
T = TypeVar("T")
_BLANK = frozenset({"null"})


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class _Toleration(_Strict):
    key: str | None = None
    operator: Literal["", "Exists", "Equal", "Lt", "Gt"] | None = None
    value: str | None = None
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class _Requirement(_Strict):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: list[str] | None = None


class _LabelSelector(_Strict):
    match_labels: dict[str, str] | None = None
    match_expressions: list[_Requirement] | None = None


class _NodeSelectorTerm(_Strict):
    match_expressions: list[_Requirement] | None = None
    match_fields: list[_Requirement] | None = None


class _NodeSelector(_Strict):
    node_selector_terms: list[_NodeSelectorTerm]


class _PreferredNode(_Strict):
    weight: int
    preference: _NodeSelectorTerm


class _NodeAffinity(_Strict):
    required_during_scheduling_ignored_during_execution: _NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: list[_PreferredNode] | None = None


class _PodAffinityTerm(_Strict):
    topology_key: str
    label_selector: _LabelSelector | None = None
    namespaces: list[str] | None = None
    namespace_selector: _LabelSelector | None = None
    match_label_keys: list[str] | None = None
    mismatch_label_keys: list[str] | None = None


class _PreferredPod(_Strict):
    weight: int
    pod_affinity_term: _PodAffinityTerm


class _PodAffinity(_Strict):
    required_during_scheduling_ignored_during_execution: list[_PodAffinityTerm] | None = None
    preferred_during_scheduling_ignored_during_execution: list[_PreferredPod] | None = None


class _Affinity(_Strict):
    node_affinity: _NodeAffinity | None = None
    pod_affinity: _PodAffinity | None = None
    pod_anti_affinity: _PodAffinity | None = None


class _Profile(_Strict):
    type: str
    localhost_profile: str | None = None


class _SeLinux(_Strict):
    user: str | None = None
    role: str | None = None
    type: str | None = None
    level: str | None = None


class _Windows(_Strict):
    gmsa_credential_spec_name: str | None = None
    gmsa_credential_spec: str | None = None
    run_as_user_name: str | None = None
    host_process: bool | None = None


class _Capabilities(_Strict):
    add: list[str] | None = None
    drop: list[str] | None = None


class _Sysctl(_Strict):
    name: str
    value: str


class _PodSecurityContext(_Strict):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: list[int] | None = None
    supplemental_groups_policy: str | None = None
    fs_group: int | None = None
    fs_group_change_policy: str | None = None
    sysctls: list[_Sysctl] | None = None
    se_linux_options: _SeLinux | None = None
    se_linux_change_policy: str | None = None
    seccomp_profile: _Profile | None = None
    app_armor_profile: _Profile | None = None
    windows_options: _Windows | None = None


class _SecurityContext(_Strict):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    read_only_root_filesystem: bool | None = None
    capabilities: _Capabilities | None = None
    proc_mount: str | None = None
    se_linux_options: _SeLinux | None = None
    seccomp_profile: _Profile | None = None
    app_armor_profile: _Profile | None = None
    windows_options: _Windows | None = None


class _Volume(msgspec.Struct):  # open: there are thirty kinds of source, and more to come
    name: str


class _VolumeMount(_Strict):
    name: str
    mount_path: str
    read_only: bool | None = None
    recursive_read_only: str | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None
    mount_propagation: str | None = None


def _check(text: str, shape: Any) -> None:
    try:
        msgspec.json.decode(text, type=shape)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def _object(name: str, shape: Any) -> Kind[Json | None]:
    def parse(text: str) -> Json | None:
        _check(text, shape)
        return orjson.loads(text)

    return Kind(name, f"a JSON object: {name}", parse, _show, lambda: None, _BLANK)


def _array(name: str, shape: Any) -> Kind[tuple[Json, ...]]:
    def parse(text: str) -> tuple[Json, ...]:
        _check(text, list[shape])
        return tuple(orjson.loads(text))

    return Kind(name, f"a JSON array: {name}", parse, _show, lambda: (), _BLANK)


def _show(value: object) -> str:
    return "" if value is None or value == () or value == {} else orjson.dumps(value).decode()


TOLERATIONS = _array("tolerations", _Toleration)
AFFINITY = _object("affinity", _Affinity)
POD_SECURITY_CONTEXT = _object("pod security context", _PodSecurityContext)
SECURITY_CONTEXT = _object("container security context", _SecurityContext)


def _parse_mounts(text: str) -> tuple[Json, ...]:
    _check(text, list[_VolumeMount])
    mounts: tuple[Json, ...] = tuple(orjson.loads(text))
    paths = [posixpath.normpath(mount["mountPath"]) for mount in mounts]
    for number, path in enumerate(paths):
        if path in paths[:number]:
            raise ValueError(f"{path!r} is mounted twice - at `$[{number}]`")
    return mounts


VOLUME_MOUNTS: Kind[tuple[Json, ...]] = Kind(
    "volume mounts", "a JSON array: volume mounts", _parse_mounts, _show, lambda: (), _BLANK
)


def _parse_volumes(text: str) -> tuple[Json, ...]:
    _check(text, list[_Volume])
    given: list[Json] = orjson.loads(text)
    written: list[Json] = [
        {key: value for key, value in volume.items() if value is not None} for volume in given
    ]
    default: Json = {"emptyDir": {}}  # of the API server
    volumes = tuple(volume if len(volume) > 1 else volume | default for volume in written)
    for number, volume in enumerate(volumes):
        sources = [key for key in volume if key != "name"]
        if len(sources) != 1 or not isinstance(volume[sources[0]], Mapping):
            raise ValueError(f"a volume has a name and at most one source - at `$[{number}]`")
        if volume["name"] in [other["name"] for other in volumes[:number]]:
            raise ValueError(f"two volumes have the name {volume['name']!r} - at `$[{number}]`")
    return volumes


VOLUMES: Kind[tuple[Json, ...]] = Kind(
    "volumes", "a JSON array: volumes", _parse_volumes, _show, lambda: (), _BLANK
)


def _parse_node_selector(text: str) -> dict[str, str]:
    _check(text, dict[str, str])
    selector: dict[str, str] = orjson.loads(text)
    for key in selector:
        check_label_key(key)
    return selector


NODE_SELECTOR: Kind[dict[str, str]] = Kind(
    "node selector", "a JSON object of label keys and values", _parse_node_selector, _show, dict, _BLANK
)


def _parse_secret_names(text: str) -> dict[str, tuple[str, ...]]:
    _check(text, dict[str, str | None])
    raw: dict[str, str | None] = orjson.loads(text)
    names: dict[str, tuple[str, ...]] = {}
    for namespace, joined in raw.items():
        names[namespace.strip()] = tuple(
            name for name in (part.strip() for part in (joined or "").split(",")) if name
        )
    return names


def _show_secret_names(value: dict[str, tuple[str, ...]]) -> str:
    return _show({namespace: ",".join(names) for namespace, names in value.items()})


SECRET_NAMES: Kind[dict[str, tuple[str, ...]]] = Kind(
    "secret names", '{"<namespace>":"secretA,secretB"}', _parse_secret_names, _show_secret_names, dict, _BLANK
)
