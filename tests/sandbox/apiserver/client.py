"""A client as thin as can be: tests of the server shall not depend on a clever one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

import aiohttp

from trivyop.sandbox.apiserver.server import ApiServer

MERGE_PATCH = "application/merge-patch+json"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


class Answer(NamedTuple):
    """A status, its headers, and the body if it is JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Client:
    """One user of the server; without a token it is the administrator."""

    def __init__(
        self,
        server: ApiServer,
        token: str | None = None,
        *,
        user: str = "",
        groups: tuple[str, ...] = (),
        agent: str = "test",
    ) -> None:
        headers = {"User-Agent": agent}
        if not user:
            headers["Authorization"] = f"Bearer {token or server.admin_token}"
        context = server.pki.client_context(user, groups)
        self._session = aiohttp.ClientSession(
            server.url, headers=headers, connector=aiohttp.TCPConnector(ssl=context)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def do(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request; header names are written with underscores."""
        sent = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, path, data=data, headers=sent) as response:
            text = await response.text()
            is_json = response.content_type == "application/json" and bool(text)
            return Answer(response.status, response.headers.copy(), json.loads(text) if is_json else text)

    async def get(self, path: str) -> Answer:
        return await self.do("GET", path)

    async def create(self, path: str, name: str, **rest: Any) -> Answer:
        return await self.do("POST", path, {"metadata": {"name": name}} | rest)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream and yield its pieces as they come."""
        async with self._session.get(path) as response:
            assert response.status == 200, await response.text()
            yield response.content.iter_any()

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[AsyncIterator[Any]]:
        """Open a watch and yield its events as they come."""
        sign = "&" if "?" in path else "?"
        async with self._session.get(f"{path}{sign}watch=true") as response:
            assert response.status == 200, await response.text()

            async def events() -> AsyncIterator[Any]:
                async for line in response.content:
                    yield json.loads(line)

            yield events()
