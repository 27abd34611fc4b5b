"""What end-to-end tests share: a sandbox cluster, the operator in it, and ways to look at both.

The operator is the real one (`trivyop.app.Operator`) with the real Trivy in its scan pods; the cluster is the
sandbox, over its real socket. Waiting is for a state of the cluster, with a limit that only a failure
reaches.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.foreign import (
    LEFT_BY_TESTS,
    AuditLog,
    cleaned,
    foreign_kubeconfig,
    kubeconfig_of,
    only_with_own_server,
)
from tests.kinds import REPORT_KINDS
from tests.patience import patience
from trivyop.app import Operator
from trivyop.cli.demo import prepare_cluster
from trivyop.control.clock import Clock, SystemClock
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.permissions import Permissions
from trivyop.kube.resources import (
    CONFIGMAPS,
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    IMAGESCANS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    ROLES,
    SERVICES,
    STATEFULSETS,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.apiserver.server import ApiServer, LoggedRequest
from trivyop.sandbox.cluster import Component, NodeImages, Sandbox, SandboxOptions, running_sandbox
from trivyop.sandbox.kubelet.kubelet import Kubelet
from trivyop.settings.configmaps import OPERATOR_CONFIG, read_settings, read_texts

NAMESPACE = "trivy-system"
RESOURCES = {
    one.kind: one
    for one in (
        *(NAMESPACES, PODS, DEPLOYMENTS, STATEFULSETS, DAEMONSETS, JOBS, CRONJOBS),
        *(SERVICES, ROLES),
    )
}
IMAGES_ONLY = {  # what tests of image scans do without; others set it as they need it
    "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "false",
    "OPERATOR_CLUSTER_COMPONENTS_ENABLED": "false",
}
TRIVY = shutil.which("trivy", path=str(Path(sys.executable).parent)) or "trivy"


@dataclass(slots=True)
class Cluster:
    """A sandbox with the CRDs and the operator's configuration in it."""

    sandbox: Sandbox
    api: Api  # as admin
    directory: Path
    audit_log: AuditLog | None = None  # of a server that is not the sandbox's

    @property
    def server(self) -> ApiServer:
        """The sandbox's API server; whoever asks wants it to misbehave, or to look inside."""
        if self.sandbox.server is None:
            only_with_own_server("an API server that obeys")
        return self.sandbox.server

    @property
    def requests(self) -> list[LoggedRequest]:
        """What the API server was asked so far."""
        if self.sandbox.server is not None:
            return list(self.sandbox.server.requests)
        if self.audit_log is None:
            only_with_own_server("to know the requests")
        return list(self.audit_log.requests())

    async def kubeconfig(self, user: str = "admin") -> dict[str, Any]:
        """Credentials of ``admin``, or of a service account that is there."""
        if self.sandbox.server is not None:
            return self.sandbox.server.kubeconfig(user)
        return await kubeconfig_of(self.api, user)

    @property
    def registry(self) -> str:
        """What stands before image names."""
        assert self.sandbox.registry is not None
        return self.sandbox.registry.address

    def image(self, name: str) -> str:
        """A reference to an image of the registry: ``shop/web:1.0``."""
        return f"{self.registry}/{name}"

    async def create(self, *bodies: dict[str, Any]) -> None:
        """Create objects, and the namespaces they are in."""
        for body in bodies:
            namespace = body["metadata"].get("namespace")
            if namespace and await self.api.get(NAMESPACES, ObjectKey("", namespace)) is None:
                await self.api.create(
                    NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
                )
            await self.api.create(RESOURCES[body["kind"]], body)

    async def list(self, resource: Resource, namespace: str = "") -> list[dict[str, Any]]:
        """All objects of a kind, whole."""
        listing = await self.api.list(resource, type=dict[str, Any], namespace=namespace)
        return listing.items

    async def until(
        self,
        condition: Callable[[list[dict[str, Any]]], bool],
        resource: Resource,
        namespace: str = "",
        *,
        seconds: float = 60,
        what: str = "",
    ) -> list[dict[str, Any]]:
        """Wait until the objects of a kind fulfil `condition`; returns them."""
        found: list[dict[str, Any]] = []
        try:
            async with patience(seconds):
                while True:
                    with suppress(TransientError):  # a test may take the server away
                        found = await self.list(resource, namespace)
                        if condition(found):
                            return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            names = [f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}" for one in found]
            scans: list[tuple[str, dict[str, Any]]] = []
            with suppress(TransientError):
                listed = await self.list(IMAGESCANS, NAMESPACE)
                scans = [(scan["spec"]["image"], scan.get("status", {})) for scan in listed]
            raise AssertionError(
                f"{resource.plural} not {what or 'as wanted'} for much longer than {seconds} s: {names}; "
                f"scans: {scans}"
            ) from None

    async def until_reported(self, *containers: str, seconds: float = 60) -> None:
        """Wait until exactly these containers have a report of every kind; as `reported` names them."""
        for kind in REPORT_KINDS:
            await self.until(
                lambda found: reported(found) == set(containers), kind, seconds=seconds, what=f"{containers}"
            )

    async def until_settled(self, *, seconds: float = 60) -> None:
        """Wait until every scan has its result and no scan Job is left."""
        await self.until(
            lambda scans: all(scan.get("status", {}).get("phase") == "Succeeded" for scan in scans),
            IMAGESCANS,
            seconds=seconds,
        )
        await self.until(lambda jobs: not jobs, JOBS, NAMESPACE, seconds=seconds)

    def scan_jobs_created(self) -> int:
        """How many scan Jobs were created so far."""
        path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
        return sum(
            request.method == "POST" and request.path == path and request.status == 201
            for request in self.requests
        )


