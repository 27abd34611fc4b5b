"""What tests of a running node agent share: an API server, a node, and Pods of one line of shell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.controllers.conftest import api, clock, server
from tests.sandbox.controllers.jumpclock import JumpClock
from trivyop.kube.client import Api
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.kubelet.images import InventedImages
from trivyop.sandbox.kubelet.kubelet import Kubelet

__all__ = ["api", "clock", "server"]  # fixtures, told to pytest by being here

Node = Callable[..., AbstractAsyncContextManager[Kubelet]]


@pytest.fixture
def node(api: Api, clock: JumpClock, server: ApiServer, tmp_path: Path) -> Node:
    """Starts node ``n1``, whose Pods live below ``tmp_path / "pods"``."""

    @asynccontextmanager
    async def running(**options: Any) -> AsyncIterator[Kubelet]:
        options = {"images": InventedImages(), "api_url": server.url, **options}
        kubelet = Kubelet(
            api, node_name="n1", root_dir=tmp_path / "pods", pki=server.pki, clock=clock, **options
        )
        task = asyncio.create_task(kubelet.run())
        ready = asyncio.create_task(kubelet.ready.wait())
        try:
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
            yield kubelet
            if task.done():
                task.result()
        finally:
            ready.cancel()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return running
