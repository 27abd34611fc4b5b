"""Protobuf bodies, as far as ``kubectl create`` and ``kubectl auth`` send them, read into JSON.

Promises: a field that is not in the tables below is refused, never dropped.
Not here: writing protobuf. Whoever accepts nothing else gets JSON in an envelope that says so.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from trivyop.kube.times import format_time

_MAGIC = b"k8s\0"

# Each message: number, name and type of its fields. Without a type it is a string. [T] is a list, {T} a map
# from strings, * says that zero is a value (a pointer in Go), - that the field is left out.
_TABLES = """
ObjectMeta: 1 name, 2 generateName, 3 namespace, 4 selfLink, 5 uid, 6 resourceVersion, 7 generation int,
    8 creationTimestamp Time, 9 deletionTimestamp Time, 10 deletionGracePeriodSeconds *int,
    11 labels {string}, 12 annotations {string}, 13 ownerReferences [OwnerReference], 14 finalizers [string]
OwnerReference: 1 kind, 3 name, 4 uid, 5 apiVersion, 6 controller *bool, 7 blockOwnerDeletion *bool
LabelSelector: 1 matchLabels {string}, 2 matchExpressions [LabelSelectorRequirement]
LabelSelectorRequirement: 1 key, 2 operator, 3 values [string]
ConfigMap: 1 metadata ObjectMeta, 2 data {string}, 3 binaryData {bytes}, 4 immutable *bool
Secret: 1 metadata ObjectMeta, 2 data {bytes}, 3 type, 4 stringData {string}, 5 immutable *bool
Namespace: 1 metadata ObjectMeta, 2 spec -, 3 status -
ServiceAccount: 1 metadata ObjectMeta, 2 secrets [ObjectReference], 3 imagePullSecrets [LocalObjectReference],
    4 automountServiceAccountToken *bool
ObjectReference: 1 kind, 2 namespace, 3 name, 4 uid, 5 apiVersion, 6 resourceVersion, 7 fieldPath
LocalObjectReference: 1 name
ResourceQuota: 1 metadata ObjectMeta, 2 spec ResourceQuotaSpec, 3 status -
ResourceQuotaSpec: 1 hard {Quantity}, 2 scopes [string]
Service: 1 metadata ObjectMeta, 2 spec ServiceSpec, 3 status -
ServiceSpec: 1 ports [ServicePort], 2 selector {string}, 3 clusterIP, 4 type, 5 externalIPs [string],
    7 sessionAffinity, 8 loadBalancerIP, 10 externalName, 11 externalTrafficPolicy,
    12 healthCheckNodePort int, 13 publishNotReadyAddresses bool
ServicePort: 1 name, 2 protocol, 3 port int, 4 targetPort IntOrString, 5 nodePort int, 6 appProtocol
Pod: 1 metadata ObjectMeta, 2 spec PodSpec, 3 status -
PodTemplateSpec: 1 metadata ObjectMeta, 2 spec PodSpec
PodSpec: 2 containers [Container], 3 restartPolicy, 4 terminationGracePeriodSeconds *int,
    5 activeDeadlineSeconds *int, 6 dnsPolicy, 7 nodeSelector {string}, 8 serviceAccountName,
    9 serviceAccount, 10 nodeName, 11 hostNetwork bool, 12 hostPID bool, 13 hostIPC bool,
    14 securityContext Empty, 15 imagePullSecrets [LocalObjectReference], 16 hostname, 17 subdomain,
    19 schedulerName, 20 initContainers [Container], 21 automountServiceAccountToken *bool,
    24 priorityClassName, 25 priority *int
Container: 1 name, 2 image, 3 command [string], 4 args [string], 5 workingDir, 6 ports [ContainerPort],
    7 env [EnvVar], 8 resources ResourceRequirements, 13 terminationMessagePath, 14 imagePullPolicy,
    16 stdin bool, 17 stdinOnce bool, 18 tty bool, 20 terminationMessagePolicy
