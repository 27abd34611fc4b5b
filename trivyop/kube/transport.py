"""Transport: HTTP to one API server; bytes out, bytes in, and errors in our terms.

It adds credentials to each request, and when the server does not know us (401) or shows an unknown
certificate, comes by them anew and tries once more. Requests share a bounded number of slots; streams, which
are few and last, do not count among them.

A server that says we may not do something is believed when ``kube.permissions`` says so; a client in a hurry
asks again here until then.

Promises: every wait has a timeout; what the network, TLS or HTTP did wrong is a ``TransientError``, a refusal
is what ``error_for`` makes of it. Nothing else is retried here.
Not here: paths and bodies (``kube.client``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Protocol, Self

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from trivyop.control.clock import Clock, deadline
from trivyop.errors import DeniedError, ForbiddenError, TransientError
from trivyop.kube.access import Access, Pool
from trivyop.kube.config import ClusterConfig
from trivyop.kube.permissions import Permissions
from trivyop.kube.refusals import error_for

log = structlog.get_logger(__name__)

_CONNECT_SECONDS = 10.0
_HURRIED_SECONDS = 0.2  # between two tries of a client that cannot wait
_HEADER_SECONDS = 60.0  # a server that fills its cache for a streamed list keeps us waiting before it answers


class SilentError(TransientError):
    """A stream is open, and nothing comes."""


class RequestObserver(Protocol):
    """Who wants to know of each request; for streams, of the time until they began."""

    def requested(self, verb: str, resource: str, code: str, seconds: float) -> None: ...


class ApiMetrics:
    """Metrics of the API client; label values come from code, never from objects."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "trivyop_api_requests_total",
            "Requests to the Kubernetes API; code is the HTTP status, or how the connection failed.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self.duration = Histogram(
            "trivyop_api_request_duration_seconds",
            "Time until the answer was read; for watches and logs, until it began.",
            ["verb", "resource"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=registry,
        )

    def requested(self, verb: str, resource: str, code: str, seconds: float) -> None:
        self.requests.labels(verb, resource, code).inc()
        self.duration.labels(verb, resource).observe(seconds)


