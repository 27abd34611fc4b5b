"""Stand-ins for object functions that are not written yet; goes away with the last of them."""

# ruff: noqa
# pyright: basic
from __future__ import annotations

from typing import Any

import orjson
import yaml

from trivyop.sandbox.apiserver.objects import crd as real_crd
from trivyop.sandbox.apiserver.objects import writing as real_writing
try:
    from trivyop.sandbox.apiserver.objects.builtin import KINDS as REAL_KINDS
except (ImportError, NotImplementedError):
    REAL_KINDS = {}
from trivyop.sandbox.apiserver.objects.kinds import Kind
from trivyop.sandbox.apiserver.objects.refusals import bad_request
from trivyop.sandbox.apiserver.objects.schema import Schema
from trivyop.sandbox.apiserver.objects.writing import Write, Written

_ROWS = """
 v1 Pod pods 1 status,log,eviction,binding
 v1 Service services 1 status
 v1 ConfigMap configmaps 1
 v1 Secret secrets 1
 v1 Node nodes 0 status
 v1 Namespace namespaces 0 status,finalize
 v1 Event events 1
 v1 ServiceAccount serviceaccounts 1 token
 v1 ReplicationController replicationcontrollers 1 status,scale
 v1 PersistentVolume persistentvolumes 0 status
 v1 PersistentVolumeClaim persistentvolumeclaims 1 status
 v1 ResourceQuota resourcequotas 1 status
 v1 LimitRange limitranges 1
 v1 Endpoints endpoints 1
apps v1 Deployment deployments 1 status,scale
apps v1 ReplicaSet replicasets 1 status,scale
apps v1 StatefulSet statefulsets 1 status,scale
apps v1 DaemonSet daemonsets 1 status
batch v1 Job jobs 1 status
batch v1 CronJob cronjobs 1 status
rbac.authorization.k8s.io v1 Role roles 1
rbac.authorization.k8s.io v1 RoleBinding rolebindings 1
rbac.authorization.k8s.io v1 ClusterRole clusterroles 0
rbac.authorization.k8s.io v1 ClusterRoleBinding clusterrolebindings 0
coordination.k8s.io v1 Lease leases 1
apiextensions.k8s.io v1 CustomResourceDefinition customresourcedefinitions 0 status
networking.k8s.io v1 Ingress ingresses 1 status
networking.k8s.io v1 NetworkPolicy networkpolicies 1
events.k8s.io v1 Event events 1
policy v1 PodDisruptionBudget poddisruptionbudgets 1 status
storage.k8s.io v1 StorageClass storageclasses 0
scheduling.k8s.io v1 PriorityClass priorityclasses 0
"""


def _kinds():
    kinds = {}
    for row in _ROWS.strip("\n").splitlines():
        group, version, kind, plural, namespaced, *subs = row.split(" ")
        kinds[group, version, plural] = Kind(
            group,
            version,
            kind,
            plural,
            kind.lower(),
            namespaced == "1",
            Schema(),
            subresources=tuple(subs[0].split(",")) if subs else (),
        )
    return kinds


KINDS = REAL_KINDS or _kinds()


def _decode(kind: Kind, body: bytes, write: Write):
    try:
        obj = orjson.loads(body)
    except ValueError:
        obj = yaml.safe_load(body)
    obj["metadata"] = {k: v for k, v in (obj.get("metadata") or {}).items() if v not in (None, {}, [])}
    if kind.namespaced:
        obj["metadata"].setdefault("namespace", write.namespace)
        if write.namespace and obj["metadata"]["namespace"] != write.namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
    obj.pop("kind", None), obj.pop("apiVersion", None)
    return obj


class writing:
    Write, Written, Validation = Write, Written, real_writing.Validation

    @staticmethod
    def create(kind, body, media_type, write):
        try:
            return real_writing.create(kind, body, media_type, write)
        except NotImplementedError:
            pass
        obj = _decode(kind, body, write)
        return Written(_new(kind, obj, write))

    @staticmethod
    def replace(kind, live, body, media_type, write):
        try:
            return real_writing.replace(kind, live, body, media_type, write)
        except NotImplementedError:
            pass
        return _updated(kind, live, _decode(kind, body, write), write)

    @staticmethod
    def patch(kind, live, body, media_type, write):
        try:
            return real_writing.patch(kind, live, body, media_type, write)
        except NotImplementedError:
            pass
        if media_type == "application/json-patch+json":
            raise bad_request("not yet")
        if live is None:
            obj = _decode(kind, body, write)
            obj["metadata"]["name"] = write.name
            return Written(_new(kind, obj, write))
        patch = orjson.loads(body) if body[:1] == b"{" else yaml.safe_load(body)
        obj = _merge(live, patch)
        return _updated(kind, live, obj, write)


