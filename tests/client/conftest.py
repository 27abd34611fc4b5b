"""An API server in this process, and a client that may do everything."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.sandbox.apiserver.server import ApiServer


@pytest.fixture
async def server() -> AsyncGenerator[ApiServer, None]:
    async with ApiServer() as running:
        yield running


@pytest.fixture
async def api(server: ApiServer) -> AsyncGenerator[Api, None]:
    async with Api(await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())) as client:
        yield client