@asynccontextmanager
async def empty_cluster(directory: Path, **options: Any) -> AsyncGenerator[Cluster]:
    """A cluster with nothing in it yet; `options` are those of ``SandboxOptions``."""
    kubeconfig = foreign_kubeconfig()
    if kubeconfig is not None:
        if "clock" in options:
            only_with_own_server("a clock of its own")
        options |= {"components": {Component.KUBELET, Component.REGISTRY}, "kubeconfig": kubeconfig}
    async with AsyncExitStack() as stack:
        audit_log = None
        if kubeconfig is not None:
            admin = await stack.enter_async_context(
                Api(await ClusterConfig.load(kubeconfig), user_agent="test-cleaning")
            )
            # around the node, whose object is to go as well; but pods end only while there is a node
            await stack.enter_async_context(cleaned(admin, NODES))
            audit_log = AuditLog.of_environment()
        sandbox = await stack.enter_async_context(
            running_sandbox(SandboxOptions(root_dir=directory / "pods", **options))
        )
        api = await stack.enter_async_context(Api(sandbox.config, user_agent="test"))
        if kubeconfig is not None:
            await stack.enter_async_context(cleaned(api, *LEFT_BY_TESTS))
        yield Cluster(sandbox, api, directory, audit_log)


@asynccontextmanager
async def running_cluster(directory: Path, **options: Any) -> AsyncGenerator[Cluster]:
    """A cluster ready for the operator; `options` are those of ``SandboxOptions``."""
    async with empty_cluster(directory, **options) as cluster:
        if cluster.sandbox.server is not None:
            cluster.sandbox.server.requests = deque()  # all of them count
        await prepare_cluster(cluster.api, cluster.sandbox, directory / "trivy")
        yield cluster