def _new(kind, obj, write):
    meta = obj["metadata"]
    if not meta.get("name"):
        meta["name"] = meta["generateName"] + write.token()
    meta["uid"], meta["creationTimestamp"] = write.uid, write.now
    for gone in ("resourceVersion", "deletionTimestamp", "selfLink"):
        meta.pop(gone, None)
    if kind.has_status and not kind.custom and kind.plural != "nodes":
        obj.pop("status", None)
    if kind.custom or kind.group in ("apps", "batch"):
        meta["generation"] = 1
    match kind.plural:
        case "namespaces":
            obj["spec"], obj["status"] = {"finalizers": ["kubernetes"]}, {"phase": "Active"}
            meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]
        case "pods":
            obj["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
            obj["spec"].setdefault("restartPolicy", "Always")
            obj["spec"].setdefault("terminationGracePeriodSeconds", 30)
        case "customresourcedefinitions":
            obj["spec"].setdefault("conversion", {"strategy": "None"})
            names = obj["spec"]["names"]
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", names["kind"] + "List")
    if kind.plural == "secrets":
        obj.setdefault("type", "Opaque")
        _string_data(obj)
    if kind.plural == "jobs":
        uid = write.uid
        obj["spec"].setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
        labels = obj["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
        labels.update(
            {
                "batch.kubernetes.io/controller-uid": uid,
                "batch.kubernetes.io/job-name": meta["name"],
                "controller-uid": uid,
                "job-name": meta["name"],
            }
        )
        for k, v in (("backoffLimit", 6), ("completions", 1), ("parallelism", 1), ("suspend", False)):
            obj["spec"].setdefault(k, v)
    return obj


def _string_data(obj):
    import base64

    for k, v in obj.pop("stringData", {}).items():
        obj.setdefault("data", {})[k] = base64.b64encode(v.encode()).decode()


def _updated(kind, live, obj, write):
    from trivyop.sandbox.apiserver.status import conflict

    obj.pop("kind", None), obj.pop("apiVersion", None)
    live_meta, meta = live["metadata"], obj["metadata"]
    rv = meta.get("resourceVersion")
    if rv and rv != live_meta["resourceVersion"]:
        raise conflict(
            kind.group,
            kind.plural,
            live_meta["name"],
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    for k in (
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
        "namespace",
        "name",
    ):
        if k in live_meta:
            meta[k] = live_meta[k]
        else:
            meta.pop(k, None)
    if write.subresource == "status":
        new = {**live, "status": obj.get("status", {})}
        new["metadata"] = {**live_meta, **{k: meta[k] for k in ("labels", "annotations") if k in meta}}
        obj = new
    elif kind.has_status and "status" in live:
        obj["status"] = live["status"]
    elif kind.has_status:
        obj.pop("status", None)
    obj = {
        "kind": live["kind"],
        "apiVersion": live["apiVersion"],
        **{k: v for k, v in obj.items() if k not in ("kind", "apiVersion")},
    }
    if kind.plural == "secrets":
        _string_data(obj)
    if obj == live:
        return Written(live)
    if obj.get("spec") != live.get("spec") and "generation" in meta:
        meta["generation"] += 1
    return Written(obj)


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for k, v in patch.items():
        if v is None:
            result.pop(k, None)
        else:
            result[k] = _merge(result.get(k), v)
    return result


class crd:
    @staticmethod
    def kinds_of(definition):
        try:
            return real_crd.kinds_of(definition)
        except NotImplementedError:
            pass
        spec = definition["spec"]
        names = spec["names"]
        return [
            Kind(
                spec["group"],
                v["name"],
                names["kind"],
                names["plural"],
                names.get("singular", ""),
                spec["scope"] == "Namespaced",
                Schema(),
                list_kind=names.get("listKind", ""),
                short_names=tuple(names.get("shortNames", ())),
                categories=tuple(names.get("categories", ())),
                custom=True,
                subresources=tuple(v.get("subresources", {})),
            )
            for v in spec["versions"]
            if v["served"]
        ]

    @staticmethod
    def established(definition, now):
        try:
            return real_crd.established(definition, now)
        except NotImplementedError:
            pass
        if definition.get("status", {}).get("conditions"):
            return definition
        meta = definition["metadata"]
        meta["finalizers"] = ["customresourcecleanup.apiextensions.k8s.io"]
        conditions = [
            {
                "type": "NamesAccepted",
                "status": "True",
                "lastTransitionTime": now,
                "reason": "NoConflicts",
                "message": "no conflicts found",
            },
            {
                "type": "Established",
                "status": "True",
                "lastTransitionTime": now,
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
            },
        ]
        stored = [v["name"] for v in definition["spec"]["versions"] if v["storage"]]
        return {
            **definition,
            "status": {
                "conditions": conditions,
                "acceptedNames": definition["spec"]["names"],
                "storedVersions": stored,
            },
        }

    @staticmethod
    def terminating(definition, now):
        try:
            return real_crd.terminating(definition, now)
        except NotImplementedError:
            return definition
