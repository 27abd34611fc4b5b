"""The built-in kinds: ``KINDS``, by group, version and plural.

What a kind is called stands in the table below, what its fields are in ``fields_*`` (written in the
notation of ``notation``), what else it does in the module that its rules come from.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Final

from trivyop.sandbox.apiserver.objects.builtin import (
    cluster,
    core,
    definitions,
    events,
    fields_access,
    fields_core,
    fields_definitions,
    fields_pods,
    fields_policy,
    fields_volumes,
    fields_workloads,
    jobs,
    pods,
    workloads,
)
from trivyop.sandbox.apiserver.objects.builtin.notation import Tables
from trivyop.sandbox.apiserver.objects.kinds import VERBS, Kind, Rules
from trivyop.sandbox.apiserver.objects.schema import Schema

TABLES: Final = Tables(
    module.FIELDS
    for module in (
        fields_core,
        fields_pods,
        fields_volumes,
        fields_workloads,
        fields_policy,
        fields_access,
        fields_definitions,
    )
)

# group/version (v1 alone: core), then a line for each kind:
#   Kind plural [short names] scope(n/c) [+subresources] [@categories] [%section of the field tables]
_TABLE: Final = """
v1
ConfigMap configmaps cm n
Endpoints endpoints ep n
Event events ev n
LimitRange limitranges limits n
Namespace namespaces ns c +status,finalize
Node nodes no c +status,proxy
PersistentVolumeClaim persistentvolumeclaims pvc n +status
PersistentVolume persistentvolumes pv c +status
Pod pods po n +status,log,binding,eviction,ephemeralcontainers @all
PodTemplate podtemplates - n
ReplicationController replicationcontrollers rc n +status,scale @all
ResourceQuota resourcequotas quota n +status
Secret secrets - n
ServiceAccount serviceaccounts sa n +token
Service services svc n +status @all
apps/v1
ControllerRevision controllerrevisions - n
DaemonSet daemonsets ds n +status @all
Deployment deployments deploy n +status,scale @all
ReplicaSet replicasets rs n +status,scale @all
StatefulSet statefulsets sts n +status,scale @all
batch/v1
CronJob cronjobs cj n +status @all
Job jobs - n +status @all
autoscaling/v1
HorizontalPodAutoscaler horizontalpodautoscalers hpa n +status @all
networking.k8s.io/v1
Ingress ingresses ing n +status
IngressClass ingressclasses - c
NetworkPolicy networkpolicies netpol n
policy/v1
PodDisruptionBudget poddisruptionbudgets pdb n +status
rbac.authorization.k8s.io/v1
ClusterRole clusterroles - c %rbac
ClusterRoleBinding clusterrolebindings - c %rbac
Role roles - n %rbac
RoleBinding rolebindings - n %rbac
storage.k8s.io/v1
StorageClass storageclasses sc c
coordination.k8s.io/v1
Lease leases - n
events.k8s.io/v1
Event events ev n
discovery.k8s.io/v1
EndpointSlice endpointslices - n
scheduling.k8s.io/v1
PriorityClass priorityclasses pc c
admissionregistration.k8s.io/v1
MutatingWebhookConfiguration mutatingwebhookconfigurations - c @api-extensions
ValidatingWebhookConfiguration validatingwebhookconfigurations - c @api-extensions
apiextensions.k8s.io/v1
CustomResourceDefinition customresourcedefinitions crd,crds c +status @api-extensions
"""

_NO_RULES: Final = Rules()
_RULES: Final[Mapping[str, Rules]] = {
    "ConfigMap": core.CONFIG_MAP,
    "v1 Event": events.EVENT,
    "LimitRange": core.LIMIT_RANGE,
    "Namespace": core.NAMESPACE,
    "Node": core.NODE,
    "PersistentVolume": core.PERSISTENT_VOLUME,
    "PersistentVolumeClaim": core.PERSISTENT_VOLUME_CLAIM,
    "Pod": pods.POD,
    "PodTemplate": workloads.POD_TEMPLATE,
    "ReplicationController": workloads.REPLICATION_CONTROLLER,
    "Secret": core.SECRET,
    "Service": core.SERVICE,
    "DaemonSet": workloads.DAEMON_SET,
    "Deployment": workloads.DEPLOYMENT,
    "ReplicaSet": workloads.REPLICA_SET,
    "StatefulSet": workloads.STATEFUL_SET,
    "CronJob": jobs.CRON_JOB,
    "Job": jobs.JOB,
    "HorizontalPodAutoscaler": cluster.AUTOSCALER,
    "Ingress": cluster.INGRESS,
    "IngressClass": cluster.INGRESS_CLASS,
    "NetworkPolicy": cluster.NETWORK_POLICY,
    "PodDisruptionBudget": cluster.BUDGET,
    "Role": cluster.ROLE,
    "ClusterRole": cluster.ROLE,
    "RoleBinding": cluster.BINDING,
    "ClusterRoleBinding": cluster.BINDING,
    "StorageClass": cluster.STORAGE_CLASS,
    "Lease": cluster.LEASE,
    "events.k8s.io/v1 Event": events.NEW_EVENT,
    "EndpointSlice": cluster.ENDPOINT_SLICE,
    "PriorityClass": cluster.PRIORITY_CLASS,
    "MutatingWebhookConfiguration": cluster.WEBHOOKS,
    "ValidatingWebhookConfiguration": cluster.WEBHOOKS,
    "CustomResourceDefinition": definitions.DEFINITION,
}

_TEXT: Final = Schema(type="string")
METADATA: Final = TABLES.struct("meta", "ObjectMeta")


def root_schema(section: str, name: str) -> Schema:
    """The schema of a whole object: its struct, with apiVersion and kind."""
    schema = copy.copy(TABLES.struct(section, name))
    schema.properties = {"apiVersion": _TEXT, "kind": _TEXT, **schema.properties}
    return schema


def _registered(version: str, kind: str) -> bool:
    return (version, kind) in _NAMES


def _read_table() -> dict[tuple[str, str, str], Kind]:
    kinds: dict[tuple[str, str, str], Kind] = {}
    group_version = ""
    for line in _TABLE.strip().splitlines():
        name, *words = line.split()
        if not words:
            group_version = name
            continue
        group, _, version = group_version.rpartition("/")
        plural, short, scope, *more = words
        marks = {word[0]: word[1:] for word in more}
        section = marks.get("%") or group.partition(".")[0] or "core"
        new_event = group_version == "events.k8s.io/v1"
        kinds[group, version, plural] = Kind(
            group,
            version,
            name,
            plural,
            name.lower(),
            scope == "n",
            root_schema(section, name),
            list_kind=f"{name}List",
            short_names=() if short == "-" else tuple(short.split(",")),
            categories=tuple(filter(None, marks.get("@", "").split(","))),
            subresources=tuple(filter(None, marks.get("+", "").split(","))),
            from_storage=events.from_core if new_event else None,
            to_storage=events.to_core if new_event else None,
            rules=_RULES.get(f"{group_version} {name}") or _RULES.get(name) or _NO_RULES,
            registered=_registered,
            verbs=tuple(verb for verb in VERBS if name != "Namespace" or verb != "deletecollection"),
        )
    return kinds


KINDS: Final[Mapping[tuple[str, str, str], Kind]] = _read_table()
_NAMES: Final = frozenset((kind.api_version, kind.kind) for kind in KINDS.values())
