"""A web server of a few lines, for answers that no real API server gives on request."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.clock import FakeClock
from trivyop.control.clock import Clock
from trivyop.kube.client import Api
from trivyop.kube.config import Access, ClusterConfig

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
