from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.sandbox.objects.making import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    JSON,
    POD,
    create,
    custom_kind,
    obj_of,
    write,
)
from trivyop.sandbox.apiserver.objects import scale, writing
from trivyop.sandbox.apiserver.objects.builtin import KINDS
from trivyop.sandbox.apiserver.objects.refusals import Refused
from trivyop.sandbox.apiserver.objects.writing import Validation

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"
CONTAINERS: list[dict[str, Any]] = [{"name": "main", "image": "shop/web:1"}]
MERGE = "application/merge-patch+json"


def recorded_objects() -> dict[str, dict[str, Any]]:
    """Every object of a built-in kind that the real server sent, by a name for the test."""
    found: dict[str, dict[str, Any]] = {}
    names = {(kind.api_version, kind.kind) for kind in KINDS.values()}
    for file in sorted(TRANSCRIPTS.glob("*.json")):
        for number, step in enumerate(json.loads(file.read_text())["steps"]):
            body = (step.get("response") or {}).get("body") or {}
            if (body.get("apiVersion"), body.get("kind")) in names and "ignore" not in step:
                found[f"{file.stem}-{number}"] = body
    return found


RECORDED = recorded_objects()


def filled(obj: dict[str, Any]) -> dict[str, Any]:
    """The object with values in place of the recording's placeholders."""
    text = json.dumps(obj)
    text = re.sub(r"\$\{uid:(\d+)\}", "00000000-0000-4000-8000-00000000000a", text)
    text = re.sub(r"\$\{c?time(:\d+)?\}", "2026-01-01T12:00:00Z", text)
    text = re.sub(r"\$\{microtime\}", "2026-01-01T12:00:00.000000Z", text)
    text = re.sub(r"\$\{(suffix|hash)(:\d+)?\}", "abcde", text)
    return json.loads(re.sub(r"\$\{[a-z]+(:\d+)?\}", "7", text))


@pytest.mark.parametrize("name", RECORDED)
def test_what_the_real_server_sent_may_be_sent_back_and_changes_nothing(name: str) -> None:
    """So it fits our schemas, our defaults add nothing to it, and our validation accepts it."""
    obj = filled(RECORDED[name])
    kind = next(k for k in KINDS.values() if (k.api_version, k.kind) == (obj["apiVersion"], obj["kind"]))
    obj["metadata"].setdefault("resourceVersion", "7")
    metadata = obj["metadata"]
    request = write(name=metadata["name"], namespace=metadata.get("namespace", ""))

    written = writing.replace(kind, obj, orjson.dumps(obj), JSON, request)

    assert written.obj == obj
    assert written.warnings == ()


def test_there_are_recorded_objects_to_send_back() -> None:
    assert len(RECORDED) > 100


# The name of a definition depends on its spec; recorded definitions are sent back above.
NAMED_AT_WILL = [kind for kind in KINDS.values() if kind.kind != "CustomResourceDefinition"]


@pytest.mark.parametrize("kind", NAMED_AT_WILL, ids=lambda kind: f"{kind.group}-{kind.kind}")
def test_an_object_that_was_stored_may_be_sent_back_and_changes_nothing(kind: Any) -> None:
    """Whatever a kind makes of a nearly empty object, it is then at rest."""
    selector = {"selector": {"matchLabels": {"a": "b"}}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": CONTAINERS}}
    job_template = {"spec": {**template["spec"], "restartPolicy": "Never"}}
    fields: dict[str, Any] = {
        "Pod": {"spec": {"containers": CONTAINERS}},
        "PodTemplate": {"template": template},
        "ReplicationController": {"spec": {"template": template}},
        "Service": {"spec": {"ports": [{"port": 80}]}},
        "Deployment": {"spec": {**selector, "template": template}},
        "ReplicaSet": {"spec": {**selector, "template": template}},
        "StatefulSet": {"spec": {**selector, "template": template, "serviceName": "x"}},
        "DaemonSet": {"spec": {**selector, "template": template}},
        "Job": {"spec": {"template": job_template}},
        "CronJob": {"spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": job_template}}}},
        "RoleBinding": {"roleRef": {"kind": "Role", "name": "r"}},
        "ClusterRoleBinding": {"roleRef": {"kind": "ClusterRole", "name": "r"}},
        "Ingress": {"spec": {"defaultBackend": {"service": {"name": "s"}}}},
        "StorageClass": {"provisioner": "example.com/p"},
    }.get(kind.kind, {})
    if kind.api_version == "events.k8s.io/v1":
        fields = {"eventTime": "2026-01-01T00:00:00.000000Z", "action": "a", "reason": "r", "type": "Normal"}
        fields |= {"reportingController": "c", "reportingInstance": "i", "regarding": {"namespace": "shop"}}
    if kind.kind == "Event":
        fields.setdefault("involvedObject" if not kind.group else "regarding", {"namespace": "shop"})
    live = create(kind, obj_of(kind, **fields))

    written = writing.replace(kind, live, orjson.dumps(live), JSON, write(name="x"))

    assert written.obj is live


def test_status_is_the_servers_on_create_and_the_subresources_after() -> None:
    live = create(POD, obj_of(POD, spec={"containers": CONTAINERS}, status={"phase": "Running"}))
    assert live["status"]["phase"] == "Pending"

    patch = b'{"status":{"phase":"Running"},"spec":{"activeDeadlineSeconds":5}}'
    same = writing.patch(POD, live, patch[:29] + b"}", MERGE, write(name="x"))
    assert same.obj is live
    new = writing.patch(POD, live, patch, MERGE, write(name="x", subresource="status")).obj
    assert new["status"]["phase"] == "Running"
    assert new["spec"] == live["spec"]


