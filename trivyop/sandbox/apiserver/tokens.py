"""Tokens of service accounts, on request: what the kubelet asks for before it starts a Pod."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trivyop.kube.times import format_time
from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.authn import AUDIENCE
from trivyop.sandbox.apiserver.request import Reply
from trivyop.sandbox.apiserver.stamps import now

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.authn import Authenticator
    from trivyop.sandbox.apiserver.kinds import Kinds, Served
    from trivyop.sandbox.apiserver.request import Request

Obj = dict[str, Any]

_LEAST_SECONDS = 600


def create_token(request: Request, served: Served, kinds: Kinds, authenticator: Authenticator) -> Reply:
    """POST of a TokenRequest."""
    info, body = request.info, request.decoded()
    account = served.named(info.namespace, info.name)
    spec: Obj = body.get("spec") or {}
    audiences = spec.get("audiences") or [AUDIENCE]
    seconds = spec.get("expirationSeconds") or 3600
    if seconds < _LEAST_SECONDS:
        why = "may not specify a duration less than 10 minutes"
        error = status.FieldError(
            "FieldValueInvalid", "spec.expirationSeconds", f"Invalid value: {seconds}: {why}"
        )
        raise status.invalid("TokenRequest", "authentication.k8s.io", info.name, [error])
    bound: Obj | None = spec.get("boundObjectRef")
    token, expiry = authenticator.issue(
        info.namespace,
        info.name,
        account.uid,
        seconds=seconds,
        audiences=tuple(audiences),
        pod=_bound_pod(kinds, info.namespace, bound),
    )
    result: Obj = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": info.name,
            "namespace": info.namespace,
            "uid": account.uid,
            "creationTimestamp": now(),
        },
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound},
        "status": {
            "token": token,
            "expirationTimestamp": format_time(datetime.fromtimestamp(expiry, UTC)),
        },
    }
    return Reply.json(result, 201)


def _bound_pod(kinds: Kinds, namespace: str, bound: Obj | None) -> dict[str, str] | None:
    if bound is None or bound.get("kind") != "Pod":
        return None
    pod = kinds.get("", "v1", "pods").bucket.get(namespace, bound["name"])
    if pod is None:
        raise status.not_found("", "pods", bound["name"])
    if (uid := bound.get("uid")) and uid != pod.uid:
        why = (
            f"the UID in the bound object reference ({uid}) does not match the UID in record."
            " The object might have been deleted and then recreated"
        )
        raise status.conflict("", "pods", pod.name, why)
    return {"name": pod.name, "uid": pod.uid}
