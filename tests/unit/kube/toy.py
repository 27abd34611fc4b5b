"""A web server of a few lines, for answers that no real API server gives on request."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.clock import FakeClock
from trivyop.control.clock import Clock
from trivyop.kube.access import Access
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncGenerator[str, None]:
    """Serve all requests with ``handler``; the block gets the server's URL."""
    runner = web.ServerRunner(
        web.Server(handler, access_log=None, handler_cancellation=True), shutdown_timeout=0.5
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        scheme = "https" if context else "http"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def config_of(url: str, *accesses: Access, clock: Clock | None = None) -> ClusterConfig:
    """Access to ``url``, anonymous, or one ``Access`` after the other with each renewal."""
    line = list(accesses) or [Access(url)]

    async def source() -> Access:
        if len(line) > 1:
            line.pop(0)
        return line[0]

    return ClusterConfig(source, line[0], clock)


@asynccontextmanager
async def api_to(handler: Handler, **options: Any) -> AsyncGenerator[Api, None]:
    """An API client on a toy server, with its clock at hand unless it is given one."""
    options.setdefault("clock", FakeClock())
    async with serving(handler) as url, Api(config_of(url), **options) as api:
        yield api


def status(code: int, reason: str = "", message: str = "no", **headers: str) -> web.Response:
    """A refusal in an API server's words."""
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code}
    return web.json_response(body, status=code, headers=headers)


class Script:
    """A server that answers each request with the next line of its part, and keeps silent after the last."""

    def __init__(self, *answers: Handler) -> None:
        self.requests: list[web.BaseRequest] = []
        self.answers = list(answers)
        self._asked = asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self._asked.set()
        return await (self.answers.pop(0) if self.answers else hold())(request)

    async def until_asked(self, times: int) -> None:
        """Wait until the server has had so many requests."""
        while len(self.requests) < times:
            self._asked.clear()
            await self._asked.wait()


def refusal(code: int, reason: str = "", message: str = "no", **headers: str) -> Handler:
    """Say no."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return status(code, reason, message, **headers)

    return handler


def page(*items: Any, version: str = "1", more: str = "") -> Handler:
    """One page of a list."""

    async def handler(request: web.BaseRequest) -> web.Response:
        meta = {"resourceVersion": version} | ({"continue": more} if more else {})
        return web.json_response({"kind": "List", "metadata": meta, "items": list(items)})

    return handler


def hold(*lines: Any, then_end: bool = False) -> Handler:
    """A watch that tells of ``lines``, waits where they are an ``Event``, and then stays open, or ends."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            if isinstance(line, asyncio.Event):
                await line.wait()
            else:
                await response.write(json.dumps(line).encode() + b"\n")
        if not then_end:
            await asyncio.get_running_loop().create_future()
        return response

    return handler


def end(*lines: Any) -> Handler:
    """A watch that tells of ``lines`` and ends."""
    return hold(*lines, then_end=True)


def thing(name: str, version: int = 1, **metadata: Any) -> dict[str, Any]:
    """An object in the namespace shop."""
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": str(version)} | metadata}


def event(kind: str, name: str, version: int, **metadata: Any) -> dict[str, Any]:
    """An event about a ``thing``."""
    return {"type": kind, "object": thing(name, version, **metadata)}


def bookmark(version: int, *, ends_list: bool = False) -> dict[str, Any]:
    """The version moves on; ``ends_list``: and the list that a watch began with is complete."""
    notes = {"annotations": {"k8s.io/initial-events-end": "true"}} if ends_list else {}
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)} | notes}}


def expired(message: str = "too old resource version") -> dict[str, Any]:
    """The event that says: list again."""
    return {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": message}}
