"""Corrections: findings of Trivy that are plainly false, because a check overlooks a field of Kubernetes.

Each rule says which checks it is for, when a finding of them is false, and where that is written. A finding
that a rule corrects counts as passed; a check with other findings keeps those. Which rules apply is a
setting: by default those that go by a field that can only mean one thing.

Promises: pure. A finding about one container is corrected for what is true of that container. Without a
workload's pod template nothing is corrected.
Not here: where it is noted what was corrected (``trivyop.report.audit``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec
import orjson

from trivyop.report.checkids import canonical, reported
from trivyop.report.checks import Check
from trivyop.settings.features import Correction

Json = Mapping[str, Any]

_CONTAINER = re.compile(r"""\bcontainer ['"]([^'"]+)['"] of""", re.IGNORECASE)
_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_LIMITS: Final = {"KSV-0011": "cpu", "KSV-0018": "memory"}
_REQUESTS: Final = {"KSV-0015": "cpu", "KSV-0016": "memory"}
_DOCS: Final = "https://kubernetes.io/docs/"


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding, and what it is about."""

    check: str  # "KSV-0011"
    message: str
    pod: Json  # the pod, or the template of one
    containers: tuple[Json, ...]  # the one that it names, or all of the pod

    @property
    def spec(self) -> Json:
        return _object(self.pod, "spec")


@dataclass(frozen=True, slots=True)
class Rule:
    """When findings of some checks are false."""

    name: Correction
    checks: tuple[str, ...]
    when: str  # for people: what has to be so
    source: str
    holds: Callable[[Finding], bool]


def _has_pod_resources(finding: Finding) -> bool:
    resources = _object(finding.spec, "resources")
    limited, requested = _object(resources, "limits"), _object(resources, "requests")
    if finding.check in _LIMITS:
        return _is_positive(limited.get(_LIMITS[finding.check]))
    name = _REQUESTS[finding.check]  # without requests, those of the pod are its limits
    return _is_positive(requested.get(name)) or _is_positive(limited.get(name))


def _has_limits(finding: Finding) -> bool:
    name = _REQUESTS[finding.check]
    return all(
        _is_positive(_object(_object(one, "resources"), "limits").get(name)) for one in finding.containers
    )


def _has_default_proc_mount(finding: Finding) -> bool:
    mounts = [_security(one).get("procMount") for one in finding.containers]
    return all(mount in (None, "Default") for mount in mounts)


def _has_profile(finding: Finding) -> bool:
    return all(_is_confined(finding.pod, one) for one in finding.containers)


def _is_confined(pod: Json, container: Json) -> bool:
    """By the profile that a kubelet takes: the container's, that of an annotation, the pod's."""
    own = _object(_security(container), "appArmorProfile").get("type")
    if own is None:
        noted = _object(_object(pod, "metadata"), "annotations").get(f"{_APP_ARMOR}{container.get('name')}")
        if noted is not None:
            return noted == "runtime/default" or str(noted).startswith("localhost/")
        own = _object(_security(_object(pod, "spec")), "appArmorProfile").get("type")
    return own in ("RuntimeDefault", "Localhost")


def _is_engine(finding: Finding) -> bool:
    return finding.message.endswith("uses invalid seLinux type 'container_engine_t'")


def _is_windows(finding: Finding) -> bool:
    return _object(finding.spec, "os").get("name") == "windows"


def _selects_windows(finding: Finding) -> bool:
    selector = _object(finding.spec, "nodeSelector")
    unsaid = _object(finding.spec, "os").get("name") is None
    return unsaid and selector.get("kubernetes.io/os") == "windows"


def _has_user_namespace(finding: Finding) -> bool:
    return finding.spec.get("hostUsers") is False


_LINUX_ONLY: Final = (
    "KSV-0001",
    "KSV-0003",
    "KSV-0004",
    "KSV-0014",
    "KSV-0020",
    "KSV-0021",
    "KSV-0030",
    "KSV-0104",
    "KSV-0106",
)

