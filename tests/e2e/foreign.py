"""Foreign: an API server that is not the sandbox's, for the end-to-end tests to run against.

``TRIVYOP_E2E_KUBECONFIG`` names the kubeconfig of its administrator. The server needs its own controllers and
scheduler, and no other node: the sandbox's node and registry serve it. ``TRIVYOP_E2E_AUDIT_LOG`` names the
file in which it writes its audit log (JSON lines, level Metadata or more), where it can be read from here.

A test that needs what only the sandbox's own server has (injected faults, a clock that leaps, users by name)
is skipped, and so is one that reads requests where there is no audit log.

Promises: a cluster in which the operator is installed already is refused, before anything is written; what a
test made is gone when the next one begins.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
import yaml

from tests.patience import patience
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    CRDS,
    NAMESPACES,
    PODS,
    SERVICEACCOUNTS,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.apiserver.server import LoggedRequest
from trivyop.sandbox.programs import kubectl

KUBECONFIG = "TRIVYOP_E2E_KUBECONFIG"
AUDIT_LOG = "TRIVYOP_E2E_AUDIT_LOG"

_OPERATOR_NAMESPACE = "trivy-system"
_SERVICE_ACCOUNT = "system:serviceaccount:"
LEFT_BY_TESTS = (NAMESPACES, CRDS, CLUSTERROLEBINDINGS, CLUSTERROLES)  # as they can go
_METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}


def foreign_kubeconfig() -> str | None:
    """The kubeconfig of the server to test against; None for the sandbox's own."""
    return os.environ.get(KUBECONFIG) or None


def only_with_own_server(what: str) -> NoReturn:
    """Skip the test that runs: it needs ``what``, which no other server than the sandbox's has."""
    pytest.skip(f"needs {what}, and {KUBECONFIG} names another server than the sandbox's")


async def kubeconfig_of(api: Api, user: str) -> dict[str, Any]:
    """Credentials of the administrator ("admin") or of a service account that is there."""
    path = foreign_kubeconfig()
    assert path is not None
    config = await _flattened(path)
    if user == "admin":
        return config
    if not user.startswith(_SERVICE_ACCOUNT):
        only_with_own_server(f"the user {user}")
    namespace, _, name = user.removeprefix(_SERVICE_ACCOUNT).partition(":")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await api.create(SERVICEACCOUNTS, request, namespace=namespace, name=name, subresource="token")
    config["users"] = [{"name": user, "user": {"token": answer["status"]["token"]}}]
    for context in config["contexts"]:
        context["context"]["user"] = user
    return config


async def _flattened(path: str) -> dict[str, Any]:
    """The kubeconfig with the files that it names inside it."""
    process = await asyncio.create_subprocess_exec(
        *(str(kubectl()), "--kubeconfig", path, "config", "view", "--flatten", "--minify", "--raw"),
        stdout=asyncio.subprocess.PIPE,
    )
    text, _ = await process.communicate()
    assert process.returncode == 0, f"{KUBECONFIG}={path} is not a kubeconfig"
    return yaml.safe_load(text)


class AuditLog:
    """The requests that a server wrote down since this was made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size

    @classmethod
    def of_environment(cls) -> AuditLog | None:
        path = os.environ.get(AUDIT_LOG)
        return cls(Path(path)) if path else None

    def requests(self) -> Iterable[LoggedRequest]:
        """Those that were answered, in the order of their answers."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            for line in file:
                if line.endswith(b"\n"):
                    event = json.loads(line)
                    if event["stage"] == "ResponseComplete":
                        yield logged_request(event)


def logged_request(event: Mapping[str, Any]) -> LoggedRequest:
    """One event of an audit log (audit.k8s.io/v1) as the sandbox's server logs it."""
    uri = urlsplit(event["requestURI"])
    return LoggedRequest(
        method=_METHODS.get(event["verb"], event["verb"].upper()),
        path=uri.path,
        query=uri.query,
        user=event.get("impersonatedUser", event["user"])["username"],
        status=event["responseStatus"]["code"],
    )


async def refuse_used_clusters() -> None:
    """End the run, if the server to test against is somebody's already."""
    path = foreign_kubeconfig()
    if path is None:
        return
    async with Api(await ClusterConfig.load(path)) as api:
        if await api.get(NAMESPACES, ObjectKey("", _OPERATOR_NAMESPACE)) is not None:
            pytest.exit(f"{KUBECONFIG}={path}: its cluster has a namespace {_OPERATOR_NAMESPACE} already", 4)


@asynccontextmanager
async def cleaned(api: Api, *resources: Resource) -> AsyncGenerator[None]:
    """Take away, after the block, what was made of these kinds in it, one kind after the other."""
    before = {resource: await _keys(api, resource) for resource in (PODS, *resources)}
    try:
        yield
    finally:
        for resource in resources:
            for key in await _keys(api, resource) - before[resource]:
                await api.delete(resource, key)
            async with patience(60):
                while True:
                    for pod in await _keys(api, PODS) - before[PODS]:  # its node may be none that runs
                        await api.delete(PODS, pod, grace_seconds=0)
                    if await _keys(api, resource) <= before[resource]:
                        break
                    await asyncio.sleep(0.2)


async def _keys(api: Api, resource: Resource) -> set[ObjectKey]:
    listing = await api.list(resource, type=dict[str, Any])
    return {ObjectKey(one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in listing.items}
