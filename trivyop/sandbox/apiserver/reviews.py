"""Reviews: questions in the shape of objects: who am I, whose token is this, may they do that.

They are created and answered, and never stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.authn import AUDIENCE, User
from trivyop.sandbox.apiserver.authz import Access
from trivyop.sandbox.apiserver.request import Reply
from trivyop.sandbox.apiserver.stamps import now

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.authn import Authenticator
    from trivyop.sandbox.apiserver.authz import Authorizer
    from trivyop.sandbox.apiserver.request import Request

Obj = dict[str, Any]

AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"

KINDS = {
    (AUTHENTICATION, "selfsubjectreviews"): "SelfSubjectReview",
    (AUTHENTICATION, "tokenreviews"): "TokenReview",
    (AUTHORIZATION, "localsubjectaccessreviews"): "LocalSubjectAccessReview",
    (AUTHORIZATION, "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    (AUTHORIZATION, "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    (AUTHORIZATION, "subjectaccessreviews"): "SubjectAccessReview",
}


class Reviews:
    """The handlers of reviews."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    def create(self, request: Request) -> Reply:
        """Answer one review."""
        group, plural = request.info.group, request.info.resource
        answers: dict[str, Callable[[Request, Obj], Obj]] = {
            "selfsubjectreviews": self._self,
            "tokenreviews": self._token,
            "selfsubjectaccessreviews": self._self_access,
            "selfsubjectrulesreviews": self._self_rules,
            "subjectaccessreviews": self._access,
            "localsubjectaccessreviews": self._access,
        }
        answer = answers[plural]
        review = request.decoded()
        metadata = dict(review.get("metadata") or {})
        if plural == "selfsubjectreviews":
            metadata["creationTimestamp"] = now()
        result: Obj = {"kind": KINDS[group, plural], "apiVersion": f"{group}/v1", "metadata": metadata}
        if "spec" in review:
            result["spec"] = review["spec"]
        result["status"] = answer(request, review.get("spec") or {})
        return Reply.json(result, 201)

    def _self(self, request: Request, _: Obj) -> Obj:
        return {"userInfo": _info(request.user)}

    def _token(self, _: Request, spec: Obj) -> Obj:
        audiences = spec.get("audiences") or [AUDIENCE]
        for audience in audiences:
            if user := self._authenticator.user_of(spec.get("token", ""), audience):
                return {"authenticated": True, "user": _info(user), "audiences": [audience]}
        return {"user": {}, "error": "invalid bearer token"}

    def _self_access(self, request: Request, spec: Obj) -> Obj:
        return self._decide(request.user, spec)

    def _self_rules(self, request: Request, spec: Obj) -> Obj:
        rules = self._authorizer.rules(request.user, spec.get("namespace", ""))
        return {
            "resourceRules": [rule for rule in rules if "resources" in rule],
            "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
            "incomplete": False,
        }

    def _access(self, _: Request, spec: Obj) -> Obj:
        return self._decide(User(spec.get("user", ""), tuple(spec.get("groups") or ())), spec)

    def _decide(self, user: User, spec: Obj) -> Obj:
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (resource is None) == (path is None):
            why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            shown = "null" if resource is None else "{}"
            error = status.FieldError(
                "FieldValueInvalid", "spec.resourceAttributes", f"Invalid value: {shown}: {why}"
            )
            raise status.invalid("", AUTHORIZATION, "", [error])
        if path is not None:
            access = Access(path.get("verb", ""), path=path.get("path", "/"))
        else:
            attributes: Obj = resource or {}
            wanted = ("verb", "group", "resource", "subresource", "namespace", "name")
            access = Access(**{part: attributes.get(part, "") for part in wanted})
        reason = self._authorizer.reason(user, access)
        if reason is None:
            return {"allowed": False}
        return {"allowed": True, "reason": reason} if reason else {"allowed": True}


def _info(user: User) -> Obj:
    info: Obj = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info
