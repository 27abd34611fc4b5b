"""The harness's side of end-to-end tests against another API server, as far as it needs none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.foreign import AuditLog


def event(stage: str = "ResponseComplete", **more: Any) -> str:
    """One line of an audit log of level Metadata, as a Kubernetes API server writes it."""
    body: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "stage": stage,
        "requestURI": "/apis/batch/v1/namespaces/trivy-system/jobs?fieldManager=trivyop",
        "verb": "create",
        "user": {"username": "kubernetes-admin", "groups": ["system:masters"]},
        "responseStatus": {"metadata": {}, "code": 201},
    }
    return json.dumps(body | more) + "\n"


def test_requests_are_those_that_the_server_answered_since(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(event(verb="get"))
    log = AuditLog(path)
    with path.open("a") as file:
        file.write(event("RequestReceived", responseStatus=None))
        file.write(event())
        file.write(event(verb="patch", impersonatedUser={"username": "viewer"}, responseStatus={"code": 403}))
        file.write(event(verb="watch")[:40])  # the server is still writing it

    created, patched = log.requests()

    assert created == (
        "POST",
        "/apis/batch/v1/namespaces/trivy-system/jobs",
        "fieldManager=trivyop",
        "kubernetes-admin",
        201,
        "",
    )
    assert (patched.method, patched.user, patched.status) == ("PATCH", "viewer", 403)
