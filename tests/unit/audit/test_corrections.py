"""Corrections, with the real Trivy: what is false goes, and what is true beside it stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.unit.audit.running import audit_all, auditing, subject_of
from trivyop.audit.corrections import RULES, correct
from trivyop.audit.engine import AuditError, Outcome
from trivyop.report.checks import Check
from trivyop.report.findings import Severity
from trivyop.settings.features import DEFAULT_CORRECTIONS, Correction

Json = dict[str, Any]
DOCS = Path(__file__).parents[3] / "docs" / "audits.md"
ANNOTATION = "container.apparmor.security.beta.kubernetes.io/web"
WINDOWS = {"AVD-KSV-0001", "AVD-KSV-0003", "AVD-KSV-0004", "AVD-KSV-0014", "AVD-KSV-0020", "AVD-KSV-0021"} | {
    "AVD-KSV-0030",
    "AVD-KSV-0104",
    "AVD-KSV-0106",
}
RESOURCES = {"AVD-KSV-0011", "AVD-KSV-0015", "AVD-KSV-0016", "AVD-KSV-0018"}


def container(name: str, resources: Json | None = None, **security: Any) -> Json:
    found: Json = {"name": name, "image": f"registry.example/{name}:1"}
    if resources is not None:
        found["resources"] = resources
    return found | ({"securityContext": security} if security else {})


def template(*containers: Json, annotations: Mapping[str, str] | None = None, **spec: Any) -> Json:
    meta: Json = {"labels": {"app": "web"}, **({"annotations": dict(annotations)} if annotations else {})}
    return {"metadata": meta, "spec": {"containers": list(containers or [container("web")]), **spec}}


def workload(kind: str, pod: Json, name: str = "web") -> Json:
    meta: Json = {"name": name, "namespace": "shop"}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": kind, "metadata": meta | pod["metadata"], "spec": pod["spec"]}
    if kind == "CronJob":
        spec: Json = {"schedule": "@daily", "jobTemplate": {"spec": {"template": pod}}}
    else:
        spec = {"selector": {"matchLabels": {"app": "web"}}, "template": pod}
    version = {"ReplicationController": "v1", "CronJob": "batch/v1", "Job": "batch/v1"}.get(kind, "apps/v1")
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


def failing(checks: Outcome | AuditError) -> dict[str, list[str]]:
    """Messages by id."""
    assert not isinstance(checks, AuditError)
    found: dict[str, list[str]] = {}
    for check in checks:
        if not check.success:
            found.setdefault(check.id, []).append(check.message)
    return found


ALL_KINDS = (
    "Pod",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
)
# name: correction, pod, ids that it corrects wholly
CASES: dict[str, tuple[Correction, Json, set[str]]] = {
    "limits of the pod": (
        Correction.POD_RESOURCES,
        template(resources={"limits": {"cpu": "1", "memory": "1Gi"}}),
        RESOURCES,  # its requests are its limits then
    ),
    "requests of the pod": (
        Correction.POD_RESOURCES,
        template(resources={"requests": {"cpu": "500m", "memory": "1Gi"}}),
        {"AVD-KSV-0015", "AVD-KSV-0016"},
    ),
    "memory of the pod": (
        Correction.POD_RESOURCES,
        template(resources={"limits": {"memory": "1Gi"}}),
        {"AVD-KSV-0016", "AVD-KSV-0018"},
    ),
    "no resources": (Correction.POD_RESOURCES, template(resources={}), set()),
    "resources of nothing": (
        Correction.POD_RESOURCES,
        template(resources={"limits": {"cpu": "0", "memory": 0}}),
        set(),
    ),
    "default mask": (
        Correction.PROC_MOUNT,
        template(container("web", procMount="Default")),
        {"AVD-KSV-0027"},
    ),
    "unmasked": (Correction.PROC_MOUNT, template(container("web", procMount="Unmasked")), set()),
    "local profile noted": (
        Correction.APP_ARMOR,
        template(annotations={ANNOTATION: "localhost/web"}),
        {"AVD-KSV-0002"},
    ),
    "profile of the container over a note": (
        Correction.APP_ARMOR,
        template(
            container("web", appArmorProfile={"type": "RuntimeDefault"}),
            annotations={ANNOTATION: "unconfined"},
        ),
        {"AVD-KSV-0002"},
    ),
    "note over the profile of the pod": (
        Correction.APP_ARMOR,
        template(
            annotations={ANNOTATION: "unconfined"},
            securityContext={"appArmorProfile": {"type": "RuntimeDefault"}},
        ),
        set(),
    ),
    "unconfined": (
        Correction.APP_ARMOR,
        template(
            container("web", appArmorProfile={"type": "Unconfined"}), annotations={ANNOTATION: "unconfined"}
        ),
        set(),
    ),
    "engine": (
        Correction.CONTAINER_ENGINE,
        template(container("web", seLinuxOptions={"type": "container_engine_t"})),
        {"AVD-KSV-0025"},
    ),
    "other type": (
        Correction.CONTAINER_ENGINE,
        template(container("web", seLinuxOptions={"type": "spc_t"})),
        set(),
    ),
    "windows": (Correction.WINDOWS, template(os={"name": "windows"}), WINDOWS),
    "linux": (Correction.WINDOWS, template(os={"name": "linux"}), set()),
    "windows nodes": (
        Correction.WINDOWS_NODES,
        template(nodeSelector={"kubernetes.io/os": "windows"}),
        WINDOWS,
    ),
    "linux on windows nodes": (
        Correction.WINDOWS_NODES,
        template(nodeSelector={"kubernetes.io/os": "windows"}, os={"name": "linux"}),
        set(),
    ),
    "limits of a container": (
        Correction.LIMITS_AS_REQUESTS,
        template(container("web", {"limits": {"cpu": 1, "memory": "1Gi"}})),
        {"AVD-KSV-0015", "AVD-KSV-0016"},
    ),
    "user namespace": (
        Correction.USER_NAMESPACES,
        template(container("web", procMount="Unmasked", runAsUser=0), hostUsers=False),
        {"AVD-KSV-0012", "AVD-KSV-0027", "AVD-KSV-0105"},
    ),
    "users of the host": (
        Correction.USER_NAMESPACES,
        template(container("web", procMount="Unmasked", runAsUser=0), hostUsers=True),
        set(),
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_false_findings_of_trivy_pass_and_true_ones_stay() -> None:
    """In each kind of workload; each case with its own correction only."""
    documents = {
        (name, kind): workload(kind, pod, f"{name.replace(' ', '-')}")
        for name, (_, pod, _) in CASES.items()
        for kind in ALL_KINDS
    }
    async with auditing() as auditor:
        outcomes = await audit_all(auditor, map(subject_of, documents.values()))

    for ((name, kind), document), outcome in zip(documents.items(), outcomes, strict=True):
        correction, _, wanted = CASES[name]
        assert not isinstance(outcome, AuditError), (name, kind)
        before = failing(outcome)
        corrected = correct(outcome, orjson.dumps(document), {correction})
        after = failing(corrected.checks)
        assert before.keys() - after.keys() == wanted, (name, kind)
        assert {one: after[one] for one in after} == {one: before[one] for one in before if one not in wanted}
        assert corrected.by == ({correction.value: tuple(sorted(wanted))} if wanted else {}), (name, kind)
        assert wanted <= {check.id for check in corrected.checks if check.success}
        others = set(Correction) - {correction, Correction.WINDOWS, Correction.WINDOWS_NODES}
        if correction not in (Correction.USER_NAMESPACES, Correction.WINDOWS, Correction.WINDOWS_NODES):
            assert correct(outcome, orjson.dumps(document), others - {Correction.USER_NAMESPACES}).by == {}


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_each_container_is_judged_by_itself() -> None:
    """A profile of one says nothing of another; init containers count like all."""
    local, free = {"type": "Localhost", "localhostProfile": "web"}, {"type": "Unconfined"}
    notes = {f"{ANNOTATION[:-3]}{name}": "unconfined" for name in ("web", "side", "first")}
    pod = template(
        container("web", {"limits": {"cpu": 1}}, appArmorProfile=local),
        container(
            "side", appArmorProfile=free, seLinuxOptions={"type": "container_engine_t", "user": "root"}
        ),
        container("other", seLinuxOptions={"type": "spc_t"}),
        annotations=notes,
        initContainers=[container("first", appArmorProfile=local)],
    )
    document = workload("StatefulSet", pod)
    async with auditing() as auditor:
        (outcome,) = await audit_all(auditor, [subject_of(document)])
    assert not isinstance(outcome, AuditError)
    corrected = correct(outcome, orjson.dumps(document), set(Correction))
    before, after = failing(outcome), failing(corrected.checks)

    assert len(before["AVD-KSV-0002"]) == 3
    assert after["AVD-KSV-0002"] == [
        "Container 'side' of StatefulSet 'web' should specify an AppArmor profile"
    ]
    assert len(before["AVD-KSV-0025"]) == 3
    assert sorted(after["AVD-KSV-0025"]) == [
        "StatefulSet 'web' uses invalid seLinux type 'spc_t'",
        "StatefulSet 'web' uses restricted properties in seLinuxOptions: ('user')",
    ]
    assert {message.split("'")[1] for message in after["AVD-KSV-0015"]} == {"side", "other", "first"}
    assert not {"AVD-KSV-0002", "AVD-KSV-0025"} & {one.id for one in corrected.checks if one.success}


def test_other_resources_and_other_checks_are_left_alone() -> None:
    found = tuple(
        Check(
            check_id, "", "", "", Severity.LOW, success=False, message="Container 'web' of Pod 'web' is bad"
        )
        for check_id in ("AVD-KSV-0011", "TEAM-1")
    )
    pod = orjson.dumps(workload("Pod", template(resources={"limits": {"cpu": 1}})))
    assert [one.success for one in correct(found, pod, DEFAULT_CORRECTIONS).checks] == [False, True]
    assert correct(found, pod, ()).checks == found
    for document in ({"kind": "Role", "rules": []}, {"kind": "Deployment", "spec": {"template": None}}, {}):
        assert correct(found, orjson.dumps(document), set(Correction)).checks == found
    unknown = tuple(check for check in found if check.id == "AVD-KSV-0011")
    elsewhere = orjson.dumps(workload("Pod", template(container("db"), resources={"limits": {"cpu": 1}})))
    assert correct(unknown, elsewhere, set(Correction)).checks == unknown, (
        "it names a container that is not there"
    )


def test_documentation_lists_all_corrections() -> None:
    rows = [
        f"| `{rule.name.value}` | {'on' if rule.name in DEFAULT_CORRECTIONS else 'off'} | "
        f"{', '.join(f'`AVD-{check}`' for check in rule.checks)} | {rule.when} ([source]({rule.source})) |"
        for rule in RULES
    ]
    assert "\n".join(rows) in DOCS.read_text()
    assert {rule.name for rule in RULES} == set(Correction)
