"""Audit kinds: what can be audited, how a resource is named, and what is kept of one that runs no images.

Promises: pure; what is kept is a uid, a state, and why it is left out, if it is.
Not here: the listers (`audited.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import msgspec

from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    CONFIGMAPS,
    CRDS,
    INGRESSES,
    LIMITRANGES,
    NETWORKPOLICIES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    RESOURCEQUOTAS,
    ROLEBINDINGS,
    ROLES,
    SERVICES,
    ObjectKey,
    Resource,
)
from trivyop.workload.audited import LEADER, Document, document_state
from trivyop.workload.resolve import Reason
from trivyop.workload.selection import MANAGED_BY, MANAGED_BY_VALUE, Selection

OTHER_KINDS: Mapping[str, Resource] = {
    resource.kind: resource
    for resource in (
        SERVICES,
        INGRESSES,
        NETWORKPOLICIES,
        LIMITRANGES,
        RESOURCEQUOTAS,
        PERSISTENTVOLUMES,
        PERSISTENTVOLUMECLAIMS,
        ROLES,
        CLUSTERROLES,
        ROLEBINDINGS,
        CLUSTERROLEBINDINGS,
        CONFIGMAPS,
        CRDS,
    )
}
"""Kinds that are audited and run no images."""
NOT_AUDITED = frozenset(
    {"Deployment", "Node", "NodeInfo"}
)  # their ReplicaSets are; nodes have their own reports


class AuditRef(NamedTuple):
    """A resource to look at."""

    kind: str  # "Role"; with its group, "Service.serving.knative.dev", where several groups have that kind
    key: ObjectKey

    def __str__(self) -> str:
        return f"{self.kind}/{self.key}"

    @classmethod
    def parse(cls, owner: str) -> Self | None:
        """Read what a stored report says it is about: "Role/shop/reader", "ClusterRole//admin"."""
        kind, _, rest = owner.partition("/")
        namespace, _, name = rest.partition("/")
        return cls(kind, ObjectKey(namespace, name)) if kind and name else None


class Held(msgspec.Struct, frozen=True, gc=False):
    """What is kept of an object that runs no images."""

    uid: str
    state: str
    left_out: Reason | None = None


def hold(document: Document, resource: Resource, selection: Selection) -> Held | None:
    """What to keep of an object; None if it is of no interest, as what a leader election locks."""
    meta = document.metadata
    if LEADER in (meta.annotations or {}):
        return None
    return Held(meta.uid, document_state(document, resource.api_version), _left_out(meta, selection))


def _left_out(meta: ObjectMeta, selection: Selection) -> Reason | None:
    labels = meta.labels or {}
    if not selection.namespaces.includes(meta.namespace):
        return Reason.NAMESPACE
    if labels.get(MANAGED_BY) == MANAGED_BY_VALUE:
        return Reason.OURS
    if not selection.skip_label_keys.isdisjoint(labels):
        return Reason.LABEL
    if meta.deletion_timestamp is not None:
        return Reason.TERMINATING
    return None
