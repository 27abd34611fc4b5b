"""Cluster: the sandbox's parts put together: API server, controllers, one node, a registry.

Any of them can be left out. Without the API server the others are clients of the one that a kubeconfig names,
which may be a real one; the node then needs a client certificate or token that may do what a kubelet does.

Promises: ``async with running_sandbox(...)`` yields when everything answers and the node is ready; leaving it
ends every process and task that it started.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from trivyop.control.clock import Clock, SystemClock
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.apiserver.starting import Starting
from trivyop.sandbox.controllers.run import run_controllers
from trivyop.sandbox.kubelet.images import (
    FamiliarName,
    ImageNotFoundError,
    ImageUnauthorizedError,
    InventedImages,
    not_found_message,
    unauthorized_message,
)
from trivyop.sandbox.kubelet.kubelet import Kubelet
from trivyop.sandbox.kubelet.logs import MAX_BYTES
from trivyop.sandbox.kubelet.pods import RunSelector, scan_pods
from trivyop.sandbox.pki import Pki
from trivyop.sandbox.registry import server as registry_server
from trivyop.sandbox.registry.auth import Auth
from trivyop.sandbox.registry.oci import Image
from trivyop.sandbox.registry.samples import sample_images
from trivyop.sandbox.registry.server import Registry


class Component(StrEnum):
    """What a sandbox is made of."""

    APISERVER = "apiserver"
    CONTROLLERS = "controllers"
    KUBELET = "kubelet"
    REGISTRY = "registry"


ALL_COMPONENTS = frozenset(Component)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How to build a sandbox."""

    root_dir: Path  # where pods run
    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one
    components: Collection[Component] = ALL_COMPONENTS
    kubeconfig: str | None = None  # of the API server to use, if this sandbox has none
    node_name: str = "sandbox-node"
    platform: str = "linux/amd64"
    images: Mapping[str, Image] | None = None  # what the registry serves; None: the samples
    node_names: Mapping[str, str] = field(default_factory=dict[str, str])
    """By which name the node knows an image, if not by the one that it was pulled by: name to name."""
    auth: Auth | None = None
    run_selector: RunSelector = scan_pods
    programs_first: Path | None = None  # a folder whose programs pods find before the installed ones
    max_log_bytes: int = MAX_BYTES  # of a container, before the node begins a new file
    clock: Clock = field(default_factory=SystemClock)
    starting: Starting | None = None  # None: the API server answers well from its first moment


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that runs; parts that were left out are None."""

    access: ClusterConfig | None  # to the API server, its own or another; a registry alone needs none
    server: ApiServer | None
    registry: Registry | None
    kubelet: Kubelet | None

    @property
    def config(self) -> ClusterConfig:
        """The way to the API server, as admin."""
        if self.access is None:
            raise ValueError("this sandbox is no cluster, but only a registry")
        return self.access

    def kubeconfig(self, user: str = "admin") -> dict[str, Any]:
        """Credentials for the API server of this sandbox."""
        if self.server is None:
            raise ValueError("this sandbox has no API server of its own")
        return self.server.kubeconfig(user)


class NodeImages:
    """What the node finds when it pulls: the registry's images, and of any other registry every image."""

    def __init__(self, registry: Registry | None, names: Mapping[str, str] | None = None) -> None:
        """`names`: of images of the registry, the one by which the node knows an image that it pulls."""
        self._registry = registry
        self._names = names or {}
        self._others = InventedImages()

    async def resolve(self, reference: str, platform: str) -> str:
        """The digest; raises an ``ImagePullError`` in a container runtime's words."""
        registry = self._registry
        if registry is None or not reference.startswith(f"{registry.address}/"):
            return await self._others.resolve(reference, platform)
        other = self._names.get(reference.removeprefix(f"{registry.address}/"))
        try:
            if other is not None:
                name = FamiliarName.parse(f"{registry.address}/{other}")
                return name.image_id(await registry.resolve(str(name), platform))
            return await registry.resolve(reference, platform)
        except registry_server.ImageNotFoundError:
            raise ImageNotFoundError(not_found_message(reference)) from None
        except registry_server.ImageUnauthorizedError:
            raise ImageUnauthorizedError(unauthorized_message(reference)) from None


@asynccontextmanager
async def running_sandbox(options: SandboxOptions) -> AsyncGenerator[Sandbox]:
    """Run a sandbox for the block."""
    wanted = set(options.components)
    async with AsyncExitStack() as stack:
        server: ApiServer | None = None
        registry: Registry | None = None
        config: ClusterConfig | None = None
        pki = Pki.create()
        if Component.REGISTRY in wanted:
            images = sample_images() if options.images is None else options.images
            registry = await stack.enter_async_context(Registry(images, auth=options.auth))
        if Component.APISERVER in wanted:
            server = await stack.enter_async_context(
                ApiServer(options.host, options.port, pki, starting=options.starting)
            )
            config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
            if options.starting is not None:  # the other parts ask once, and from then on
                await asyncio.sleep(options.starting.unready_left)
        elif wanted & {Component.CONTROLLERS, Component.KUBELET}:
            config = await ClusterConfig.load(options.kubeconfig)
            if ca_file := (await config.access()).ca_file:
                pki = pki.accepting(await asyncio.to_thread(Path(ca_file).read_bytes))
        root_ca = (pki.client_ca_pem or pki.ca_pem).decode()  # what pods trust the API server by
        work: list[Coroutine[Any, Any, None]] = []
        if config is not None and Component.CONTROLLERS in wanted:
            api = await stack.enter_async_context(
                Api(config, user_agent="sandbox-controllers", max_requests=256)
            )
            work.append(run_controllers(api, options.clock, root_ca=root_ca))
        kubelet: Kubelet | None = None
        if config is not None and Component.KUBELET in wanted:
            api = await stack.enter_async_context(Api(config, user_agent="sandbox-kubelet", max_requests=256))
            kubelet = Kubelet(
                api,
                node_name=options.node_name,
                root_dir=options.root_dir,
                pki=pki,
                images=NodeImages(registry, options.node_names),
                platform=options.platform,
                run_selector=options.run_selector,
                programs_first=options.programs_first,
                max_log_bytes=options.max_log_bytes,
                api_url=config.server,
                clock=options.clock,
            )
            work.append(kubelet.run())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in work]
            try:
                if kubelet is not None:
                    await kubelet.ready.wait()
                yield Sandbox(config, server, registry, kubelet)
            finally:
                for task in tasks:
                    task.cancel()
