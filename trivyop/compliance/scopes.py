"""Scopes: what each of Trivy's checks is about, so that the absence of a finding can be told from a pass.

Facts of trivy-checks: the kinds that a check selects, or those whose fields it reads where it selects none. A
check that is not listed here, such as one of a custom policy, is about every kind that is audited.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from trivyop.report.audit import RBAC_KINDS

APISERVER: Final = "kube-apiserver"
CONTROLLER_MANAGER: Final = "kube-controller-manager"
SCHEDULER: Final = "kube-scheduler"
ETCD: Final = "etcd"
NODE: Final = "node"
CONTROL_PLANE_NODE: Final = "control plane node"

_COMPONENTS = (APISERVER, CONTROLLER_MANAGER, SCHEDULER, ETCD)
_WORKLOADS = frozenset(
    {
        *("Pod", "ReplicaSet", "ReplicationController", "Deployment", "StatefulSet", "DaemonSet"),
        *("Job", "CronJob"),
    }
)
_BINDINGS = frozenset({"RoleBinding", "ClusterRoleBinding"})


class Audited(NamedTuple):
    """What a report is about, and how it was made; equal for the many reports that are alike in this."""

    resource: str  # the kind of report: "configauditreports.aquasecurity.github.io"
    kind: str  # "Pod"
    component: str  # of the control plane, or one of the two kinds of node; "" in other reports
    policies: str  # hash of the checks that applied
    complete: bool  # nothing was left out for its size


class Scope(NamedTuple):
    """What a check is about: a component of the cluster, or resources of these kinds."""

    kinds: frozenset[str] = frozenset()  # empty: any
    component: str = ""

    def includes(self, audited: Audited) -> bool:
        """Whether the check looks at what that report is about."""
        if self.component or audited.component:
            return audited.component == self.component or (
                self.component == NODE and audited.component == CONTROL_PLANE_NODE
            )
        return not self.kinds or audited.kind in self.kinds

    @property
    def in_control_plane(self) -> bool:
        """Whether a provider that manages the control plane hides it."""
        return self.component not in ("", NODE)

    @property
    def in_roles(self) -> bool:
        """Whether RBAC assessments answer the check."""
        return bool(self.kinds) and self.kinds <= RBAC_KINDS

    def __str__(self) -> str:
        return self.component or (" or ".join(sorted(self.kinds)) if len(self.kinds) < 5 else "workload")


def component_of(name: str) -> str:
    """The component of the control plane that a pod of that name runs."""
    return next((component for component in _COMPONENTS if component in name), name)


def scope_of(check_id: str) -> Scope:
    """What a check is about, by its canonical id."""
    return _SCOPES.get(check_id, Scope())


def _numbered(prefix: str, scope: Scope, *numbers: int | range) -> dict[str, Scope]:
    found: dict[str, Scope] = {}
    for one in numbers:
        for number in one if isinstance(one, range) else (one,):
            found[f"{prefix}-{number:04}"] = scope
    return found


_SCOPES: Final[dict[str, Scope]] = {
    **_numbered("KCV", Scope(component=APISERVER), range(1, 31)),
    **_numbered("KCV", Scope(component=CONTROLLER_MANAGER), range(33, 40)),
    **_numbered("KCV", Scope(component=SCHEDULER), 40, 41),
    **_numbered("KCV", Scope(component=ETCD), range(42, 48)),
    **_numbered("KCV", Scope(component=CONTROL_PLANE_NODE), range(48, 69)),
    **_numbered("KCV", Scope(component=NODE), range(69, 93)),
    **_numbered("KSV", Scope(_WORKLOADS), range(1, 37), range(103, 108), 110, range(116, 122), 125),
    **_numbered("KSV", Scope(_WORKLOADS | {"Service"}), 102),
    **_numbered("KSV", Scope(frozenset({"NetworkPolicy"})), 38),
    **_numbered("KSV", Scope(frozenset({"LimitRange"})), 39),
    **_numbered("KSV", Scope(frozenset({"ResourceQuota"})), 40),
    **_numbered("KSV", Scope(frozenset({"ClusterRole"})), 41, 46),
    **_numbered("KSV", Scope(RBAC_KINDS), 42, 43, 44, 45, range(47, 57), 114, 115),
    **_numbered("KSV", Scope(frozenset({"Role"})), 112, 113),
    **_numbered("KSV", Scope(frozenset({"Service"})), 108),
    **_numbered("KSV", Scope(frozenset({"ConfigMap"})), 109),
    **_numbered("KSV", Scope(_BINDINGS), 111, 122, 123),
    "KSV-01010": Scope(frozenset({"ConfigMap"})),
    "KSV-01011": Scope(_BINDINGS),
}
