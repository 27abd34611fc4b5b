"""A server for each test, and clients that speak plain HTTP to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sandbox.apiserver.client import Client
from trivyop.sandbox.apiserver.server import ApiServer


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as server:
        yield server


@pytest.fixture
async def admin(server: ApiServer) -> AsyncIterator[Client]:
    async with Client(server) as client:
        yield client
