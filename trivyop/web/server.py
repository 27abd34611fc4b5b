"""The HTTP endpoints: `/metrics` on one address, `/healthz` and `/readyz` on another, or all on one.

Promises: a probe is answered as long as the event loop turns; a scrape never fails as a whole because
one collector does (prometheus-client's registry is rendered in one go, so collectors must not raise).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from trivyop.errors import TerminalError
from trivyop.observe.health import Health


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


def build_application(registry: CollectorRegistry | None, health: Health | None) -> web.Application:
    """Build the application with what is given: metrics, probes, or both."""
    application = web.Application()

    async def metrics(request: web.Request) -> web.Response:
        assert registry is not None  # noqa: S101 - routed only when there is one
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        assert health is not None  # noqa: S101 - routed only when there is one
        problems = health.problems()
        lines = [
            f"[-] {name}: {problems[name]}" if name in problems else f"[+] {name}" for name in health.names()
        ]
        lines += [f"[!] {name}: {reason}" for name, reason in health.mentions().items()]
        text = "\n".join([*lines, "not ready" if problems else "ready", ""])
        return web.Response(status=503 if problems else 200, text=text)

    if registry is not None:
        application.router.add_get("/metrics", metrics)
    if health is not None:
        # with and without the slash: both are in use in probes out there
        for path in ("/healthz", "/healthz/"):
            application.router.add_get(path, alive)
        for path in ("/readyz", "/readyz/"):
            application.router.add_get(path, ready)
    return application


@asynccontextmanager
async def serving(
    registry: CollectorRegistry, health: Health, *, metrics_address: str, probe_address: str
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
            url = await stack.enter_async_context(_listening(build_application(registry, health), *metrics))
            urls = {"metrics": url, "probes": url}
        else:
            if metrics is not None:
                application = build_application(registry, None)
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