ContainerPort: 1 name, 2 hostPort int, 3 containerPort int, 4 protocol, 5 hostIP
EnvVar: 1 name, 2 value
ResourceRequirements: 1 limits {Quantity}, 2 requests {Quantity}
Deployment: 1 metadata ObjectMeta, 2 spec DeploymentSpec, 3 status -
DeploymentSpec: 1 replicas *int, 2 selector LabelSelector, 3 template PodTemplateSpec, 4 strategy Strategy,
    5 minReadySeconds int, 6 revisionHistoryLimit *int, 7 paused bool, 9 progressDeadlineSeconds *int
Strategy: 1 type
Job: 1 metadata ObjectMeta, 2 spec JobSpec, 3 status -
JobSpec: 1 parallelism *int, 2 completions *int, 3 activeDeadlineSeconds *int, 4 selector LabelSelector,
    5 manualSelector *bool, 6 template PodTemplateSpec, 7 backoffLimit *int, 8 ttlSecondsAfterFinished *int,
    9 completionMode *string, 10 suspend *bool
CronJob: 1 metadata ObjectMeta, 2 spec CronJobSpec, 3 status -
CronJobSpec: 1 schedule, 2 startingDeadlineSeconds *int, 3 concurrencyPolicy, 4 suspend *bool,
    5 jobTemplate JobTemplateSpec, 6 successfulJobsHistoryLimit *int, 7 failedJobsHistoryLimit *int,
    8 timeZone
JobTemplateSpec: 1 metadata ObjectMeta, 2 spec JobSpec
PodDisruptionBudget: 1 metadata ObjectMeta, 2 spec PodDisruptionBudgetSpec, 3 status -
PodDisruptionBudgetSpec: 1 minAvailable IntOrString, 2 selector LabelSelector, 3 maxUnavailable IntOrString
Role: 1 metadata ObjectMeta, 2 rules [PolicyRule]
ClusterRole: 1 metadata ObjectMeta, 2 rules [PolicyRule], 3 aggregationRule AggregationRule
AggregationRule: 1 clusterRoleSelectors [LabelSelector]
PolicyRule: 1 verbs [string], 2 apiGroups [string], 3 resources [string], 4 resourceNames [string],
    5 nonResourceURLs [string]
RoleBinding: 1 metadata ObjectMeta, 2 subjects [Subject], 3 roleRef RoleRef
ClusterRoleBinding: 1 metadata ObjectMeta, 2 subjects [Subject], 3 roleRef RoleRef
Subject: 1 kind, 2 apiGroup, 3 name, 4 namespace
RoleRef: 1 apiGroup, 2 kind, 3 name
PriorityClass: 1 metadata ObjectMeta, 2 value int, 3 globalDefault bool, 4 description, 5 preemptionPolicy
TokenRequest: 1 metadata ObjectMeta, 2 spec TokenRequestSpec, 3 status -
TokenRequestSpec: 1 audiences [string], 3 boundObjectRef BoundObjectReference, 4 expirationSeconds *int
BoundObjectReference: 1 kind, 2 apiVersion, 3 name, 4 uid
SelfSubjectReview: 1 metadata ObjectMeta, 2 status -
SelfSubjectRulesReview: 1 metadata ObjectMeta, 2 spec SelfSubjectRulesReviewSpec, 3 status -
SelfSubjectRulesReviewSpec: 1 namespace
SelfSubjectAccessReview: 1 metadata ObjectMeta, 2 spec SelfSubjectAccessReviewSpec, 3 status -
SelfSubjectAccessReviewSpec: 1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes Path
ResourceAttributes: 1 namespace, 2 verb, 3 group, 4 version, 5 resource, 6 subresource, 7 name
Path: 1 path, 2 verb
DeleteOptions: 1 gracePeriodSeconds *int, 2 preconditions Preconditions, 3 orphanDependents *bool,
    4 propagationPolicy, 5 dryRun [string]