@dataclass(frozen=True, slots=True)
class Call:
    """One request; ``verb`` and ``resource`` say in the API's words what it is, for errors and metrics."""

    verb: str
    resource: str
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json"
    accept: str = "application/json"
    seconds: float = 30.0  # until the answer is read; a stream's answer only has to begin

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Transport:
    """HTTP to the API server of ``config``; an async context manager."""

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user_agent: str,
        clock: Clock,
        metrics: RequestObserver | None = None,
        max_requests: int = 64,
        permissions: Permissions | None = None,
    ) -> None:
        self._config = config
        self._permissions = permissions or Permissions(clock)
        self._user_agent = user_agent
        self._clock = clock
        self._metrics = metrics
        self._slots = asyncio.Semaphore(max_requests)
        self._pool: Pool | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        if self._pool is not None:
            await self._pool.close()

    async def request(self, call: Call) -> bytes:
        """Send ``call``, return the body of its answer."""
        patience = aiohttp.ClientTimeout(call.seconds)
        while True:
            try:
                async with self._slots:
                    response, pool, body = await self._exchange(call, patience, read=True)
            except DeniedError:
                if not self._permissions.hurried:
                    raise
                await self._clock.sleep(_HURRIED_SECONDS)
            else:
                response.release()
                await pool.leave()
                return body

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[Stream, None]:
        """Send ``call``, hand out its answer while it comes in."""
        # No total: the reader of the stream knows how long a silence it takes.
        patience = aiohttp.ClientTimeout(None, sock_connect=_CONNECT_SECONDS)
        response, pool, _ = await self._exchange(call, patience, read=False)
        try:
            yield Stream(response, self._clock, str(call))
        finally:
            response.close()
            await pool.leave()

    async def _exchange(
        self, call: Call, patience: aiohttp.ClientTimeout, *, read: bool
    ) -> tuple[aiohttp.ClientResponse, Pool, bytes]:
        """The answer to ``call``, and its body if ``read``; raises what refusals and failures mean."""
        self._permissions.check(call.verb, call.resource, call.path)
        began = self._clock.monotonic()
        code = "canceled"
        try:
            with renamed_failures(str(call)):
                response, pool = await self._send_known(call, patience)
                try:
                    body = await response.read() if read or response.status >= 400 else b""
                    code = str(response.status)
                    self._check_answer(call, response, body)
                except BaseException:
                    response.close()
                    await pool.leave()
                    raise
                return response, pool, body
        except TransientError:
            if code == "canceled":
                code = "failed"
            raise
        finally:
            if self._metrics is not None:
                self._metrics.requested(call.verb, call.resource, code, self._clock.monotonic() - began)

    def _check_answer(self, call: Call, response: aiohttp.ClientResponse, body: bytes) -> None:
        """Raise what a refusal means, and remember what we may do and what we may not."""
        what = (call.verb, call.resource, call.path)
        if response.status < 400:
            self._permissions.allowed(*what)
            return
        wish = _seconds(response.headers.get("Retry-After"))
        error = error_for(response.status, body, request=str(call), retry_after=wish)
        if isinstance(error, ForbiddenError):
            raise self._permissions.denied(*what, error) from error
        raise error

    async def _send_known(
        self, call: Call, patience: aiohttp.ClientTimeout
    ) -> tuple[aiohttp.ClientResponse, Pool]:
        """Send ``call``, a second time if the first finds our credentials or our trust out of date."""
        access = await self._config.access()
        try:
            response, pool = await self._send(call, access, patience)
        except aiohttp.ClientConnectorCertificateError:
            if not await self._config.renew(access):
                raise
        else:
            if response.status != 401:
                return response, pool
            try:
                renewed = await self._config.renew(access)
            except TransientError:
                renewed = False  # then the refusal is the better news
            if not renewed:
                return response, pool
            response.close()
            await pool.leave()
        return await self._send(call, await self._config.access(), patience)

    async def _send(
        self, call: Call, access: Access, patience: aiohttp.ClientTimeout
    ) -> tuple[aiohttp.ClientResponse, Pool]:
        headers = {"Accept": call.accept}
        if access.authorization:
            headers["Authorization"] = access.authorization
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        pool = await self._enter_pool(access)
        try:
            async with deadline(self._clock, min(call.seconds, _HEADER_SECONDS)):
                response = await pool.session.request(
                    call.method,
                    access.server + call.path,
                    params=call.params,
                    data=None
                    if call.body is None
                    else BytesIO(call.body),  # sent in pieces, as bytes are not
                    headers=headers,
                    proxy=access.proxy,
                    server_hostname=access.tls_server_name,
                    timeout=patience,
                    allow_redirects=False,  # an API server never sends us elsewhere, and the token stays here
                )
        except BaseException:
            await pool.leave()
            raise
        return response, pool

    async def _enter_pool(self, access: Access) -> Pool:
        identity = (access.server, access.tls_identity, access.verify)
        old = self._pool
        if self._closed:
            raise RuntimeError("the API client is closed")
        if old is not None and old.identity == identity:
            old.users += 1
            return old
        # What an open connection has proven stays proven; new certificates need new connections.
        self._pool = new = Pool(identity, access, self._user_agent)
        new.users += 1
        if old is not None:
            await old.retire()
        return new


@contextmanager
def renamed_failures(name: str) -> Generator[None, None, None]:
    """What the network, TLS or HTTP do wrong in the block is a ``TransientError`` of the request ``name``."""
    try:
        yield
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise _failure(name, error) from error


def _failure(name: str, error: Exception) -> TransientError:
    if isinstance(error, TimeoutError):
        return TransientError(f"{name}: no answer in time")
    return TransientError(f"{name}: {error or type(error).__name__}")


class Stream:
    """The body of an answer, while it comes in."""

    def __init__(self, response: aiohttp.ClientResponse, clock: Clock, name: str) -> None:
        self._response = response
        self._clock = clock
        self._name = name

    async def read(self, silence_seconds: float) -> bytes:
        """What has come, waiting for it if need be; nothing at the end. Silence is a ``SilentError``."""
        content = self._response.content

        def give_up() -> (
            None
        ):  # what a timeout's scope would do, at a third of its price: each change waits here
            content.set_exception(SilentError(f"{self._name}: silent for {silence_seconds:.0f} s"))

        timer = self._clock.call_later(silence_seconds, give_up)
        try:
            return await content.readany()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _failure(self._name, error) from error
        finally:
            timer.cancel()

    async def chunks(self, silence_seconds: Callable[[], float]) -> AsyncIterator[bytes]:
        """Everything until the end; how long a silence to take is asked before each wait."""
        while chunk := await self.read(silence_seconds()):
            yield chunk


def _seconds(retry_after: str | None) -> float | None:
    """Read a Retry-After header; the form with a date is not used by API servers."""
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