RULES: Final = (
    Rule(
        Correction.POD_RESOURCES,
        (*_LIMITS, *_REQUESTS),
        "the pod has `spec.resources` for CPU or memory, which count for all of its containers",
        f"{_DOCS}tasks/configure-pod-container/assign-pod-level-resources/",
        _has_pod_resources,
    ),
    Rule(
        Correction.PROC_MOUNT,
        ("KSV-0027",),
        "`procMount` is `Default`, which is what it is without the field",
        f"{_DOCS}concepts/security/pod-security-standards/#baseline",
        _has_default_proc_mount,
    ),
    Rule(
        Correction.APP_ARMOR,
        ("KSV-0002",),
        "the profile in force, by `securityContext.appArmorProfile` or by an annotation, is `RuntimeDefault` "
        "or `Localhost`",
        f"{_DOCS}tutorials/security/apparmor/",
        _has_profile,
    ),
    Rule(
        Correction.CONTAINER_ENGINE,
        ("KSV-0025",),
        "the SELinux type is `container_engine_t`, which the baseline allows since Kubernetes 1.31",
        f"{_DOCS}concepts/security/pod-security-standards/#baseline",
        _is_engine,
    ),
    Rule(
        Correction.WINDOWS,
        _LINUX_ONLY,
        "`spec.os.name` is `windows`: the API server refuses the fields that the check asks for",
        f"{_DOCS}concepts/workloads/pods/#pod-os",
        _is_windows,
    ),
    Rule(
        Correction.WINDOWS_NODES,
        _LINUX_ONLY,
        "`nodeSelector` has `kubernetes.io/os: windows`, and `spec.os` is not set; Windows does nothing with "
        "the fields that the check asks for",
        f"{_DOCS}concepts/windows/intro/#compatibility-v1-pod-spec-containers",
        _selects_windows,
    ),
    Rule(
        Correction.LIMITS_AS_REQUESTS,
        tuple(_REQUESTS),
        "the container has a limit, which the API server takes as its request",
        f"{_DOCS}concepts/configuration/manage-resources-containers/",
        _has_limits,
    ),
    Rule(
        Correction.USER_NAMESPACES,
        ("KSV-0012", "KSV-0027", "KSV-0105"),
        "`hostUsers` is `false`: the pod's root is nobody on the node, and the standards allow it since "
        "Kubernetes 1.35",
        f"{_DOCS}concepts/security/pod-security-standards/#baseline",
        _has_user_namespace,
    ),
)
_CONCERNED: Final = frozenset(check for rule in RULES for check in rule.checks)


@dataclass(frozen=True, slots=True)
class Corrected:
    """Checks after correction."""

    checks: tuple[Check, ...]
    by: Mapping[str, tuple[str, ...]]  # by name of the correction, ids as reports spell them, sorted


def correct(checks: tuple[Check, ...], document: bytes, enabled: Collection[Correction]) -> Corrected:
    """Correct what an audit says of a resource; ``document`` is its manifest as JSON."""
    rules = [rule for rule in RULES if rule.name in enabled]
    suspects = [one for one in checks if not one.success and canonical(one.id) in _CONCERNED]
    pod = _pod_of(document) if rules and suspects else None
    if pod is None:
        return Corrected(checks, {})
    containers = tuple(_containers(pod))
    kept: list[Check] = []
    passed: dict[str, Check] = {}
    by: dict[str, set[str]] = {}
    for check in checks:
        rule = None if check.success else _rule_for(check, pod, containers, rules)
        if rule is None:
            kept.append(check)
        else:
            by.setdefault(rule.name.value, set()).add(reported(check.id))
            passed.setdefault(check.id, msgspec.structs.replace(check, success=True, message=""))
    there = {check.id for check in kept}
    kept += [check for check_id, check in passed.items() if check_id not in there]
    return Corrected(tuple(kept), {name: tuple(sorted(ids)) for name, ids in sorted(by.items())})


def _rule_for(check: Check, pod: Json, containers: tuple[Json, ...], rules: list[Rule]) -> Rule | None:
    check_id = canonical(check.id)
    if check_id not in _CONCERNED:
        return None
    named = _CONTAINER.search(check.message)
    about = containers if named is None else tuple(one for one in containers if one.get("name") == named[1])
    if not about:
        return None
    finding = Finding(check_id, check.message, pod, about)
    return next((rule for rule in rules if check_id in rule.checks and rule.holds(finding)), None)


def _pod_of(document: bytes) -> Json | None:
    """The pod that a workload is or makes; None for what makes none."""
    found: Json = orjson.loads(document)
    kind = found.get("kind")
    if kind == "CronJob":
        found = _object(_object(_object(found, "spec"), "jobTemplate"), "spec").get("template") or {}
    elif kind != "Pod":
        found = _object(found, "spec").get("template") or {}
    return found if _object(found, "spec").get("containers") else None


def _containers(pod: Json) -> Iterator[Json]:
    spec = _object(pod, "spec")
    for field in ("containers", "initContainers"):
        yield from cast("list[Json]", spec.get(field) or [])


def _security(of: Json) -> Json:
    return _object(of, "securityContext")


def _object(of: Json, field: str) -> Json:
    """A field that is an object; an empty one where there is none."""
    found: object = of.get(field)
    return cast("Json", found) if isinstance(found, Mapping) else {}


def _is_positive(quantity: object) -> bool:
    return quantity is not None and any(digit in "123456789" for digit in str(quantity))
