"""The HTTP endpoints: `/metrics` on one address, `/healthz` and `/readyz` on another, or all on one.

Promises: a probe is answered as long as the event loop turns, also during a scrape: what a ``SeriesSource``
has is sent piece by piece, as it is rendered, so that its size costs neither time at a stretch nor memory.
Not here: what readiness means (``observe.health``).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from trivyop.errors import TerminalError
from trivyop.observe.exposition import OPEN_METRICS_END
from trivyop.observe.health import Health
from trivyop.web.negotiation import choose_format, takes_gzip

_GZIP_LEVEL = 1  # a tenth of the size for a few milliseconds per megabyte; more effort gains little
_SCRAPE_SECONDS = 60.0  # whoever reads more slowly keeps us from letting go of what it reads
_GZIP_FORMAT = zlib.MAX_WBITS | 16


class SeriesSource(Protocol):
    """Gauges that are many, as lines of text; each piece takes a few milliseconds to render."""

    def chunks(self) -> Iterator[bytes]: ...


class AddressError(TerminalError):
    """A bind address that is malformed or in use."""


def parse_address(setting: str, text: str) -> tuple[str | None, int] | None:
    """Read ``HOST:PORT`` or ``:PORT``; ``None`` for ``0``, which switches the endpoint off.

    Raises ``AddressError`` naming `setting`. A host of ``None`` means all addresses.
    """
    if text in ("0", ""):
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise AddressError(f"{setting}={text!r}: write HOST:PORT, :PORT, or 0 to switch it off")
    return host.strip("[]") or None, int(port)


def build_application(
    registry: CollectorRegistry | None, health: Health | None, series: SeriesSource | None = None
) -> web.Application:
    """Build the application with what is given: metrics, probes, or both."""
    application = web.Application()

    async def metrics(request: web.Request) -> web.StreamResponse:
        assert registry is not None  # noqa: S101 - routed only when there is one
        encode, content_type = choose_format(_header(request, "Accept"))
        text = encode(registry)
        end = OPEN_METRICS_END if text.endswith(OPEN_METRICS_END) else b""
        pieces = chain((text.removesuffix(end),), series.chunks() if series is not None else (), (end,))
        async with asyncio.timeout(_SCRAPE_SECONDS):
            return await _stream(request, pieces, content_type)

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        assert health is not None  # noqa: S101 - routed only when there is one
        problems = health.problems()
        lines = [
            f"[-] {name}: {problems[name]}" if name in problems else f"[+] {name}" for name in health.names()
        ]
        lines += [f"[i] {name}: {note}" for name, note in health.notes().items()]
        lines += [f"[!] {name}: {reason}" for name, reason in health.mentions().items()]
        text = "\n".join([*lines, "not ready" if problems else "ready", ""])
        return web.Response(status=503 if problems else 200, text=text)

    if registry is not None:
        application.router.add_get("/metrics", metrics)
    if health is not None:
        # with and without the slash: both are in use in probes out there
        for path in ("/healthz", "/healthz/", "/healthz/ping", "/readyz/ping"):
            application.router.add_get(path, alive)
        for path in ("/readyz", "/readyz/"):
            application.router.add_get(path, ready)
    return application


def _header(request: web.Request, name: str) -> str:
    """All that a client lists under a name; it may do so in several headers."""
    return ",".join(request.headers.getall(name, ()))


async def _stream(request: web.Request, pieces: Iterable[bytes], content_type: str) -> web.StreamResponse:
    """Send the pieces, compressed if the client takes that; others get their turn after each."""
    response = web.StreamResponse(headers={"Content-Type": content_type})
    compress = None
    if takes_gzip(_header(request, "Accept-Encoding")):
        response.headers["Content-Encoding"] = "gzip"
        compress = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    await response.prepare(request)
    for piece in pieces:
        data = compress.compress(piece) if compress else piece
        if data:
            await response.write(data)
        await asyncio.sleep(0)
    if compress:
        await response.write(compress.flush())
    await response.write_eof()
    return response


@asynccontextmanager
async def serving(
    registry: CollectorRegistry,
    health: Health,
    series: SeriesSource | None = None,
    *,
    metrics_address: str,
    probe_address: str,
) -> AsyncGenerator[dict[str, str]]:
    """Serve for the block; yields the URLs in use, by ``metrics`` and ``probes``.

    Addresses as in ``parse_address``; the same address twice means one listener. Raises ``AddressError``
    when one cannot be bound.
    """
    metrics = parse_address("OPERATOR_METRICS_BIND_ADDRESS", metrics_address)
    probes = parse_address("OPERATOR_HEALTH_PROBE_BIND_ADDRESS", probe_address)
    urls: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        if metrics is not None and metrics == probes and metrics[1] != 0:
            url = await stack.enter_async_context(
                _listening(build_application(registry, health, series), *metrics)
            )
            urls = {"metrics": url, "probes": url}
        else:
            if metrics is not None:
                application = build_application(registry, None, series)
                urls["metrics"] = await stack.enter_async_context(_listening(application, *metrics))
            if probes is not None:
                application = build_application(None, health)
                urls["probes"] = await stack.enter_async_context(_listening(application, *probes))
        yield urls


@asynccontextmanager
async def _listening(application: web.Application, host: str | None, port: int) -> AsyncGenerator[str]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise AddressError(f"cannot listen on {host or '*'}:{port}: {error.strerror or error}") from error
        bound = runner.addresses[0]
        yield f"http://{host or '127.0.0.1'}:{bound[1]}"
    finally:
        await runner.cleanup()