Preconditions: 1 uid, 2 resourceVersion
Quantity: 1 string
IntOrString: 1 type int, 2 intVal *int, 3 strVal *string
Time: 1 seconds int, 2 nanos int
Empty:
"""


class _Field(NamedTuple):
    name: str
    type: str
    repeated: bool
    mapped: bool
    keeps_zero: bool


def _tables() -> dict[str, dict[int, _Field]]:
    tables: dict[str, dict[int, _Field]] = {}
    for line in _TABLES.replace("\n    ", " ").strip().splitlines():
        message, _, fields = line.partition(":")
        tables[message] = {}
        for field in filter(None, map(str.strip, fields.split(","))):
            number, name, type_ = [*field.split(), "string"][:3]
            bare = type_.strip("[]{}*")
            tables[message][int(number)] = _Field(
                name, bare, type_.startswith("["), type_.startswith("{"), type_.startswith("*")
            )
    return tables


_MESSAGES = _tables()


def to_json(body: bytes) -> bytes:
    """Read an object in its envelope; raises ``ValueError`` for what is not protobuf or not in the tables."""
    if not body.startswith(_MAGIC):
        raise ValueError("not a protobuf envelope")
    parts = dict(_fields(body[len(_MAGIC) :]))
    type_meta = {number: bytes(value).decode() for number, value in _fields(parts.get(1, b""))}
    kind = type_meta.get(2, "")
    if kind not in _MESSAGES:
        raise ValueError(f"kind {kind!r} is not known in protobuf")
    obj = {"apiVersion": type_meta.get(1, ""), "kind": kind} | _message(kind, parts.get(2, b""))
    return orjson.dumps(obj)


def wrap_json(body: bytes) -> bytes:
    """Put JSON into the envelope that protobuf objects come in; it says that JSON is what it holds."""
    return _MAGIC + _bytes_field(2, body) + _bytes_field(3, b"") + _bytes_field(4, b"application/json")


def _message(name: str, data: Any) -> Any:
    table = _MESSAGES[name]
    result: dict[str, Any] = {}
    for number, raw in _fields(data):
        field = table.get(number)
        if field is None:
            raise ValueError(f"field {number} of {name} is not known in protobuf")
        if field.type == "-":
            continue
        if field.mapped:
            entry = dict(_fields(raw))
            key = bytes(entry.get(1, b"")).decode()
            result.setdefault(field.name, {})[key] = _value(field.type, entry.get(2, b""))
        elif field.repeated:
            result.setdefault(field.name, []).append(_value(field.type, raw))
        else:
            value = _value(field.type, raw)
            if field.keeps_zero or (value or value == {}):
                result[field.name] = value
    return result


def _value(type_: str, raw: Any) -> Any:
    match type_:
        case "string":
            return bytes(raw).decode()
        case "bytes":
            return base64.b64encode(raw).decode()
        case "int":
            return raw - (1 << 64) if raw >> 63 else raw
        case "bool":
            return bool(raw)
        case "Quantity":
            return _message(type_, raw).get("string", "0")
        case "IntOrString":
            parts = _message(type_, raw)
            return parts.get("strVal", "") if parts.get("type") else parts.get("intVal", 0)
        case "Time":
            seconds = _message(type_, raw).get("seconds")
            return format_time(datetime.fromtimestamp(seconds, UTC)) if seconds else None
        case _:
            return _message(type_, raw)


def _fields(data: Any) -> Iterator[tuple[int, Any]]:
    """Yield field numbers and raw values: numbers for varints, bytes for what has a length."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
            case 2:
                length, at = _varint(data, at)
                if at + length > len(data):
                    raise ValueError("unexpected end of protobuf")
                yield tag >> 3, data[at : at + length]
                at += length
            case wire:
                raise ValueError(f"protobuf wire type {wire} is not known")


def _varint(data: Any, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("unexpected end of protobuf")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _bytes_field(number: int, value: bytes) -> bytes:
    length, head = len(value), bytearray([number << 3 | 2])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + value
