"""Audited: what an object looks like to checks, as one short hash, so that nothing else of it need be kept.

Two states are equal when no check can tell them apart: same generation where the kind counts one, otherwise
the same content; same labels; same annotations, but for those that controllers write all the time. Status
never counts. A manifest that was applied in another version than the server keeps counts by that version,
because checks for outdated versions look at it.

Promises: pure; the same object gives the same state in any process, decoded from a list, a watch or alone.
Not here: which objects are audited.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from trivyop.kube.objects import Object, ObjectMeta

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
LEADER = "control-plane.alpha.kubernetes.io/leader"  # what carries it changes every few seconds
SEEN = "trivyop.dev/annotations"  # stands in a store for annotations that were dropped
_VOLATILE = frozenset(
    {
        LAST_APPLIED,
        LEADER,
        "endpoints.kubernetes.io/last-change-trigger-time",
        "autoscaling.alpha.kubernetes.io/conditions",
        "autoscaling.alpha.kubernetes.io/current-metrics",
        "deprecated.daemonset.template.generation",
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
    }
)
_UNSEEN_PREFIXES = (
    "deployment.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "volume.kubernetes.io/",
    "trivyop.dev/",  # meant for us, not for checks
    "trivy-operator.aquasecurity.github.io/",
)
_HASH_BYTES = 8

_NONE = msgspec.Raw(b"")


class Document(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    """Any object with all that built-in kinds have beside metadata and status, still as text.

    The text belongs to the answer that it came in, so let go of this soon.
    """

    spec: msgspec.Raw = _NONE
    data: msgspec.Raw = _NONE
    binary_data: msgspec.Raw = _NONE
    immutable: msgspec.Raw = _NONE
    type: msgspec.Raw = _NONE
    rules: msgspec.Raw = _NONE
    aggregation_rule: msgspec.Raw = _NONE
    role_ref: msgspec.Raw = _NONE
    subjects: msgspec.Raw = _NONE
    secrets: msgspec.Raw = _NONE
    image_pull_secrets: msgspec.Raw = _NONE
    automount_service_account_token: msgspec.Raw = _NONE
    webhooks: msgspec.Raw = _NONE
    provisioner: msgspec.Raw = _NONE
    parameters: msgspec.Raw = _NONE
    reclaim_policy: msgspec.Raw = _NONE
    mount_options: msgspec.Raw = _NONE
    allow_volume_expansion: msgspec.Raw = _NONE
    volume_binding_mode: msgspec.Raw = _NONE
    allowed_topologies: msgspec.Raw = _NONE
    handler: msgspec.Raw = _NONE
    overhead: msgspec.Raw = _NONE
    scheduling: msgspec.Raw = _NONE
    value: msgspec.Raw = _NONE
    global_default: msgspec.Raw = _NONE
    preemption_policy: msgspec.Raw = _NONE
    description: msgspec.Raw = _NONE
    subsets: msgspec.Raw = _NONE
    endpoints: msgspec.Raw = _NONE
    ports: msgspec.Raw = _NONE
    address_type: msgspec.Raw = _NONE


_CONTENT = tuple(
    (field.name, field.encode_name.encode())
    for field in msgspec.structs.fields(Document)
    if field.type is msgspec.Raw
)


class _Applied(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    api_version: str = ""


_applied = msgspec.json.Decoder(_Applied)


def document_state(document: Document, api_version: str) -> str:
    """The state of an object of a kind that the server keeps as ``api_version``; 16 hex digits."""
    meta = document.metadata
    if meta.generation:
        return _state(meta, api_version, str(meta.generation).encode())
    content = hashlib.blake2b(digest_size=_HASH_BYTES)
    for name, text in _CONTENT:
        raw: msgspec.Raw = getattr(document, name)
        value = bytes(raw)
        if value:
            content.update(text + b"\0" + value + b"\0")
    return _state(meta, api_version, content.digest())


def object_state(obj: Object, api_version: str) -> str:
    """As ``document_state``, of an object as stores hold it: annotations may have been dropped."""
    meta = obj.metadata
    if meta.generation:
        return _state(meta, api_version, str(meta.generation).encode())
    return _state(meta, api_version, msgspec.json.encode(getattr(obj, "spec", None)))


def annotations_state(annotations: Mapping[str, str] | None, api_version: str) -> str:
    """What checks can see of annotations; "" if that is nothing."""
    if not annotations:
        return ""
    if SEEN in annotations:
        return annotations[SEEN]
    seen = [
        (key, value)
        for key, value in annotations.items()
        if key not in _VOLATILE and not key.startswith(_UNSEEN_PREFIXES)
    ]
    if LAST_APPLIED in annotations:
        applied = applied_version(annotations)
        if applied not in ("", api_version):
            seen.append((LAST_APPLIED, applied))
    return _digest(seen) if seen else ""


def applied_version(annotations: Mapping[str, str] | None) -> str:
    """The version of the API that the object was last applied in with kubectl; "" if that is not known."""
    try:
        return _applied.decode((annotations or {}).get(LAST_APPLIED, "{}")).api_version
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""  # anybody may write annotations


def _state(meta: ObjectMeta, api_version: str, content: bytes) -> str:
    seen = annotations_state(meta.annotations, api_version)
    labels = _digest(meta.labels.items()) if meta.labels else ""
    whole = b"\0".join((content, labels.encode(), seen.encode()))
    return hashlib.blake2b(whole, digest_size=_HASH_BYTES).hexdigest()


def _digest(pairs: Iterable[tuple[str, str]]) -> str:
    data = msgspec.json.encode(sorted(pairs))
    return hashlib.blake2b(data, digest_size=_HASH_BYTES).hexdigest()
