"""A receiver of webhooks, on a real socket, that fails in every way when told to."""

from __future__ import annotations

import asyncio
import email.utils
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from aiohttp import web

from tests.clock import FakeClock, settle


class Fault(StrEnum):
    """What may go wrong with one request. The first few are answered, or cut, after it was taken in."""

    SLOW_BODY = "slow-body"
    ENDLESS_BODY = "endless-body"
    LOST_ANSWER = "lost-answer"
    RESET = "reset"
    HANG = "hang"
    BUSY = "429"
    BUSY_UNTIL = "429-date"
    ERROR = "500"
    TIMEOUT = "408"
    REDIRECT = "redirect"
    REFUSE = "400"
    UNAUTHORIZED = "401"


TAKEN_IN = frozenset({Fault.SLOW_BODY, Fault.ENDLESS_BODY, Fault.LOST_ANSWER})


@dataclass
class Request:
    """One request that came."""

    headers: Mapping[str, str]
    body: bytes
    fault: Fault | None
    path: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Receiver:
    """Takes requests, and does to each what ``misbehave`` says."""

    clock: FakeClock
    misbehave: Callable[[Request], Fault | None] = lambda _: None
    elsewhere: str = "http://127.0.0.1:1/"
    url: str = ""
    requests: list[Request] = field(default_factory=list[Request])
    activity: int = 0
    peers: set[Any] = field(default_factory=set[Any])
    angry: bool = True  # for ``misbehave``
    reason: Callable[[], str] = lambda: "no, because"

    @property
    def taken(self) -> list[Request]:
        """Those that were taken in, whatever the answer was."""
        return [one for one in self.requests if one.fault is None or one.fault in TAKEN_IN]

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.activity += 1
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        one = Request(dict(request.headers), await request.read(), None, request.path)
        one.fault = self.misbehave(one)
        self.requests.append(one)
        try:
            return await self._answer(request, one.fault)
        finally:
            self.activity += 1

    async def _answer(self, request: web.BaseRequest, fault: Fault | None) -> web.StreamResponse:
        match fault:
            case Fault.HANG:
                self.clock.advance(400)
                await asyncio.Event().wait()
            case Fault.RESET | Fault.LOST_ANSWER:
                assert request.transport is not None
                request.transport.abort()
            case Fault.ERROR | Fault.TIMEOUT | Fault.REFUSE | Fault.UNAUTHORIZED:
                return web.Response(status=int(fault.value), text=self.reason())
            case Fault.BUSY:
                return web.Response(status=429, headers={"Retry-After": "7"})
            case Fault.BUSY_UNTIL:
                when = self.clock.now().timestamp() + 9
                date = email.utils.formatdate(when, usegmt=True)
                return web.Response(status=429, headers={"Retry-After": date})
            case Fault.REDIRECT:
                return web.Response(status=307, headers={"Location": self.elsewhere})
            case Fault.SLOW_BODY:
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b"a")
                while True:  # until the other side has had enough
                    await settle()
                    self.clock.advance(1)
            case Fault.ENDLESS_BODY:
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b"x" * 65536)
            case None:
                pass
        return web.Response(text="thanks")


@asynccontextmanager
async def receiving(
    clock: FakeClock, context: ssl.SSLContext | None = None, **options: Any
) -> AsyncGenerator[Receiver]:
    """A receiver at work."""
    receiver = Receiver(clock, **options)
    server = web.Server(receiver, access_log=None, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        host = "localhost" if context else "127.0.0.1"
        receiver.url = f"http{'s' if context else ''}://{host}:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()
