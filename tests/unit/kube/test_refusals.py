"""Each refusal of an API server has the kind of error that says what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trivyop.errors import (
    AdmissionError,
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TerminalError,
    TooLargeError,
    TransientError,
    WebhookError,
)
from trivyop.kube.refusals import error_for, is_refused

TROUBLES: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[2] / "data" / "pod-troubles.json").read_text()
)
PASSING = ("a permission of the operator", "an API server that is busy")


def body(code: int, reason: str = "", message: str = "no", **details: Any) -> bytes:
    status = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code}
    return json.dumps(status | ({"details": details} if details else {})).encode()


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", InvalidError),
        (401, "Unauthorized", TransientError),
        (403, "Forbidden", ForbiddenError),
        (404, "NotFound", NotFoundError),
        (405, "MethodNotAllowed", TerminalError),
        (408, "Timeout", TransientError),
        (409, "AlreadyExists", AlreadyExistsError),
        (409, "Conflict", ConflictError),
        (410, "Expired", ExpiredError),
        (413, "RequestEntityTooLarge", TooLargeError),
        (415, "UnsupportedMediaType", InvalidError),
        (422, "Invalid", InvalidError),
        (429, "TooManyRequests", TransientError),
        (500, "InternalError", TransientError),
        (503, "ServiceUnavailable", TransientError),
        (504, "Timeout", TransientError),
    ],
)
def test_status_code_names_the_error(code: int, reason: str, expected: type[Exception]) -> None:
    assert type(error_for(code, body(code, reason))) is expected


@pytest.mark.parametrize(
    "message",
    [
        "etcdserver: request is too large",
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max (3 vs. 2)",
    ],
)
def test_object_too_large_for_etcd_is_told_from_a_crash(message: str) -> None:
    """It comes as a 500, and trying again would fail for ever."""
    assert type(error_for(500, body(500, message=message))) is TooLargeError


DENIED = 'User "system:serviceaccount:a:b" cannot {} in API group "batch" in the namespace "shop"'
NO_ROLE = ': RBAC: clusterrole.rbac.authorization.k8s.io "trivyop" not found'


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("jobs.batch is forbidden: " + DENIED.format('create resource "jobs"'), ForbiddenError),
        ("jobs.batch is forbidden: " + DENIED.format('create resource "jobs"') + NO_ROLE, ForbiddenError),
        ('forbidden: User "u" cannot get path "/version"', ForbiddenError),
        ("<html>403 Forbidden</html>", ForbiddenError),
        ('jobs.batch "a" is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1', AdmissionError),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest": host namespaces', AdmissionError),
        ('admission webhook "policy.example" denied the request: no labels', AdmissionError),
        (
            "jobs \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            AdmissionError,
        ),
        (
            'jobs "a" is forbidden: unable to create content in namespace a because it is being terminated',
            AdmissionError,
        ),
        ('jobs.batch "a" is forbidden: not yet ready to handle request', TransientError),
        ('pods "a" is forbidden: status unknown for quota: pods, resources: pods', TransientError),
    ],
)
def test_forbidden_by_roles_is_told_from_refused_by_admission(
    message: str, expected: type[Exception]
) -> None:
    """The first may pass, and is about us; the second is about the object."""
    assert type(error_for(403, body(403, "Forbidden", message))) is expected


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 413, 422, 429, 500])
@pytest.mark.parametrize(
    "message",
    [
        'admission webhook "policy.example" denied the request: \nlabel team\nis missing',
        'admission webhook "policy.example" denied the request without explanation',
        "jobs.batch \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
    ],
)
def test_denial_of_a_webhook_or_policy_is_one_whatever_status_its_author_chose(
    code: int, message: str
) -> None:
    assert type(error_for(code, body(code, message=message))) is AdmissionError


@pytest.mark.parametrize("verb", ["failed calling webhook", "failed calling admission webhook"])
def test_webhook_that_does_not_answer_is_told_from_a_crash_of_the_server(verb: str) -> None:
    message = f'Internal error occurred: {verb} "policy.example": context deadline exceeded'

    assert type(error_for(500, body(500, "InternalError", message))) is WebhookError


@pytest.mark.parametrize(
    "one",
    [one for one in TROUBLES if one["reason"] == "FailedCreate" and one["cause"] not in PASSING],
    ids=lambda one: one["cause"],
)
def test_words_of_admission_in_an_event_are_a_refusal(one: dict[str, str]) -> None:
    assert is_refused(one["message"])


@pytest.mark.parametrize("cause", PASSING)
def test_what_may_pass_by_itself_is_none(cause: str) -> None:
    (message,) = (
        one["message"] for one in TROUBLES if one["cause"] == cause and one["reason"] == "FailedCreate"
    )

    assert not is_refused(message)


def test_message_says_what_was_tried_and_the_servers_words() -> None:
    error = error_for(403, body(403, "Forbidden", "pods is forbidden"), request="GET /api/v1/pods")

    assert str(error) == "GET /api/v1/pods: 403 pods is forbidden"


def test_retry_after_of_the_header_wins_over_that_of_the_body() -> None:
    refusal = body(429, "TooManyRequests", retryAfterSeconds=3)

    with_header = error_for(429, refusal, retry_after=7)
    without = error_for(429, refusal)
    assert isinstance(with_header, TransientError)
    assert isinstance(without, TransientError)
    assert (with_header.retry_after, without.retry_after) == (7, 3)


def test_causes_of_an_invalid_object_are_told_one_by_one() -> None:
    causes = [
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.image"},
        {"reason": "FieldValueInvalid", "message": "too long"},
    ]
    error = error_for(422, body(422, "Invalid", causes=causes))

    assert isinstance(error, InvalidError)
    assert error.causes == ("spec.image: Required value", "too long")


@pytest.mark.parametrize("page", [b"", b"<html>502 Bad Gateway</html>", b"\xff\xfe", b"[1]", b'"x"'])
def test_answer_of_a_proxy_in_between_is_readable(page: bytes) -> None:
    error = error_for(502, page, request="GET /version")

    assert type(error) is TransientError
    assert str(error).startswith("GET /version: 502 ")


def test_endless_message_is_cut() -> None:
    """An invalid object may be quoted in full, and logs are not the place for it."""
    assert len(str(error_for(422, body(422, message="x" * 1_000_000)))) < 2000
