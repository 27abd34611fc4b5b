"""What tests of running controllers share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.controllers.jumpclock import JumpClock
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.sandbox.apiserver.server import ApiServer


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as running:
        yield running


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[Api]:
    config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
    async with Api(config) as client:
        yield client


@pytest.fixture
async def clock() -> AsyncIterator[JumpClock]:
    running = JumpClock()
    yield running
    assert not running.timers  # whoever set one has ended, and taken it along