def test_generation_counts_changes_of_the_spec() -> None:
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": CONTAINERS}},
    }
    live = create(DEPLOYMENT, obj_of(DEPLOYMENT, spec=spec))

    def generation_after(patch: bytes) -> int:
        return writing.patch(DEPLOYMENT, live, patch, MERGE, write(name="x")).obj["metadata"]["generation"]

    assert live["metadata"]["generation"] == 1
    assert generation_after(b'{"metadata":{"labels":{"a":"b"}}}') == 1
    assert generation_after(b'{"spec":{"replicas":3}}') == 2


def test_a_stale_view_is_a_conflict_and_a_custom_resource_needs_one() -> None:
    live = create(CONFIG_MAP, obj_of(CONFIG_MAP))
    body = {**live, "metadata": {**live["metadata"], "resourceVersion": "0"}}
    with pytest.raises(Refused) as refused:
        writing.replace(CONFIG_MAP, live, orjson.dumps(body), JSON, write(name="x"))
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")

    kind = custom_kind({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    thing = create(kind, obj_of(kind, spec={"a": 1}))
    with pytest.raises(Refused) as refused:
        writing.replace(kind, thing, orjson.dumps(obj_of(kind)), JSON, write(name="x"))
    assert refused.value.message == (
        'things.example.com "x" is invalid: metadata.resourceVersion: Invalid value: 0:'
        " must be specified for an update"
    )


@pytest.mark.parametrize("validation", Validation)
def test_unknown_fields_are_ignored_warned_of_or_refused(validation: Validation) -> None:
    body = orjson.dumps(obj_of(CONFIG_MAP, dta={"a": "b"}))
    request = write(validation=validation)
    if validation == Validation.STRICT:
        with pytest.raises(Refused) as refused:
            writing.create(CONFIG_MAP, body, JSON, request)
        assert refused.value.message.endswith('strict decoding error: unknown field "dta"')
        return

    written = writing.create(CONFIG_MAP, body, JSON, request)

    assert "dta" not in written.obj
    assert written.warnings == (('unknown field "dta"',) if validation == Validation.WARN else ())


def test_a_generated_name_leaves_room_for_its_suffix() -> None:
    obj = obj_of(CONFIG_MAP)
    obj["metadata"] = {"generateName": "x" * 63}

    name = create(CONFIG_MAP, obj)["metadata"]["name"]

    assert name == "x" * 58 + "a0000"


def test_a_finished_job_must_say_so_consistently() -> None:
    template = {"spec": {"containers": CONTAINERS, "restartPolicy": "Never"}}
    live = create(JOB, obj_of(JOB, spec={"template": template}))
    patch = b'{"status":{"active":1,"conditions":[{"type":"Failed","status":"True"}]}}'

    with pytest.raises(Refused) as refused:
        writing.patch(JOB, live, patch, MERGE, write(name="x", subresource="status"))

    fields = [cause["field"] for cause in refused.value.status["details"]["causes"]]
    assert fields == ["status.conditions", "status.active"]


def test_a_scale_sets_replicas_and_nothing_else() -> None:
    kind = custom_kind(
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        subresources={
            "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"},
            "status": {},
        },
    )
    live = create(kind, obj_of(kind, spec={"count": 1, "other": "x"}))

    request = write(name="x", subresource="scale")
    new = writing.patch(kind, live, b'{"spec":{"replicas":3}}', MERGE, request).obj

    assert new["spec"] == {"count": 3, "other": "x"}
    assert scale.scale_of(kind, new)["spec"] == {"replicas": 3}


def mounting(*paths: str) -> list[dict[str, Any]]:
    return [{**CONTAINERS[0], "volumeMounts": [{"name": "tmp", "mountPath": path} for path in paths]}]


def limited(limit: str) -> list[dict[str, Any]]:
    return [{**CONTAINERS[0], "resources": {"limits": {"memory": limit}}}]


@pytest.mark.parametrize(
    ("spec", "refusals"),
    [
        (
            {"containers": mounting("/a", "/b", "/a"), "volumes": [{"name": "tmp", "emptyDir": {}}]},
            {"spec.containers[0].volumeMounts[2].mountPath": 'Invalid value: "/a": must be unique'},
        ),
        (
            {"containers": limited("2Gi"), "resources": {"limits": {"memory": "1Gi"}}},
            {
                "spec.containers[0][memory].limits": 'Invalid value: "2Gi": '
                "must be less than or equal to pod limits of 1Gi"
            },
        ),
        (
            {"containers": CONTAINERS, "hostUsers": False, "hostNetwork": True, "hostPID": True},
            {
                "spec.hostNetwork": "Forbidden: when `hostUsers` is false",
                "spec.HostPID": "Forbidden: when `hostUsers` is false",
            },
        ),
        ({"containers": limited("1Gi"), "resources": {"limits": {"memory": "1024Mi"}}}, {}),
        ({"containers": CONTAINERS, "hostUsers": True, "hostNetwork": True}, {}),
    ],
)
def test_parts_of_a_pod_that_exclude_each_other_are_refused(
    spec: dict[str, Any], refusals: dict[str, str]
) -> None:
    """In Kubernetes' words, for a pod and for a template alike."""
    for kind, whole, field in (
        (POD, spec, ""),
        (JOB, {"template": {"spec": {"restartPolicy": "Never", **spec}}}, "spec.template."),
    ):
        try:
            create(kind, obj_of(kind, spec=whole))
            found = {}
        except Refused as refusal:
            found = {cause["field"]: cause["message"] for cause in refusal.details["causes"]}

        assert found == {f"{field}{name}": message for name, message in refusals.items()}
