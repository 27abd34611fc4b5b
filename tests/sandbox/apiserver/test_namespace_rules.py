"""What a cluster lets in: quotas, LimitRanges, Pod Security and priorities, in the words of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from trivyop.sandbox.apiserver import limitranges, podsecurity, priorities, quotas
from trivyop.sandbox.apiserver.objects.refusals import Refused

Json = dict[str, Any]
GOOD: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

RESTRICTED = 'violates PodSecurity "restricted:latest": '
NOTHING_SET = (
    'allowPrivilegeEscalation != false (container "c0" must set '
    "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "
    '"c0" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container '
    '"c0" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c0" must set '
    'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
)
SYS_ADMIN_ADDED = (
    'unrestricted capabilities (container "c0" must not include "SYS_ADMIN" in '
    "securityContext.capabilities.add)"
)
OVER_MEMORY = (
    "exceeded quota: q, requested: requests.memory=100Mi, used: requests.memory=100Mi, "
    "limited: requests.memory=150Mi"
)
OTHER_PRIORITY = (
    "the integer value of priority (1) must not be provided in pod spec; "
    "priority admission controller computed 9 from the given PriorityClass name"
)


def pod(*containers: Json, **spec: Any) -> Json:
    named = [{"name": f"c{index}", **container} for index, container in enumerate(containers)]
    return {"metadata": {"name": "x", "namespace": "shop"}, "spec": {"containers": named, **spec}}


def asking(part: str, **amounts: str) -> Json:
    return {"resources": {part: amounts}}


def quota(**hard: str) -> Json:
    return {
        "metadata": {"name": "q"},
        "spec": {"hard": {name.replace("_", "."): text for name, text in hard.items()}},
    }


def limit_range(**limit: Any) -> Json:
    return {"spec": {"limits": [{"type": "Container", **limit}]}}


@pytest.mark.parametrize(
    ("security", "words"),
    [
        (GOOD, ""),
        (
            {},
            RESTRICTED + NOTHING_SET,
        ),
        (
            {**GOOD, "runAsUser": 0},
            RESTRICTED + 'runAsUser=0 (container "c0" must not set runAsUser=0)',
        ),
        (
            {**GOOD, "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN", "NET_BIND_SERVICE"]}},
            RESTRICTED + SYS_ADMIN_ADDED,
        ),
    ],
)
def test_restricted_level(security: Json, words: str) -> None:
    assert podsecurity.violations("restricted", "latest", pod({"securityContext": security})["spec"]) == words


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, ""),
        ({"hostPID": True}, "host namespaces (hostPID=true)"),
        ({"volumes": [{"name": "a", "hostPath": {}}]}, 'hostPath volumes (volume "a")'),
    ],
)
def test_baseline_level(spec: Json, words: str) -> None:
    found = podsecurity.violations("baseline", "latest", pod({}, **spec)["spec"])

    assert found == (f'violates PodSecurity "baseline:latest": {words}' if words else "")
    assert not podsecurity.violations("privileged", "latest", pod({}, **spec)["spec"])


@pytest.mark.parametrize(
    ("hard", "there", "words"),
    [
        ({"pods": "2"}, 1, ""),
        ({"pods": "1"}, 1, "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"),
        (
            {"count/pods": "0"},
            0,
            "exceeded quota: q, requested: count/pods=1, used: count/pods=0, limited: count/pods=0",
        ),
        (
            {"requests_memory": "150Mi"},
            1,
            OVER_MEMORY,
        ),
        ({"requests_cpu": "1"}, 0, "failed quota: q: must specify requests.cpu for: c0"),
        ({"secrets": "0"}, 1, ""),
    ],
)
def test_quota(hard: dict[str, str], there: int, words: str) -> None:
    asked = pod(asking("requests", memory="100Mi"))
    before = [*[asked] * there, {**asked, "status": {"phase": "Succeeded"}}]

    def ask() -> None:
        quotas.check("", "pods", asked, before, [quota(**hard)])

    if not words:
        ask()
        return
    with pytest.raises(Refused) as refused:
        ask()
    assert refused.value.message == f'pods "x" is forbidden: {words}'


@pytest.mark.parametrize(
    ("container", "limit", "words"),
    [
        (
            {},
            {"min": {"memory": "1Mi"}},
            "minimum memory usage per Container is 1Mi.  No request is specified",
        ),
        (
            asking("limits", cpu="2"),
            {"max": {"cpu": "1"}},
            "maximum cpu usage per Container is 1, but limit is 2",
        ),
        (asking("limits", cpu="1"), {"max": {"cpu": "1"}}, ""),
    ],
)
def test_limit_range(container: Json, limit: Json, words: str) -> None:
    if not words:
        limitranges.admit(pod(container), [limit_range(**limit)])
        return
    with pytest.raises(Refused) as refused:
        limitranges.admit(pod(container), [limit_range(**limit)])
    assert refused.value.message == f'pods "x" is forbidden: {words}'


def test_limit_range_gives_defaults_and_a_request_above_them_is_invalid() -> None:
    defaults = limit_range(default={"memory": "1Gi"}, defaultRequest={"cpu": "10m"})
    plain, large = pod({}), pod(asking("requests", memory="2Gi"))

    limitranges.admit(plain, [defaults])
    with pytest.raises(Refused) as refused:
        limitranges.admit(large, [defaults])

    assert plain["spec"]["containers"][0]["resources"] == {
        "limits": {"memory": "1Gi"},
        "requests": {"cpu": "10m"},
    }
    assert refused.value.code == 422
    assert "must be less than or equal to memory limit of 1Gi" in refused.value.message


def priority_class(name: str, value: int, **fields: Any) -> Json:
    return {"metadata": {"name": name}, "value": value, "preemptionPolicy": "PreemptLowerPriority", **fields}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ("usual", 5, "Never")),
        ({"priorityClassName": "high"}, ("high", 9, "PreemptLowerPriority")),
        ({"priorityClassName": "high", "priority": 9}, ("high", 9, "PreemptLowerPriority")),
    ],
)
def test_priority_is_that_of_the_class_and_of_the_lowest_default_without_one(
    spec: Json, expected: tuple[str, int, str]
) -> None:
    classes = [
        priority_class("other", 7, globalDefault=True),
        priority_class("usual", 5, globalDefault=True, preemptionPolicy="Never"),
        priority_class("high", 9),
    ]
    given = pod({}, **spec)

    priorities.admit(given, classes)

    found = given["spec"]
    assert (found["priorityClassName"], found["priority"], found["preemptionPolicy"]) == expected


def test_pod_without_any_class_has_priority_zero() -> None:
    given = pod({})

    priorities.admit(given, [priority_class("high", 9)])

    assert (given["spec"]["priority"], given["spec"].get("priorityClassName")) == (0, None)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"priorityClassName": "mine"}, "no PriorityClass with name mine was found"),
        ({"priorityClassName": "high", "priority": 1}, OTHER_PRIORITY),
    ],
)
def test_priority_that_its_class_does_not_give_is_refused(spec: Json, words: str) -> None:
    with pytest.raises(Refused) as refused:
        priorities.admit(pod({}, **spec), [priority_class("high", 9)])

    assert refused.value.code == 403
    assert refused.value.message == f'pods "x" is forbidden: {words}'


def test_objects_that_no_quota_limits_are_admitted_without_reading_the_others() -> None:
    """Reading all of a kind at each create makes many of them quadratic."""
    read: list[Json] = []

    def others() -> Iterator[Json]:
        read.append({})
        yield {"metadata": {"name": "other"}}

    held = [quota(pods="1", services="1")]
    quotas.check(
        "aquasecurity.github.io", "rbacassessmentreports", {"metadata": {"name": "one"}}, others(), held
    )
    assert read == []

    with pytest.raises(Refused, match="exceeded quota"):
        quotas.check("", "services", {"metadata": {"name": "one"}}, others(), held)
    assert read == [{}]