@asynccontextmanager
async def another_node(cluster: Cluster, name: str, platform: str) -> AsyncGenerator[Kubelet]:
    """A second node, of another platform; scan pods may run on it as well."""
    sandbox = cluster.sandbox
    pki = cluster.server.pki
    async with Api(sandbox.config, user_agent="another-node") as api, asyncio.TaskGroup() as group:
        node = Kubelet(
            api,
            node_name=name,
            root_dir=cluster.directory / name,
            pki=pki,
            images=NodeImages(sandbox.registry),
            platform=platform,
            api_url=sandbox.config.server,
        )
        task = group.create_task(node.run())
        await node.ready.wait()
        yield node
        task.cancel()


@asynccontextmanager
async def running_operator(
    cluster: Cluster,
    *,
    user: str = "admin",
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    api: Api | None = None,
) -> AsyncGenerator[Operator]:
    """The operator, with the cluster's configuration and `environ` over it; stopped gracefully at the end."""
    if clock is not None and foreign_kubeconfig() is not None:
        only_with_own_server("a clock that the operator and the cluster share")
    from_cluster = await read_texts(cluster.api, CONFIGMAPS, ObjectKey(NAMESPACE, "trivy-operator-config"))
    settings = await read_settings(
        cluster.api,
        {**from_cluster, **IMAGES_ONLY, "OPERATOR_NAMESPACE": NAMESPACE, **(environ or {})},
        NAMESPACE,
    )
    config = await ClusterConfig.from_kubeconfig_dict(await cluster.kubeconfig(user))
    permissions = Permissions(clock or SystemClock())
    async with Api(config, permissions=permissions) as own:
        operator = Operator(api or own, settings, clock=clock)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(operator.run(stop))
            try:
                yield operator
            finally:
                stop.set()
                await asyncio.wait([task])


@asynccontextmanager
async def operator_process(
    cluster: Cluster, *, log: Path, environ: Mapping[str, str] | None = None
) -> AsyncGenerator[Process]:
    """The operator in a process of its own, as users run it; killed at the end, if it still runs."""
    kubeconfig = cluster.directory / "kubeconfig.json"
    kubeconfig.write_text(json.dumps(await cluster.kubeconfig()))
    settings = await read_texts(cluster.api, CONFIGMAPS, ObjectKey(NAMESPACE, "trivy-operator-config"))
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "trivyop"),
            "run",
            *("--kubeconfig", str(kubeconfig)),
            env={**os.environ, **settings, **IMAGES_ONLY, "OPERATOR_NAMESPACE": NAMESPACE, **(environ or {})},
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        if await process.wait() > 0:
            print((await asyncio.to_thread(log.read_text))[-4000:])  # it ended by itself, and this is why


async def configure(cluster: Cluster, data: Mapping[str, str]) -> None:
    """Write the operator's ConfigMap; it is read when the operator starts."""
    meta = {"name": OPERATOR_CONFIG, "namespace": NAMESPACE}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
    await cluster.api.apply(CONFIGMAPS, body)


def pod(name: str, namespace: str, **images: str) -> dict[str, Any]:
    """A bare Pod: container name to image reference."""
    containers = [{"name": container, "image": image} for container, image in images.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": containers},
    }


def deployment(name: str, namespace: str, *, replicas: int = 1, **images: str) -> dict[str, Any]:
    """A Deployment: container name to image reference."""
    containers = [{"name": container, "image": image} for container, image in images.items()]
    labels = {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


def reported(reports: Iterable[Mapping[str, Any]]) -> set[str]:
    """What reports are about: ``shop/ReplicaSet/web/container``, a ReplicaSet without its hash."""
    found: set[str] = set()
    for report in reports:
        labels = report["metadata"]["labels"]
        kind, name = (labels[f"trivy-operator.resource.{part}"] for part in ("kind", "name"))
        name = name.rpartition("-")[0] if kind == "ReplicaSet" else name
        container = labels["trivy-operator.container.name"]
        found.add(f"{report['metadata']['namespace']}/{kind}/{name}/{container}")
    return found


def named(objects: list[dict[str, Any]]) -> set[str]:
    """Namespace and name of each."""
    return {f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}" for one in objects}
