"""The sandbox API server over TLS: what one core does in a second of CPU time, the client included.

The client is a raw connection that sends prepared bytes, in the same process, so the figures are a lower
bound of what the server does. Bare echoes over the same stack are measured beside it: the ratio says what
Kubernetes costs on top of HTTP, whatever else the machine does at the moment.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

import orjson
from aiohttp import web

from tests.bench.figures import Figure
from tests.bench.pods import pod
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.apiserver.wire import HttpServer
from trivyop.sandbox.pki import Pki

_CREATES = 1_000
_WATCHERS = 20
_CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
_PODS = "/api/v1/namespaces/team-0/pods"


class Connection:
    """One kept-alive connection; a request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._head = f"Host: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n"

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext, token: str = "") -> Connection:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context, limit=1 << 20)
        return cls(reader, writer, token)

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send one request and read its answer; fails unless that is a success."""
        self._send(method, path, body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert head[9:10] == b"2", head
        return await self._reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))

    async def watch(self, path: str) -> None:
        """Start a stream; ``events`` reads it."""
        self._send("GET", f"{path}?watch=true&resourceVersion=1")
        await self._reader.readuntil(b"\r\n\r\n")

    async def events(self, number: int) -> None:
        """Read until so many events came."""
        while number > 0:
            piece = await self._reader.read(1 << 18)
            assert piece, "the stream ended"
            number -= piece.count(b'{"type":')

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    def _send(self, method: str, path: str, body: bytes = b"") -> None:
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)


async def measure() -> list[Figure]:
    """Measure in turn, all in this process."""
    pki = Pki.create()
    context = pki.client_context()
    echoed = await _echoes(pki, context)
    async with ApiServer(pki=pki) as server:
        connection = await Connection.open(server.port, context, server.admin_token)
        await connection.ask("POST", "/api/v1/namespaces", _named("team-0"))
        configmaps = await _creates(connection, _CONFIGMAPS, _named_by_number)
        pods = await _creates(connection, _PODS, _pod)
        listed = await _lists(connection)
        live, replayed = await _deliveries(server, context, connection)
        await connection.close()
    return [
        Figure("apiserver", "bare HTTP echoes", echoed, "/s"),
        Figure("apiserver", "ConfigMaps created", configmaps, "/s", 1_000),
        Figure("apiserver", "Pods of 8 KB created", pods, "/s"),
        Figure("apiserver", "echoes to creates", echoed / configmaps, "x", 5, at_least=False),
        Figure("apiserver", f"watch events as they happen, {_WATCHERS} watchers", live, "/s"),
        Figure("apiserver", f"watch events replayed, {_WATCHERS} watchers", replayed, "/s", 20_000),
        Figure("apiserver", f"Pods listed, {_CREATES} at once", listed, "/s"),
    ]


async def _echoes(pki: Pki, context: ssl.SSLContext) -> float:
    """How many requests of the size of a ConfigMap the HTTP stack alone answers."""

    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=await request.read())

    runner = web.ServerRunner(HttpServer(echo, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0, ssl_context=pki.server_context("x", ["localhost"])).start()
    connection = await Connection.open(runner.addresses[0][1], context)
    began = time.process_time()
    for n in range(_CREATES):
        await connection.ask("POST", "/", _named_by_number(n))
    spent = time.process_time() - began
    await connection.close()
    await runner.cleanup()
    return _CREATES / spent


async def _creates(connection: Connection, path: str, body: Callable[[int], bytes]) -> float:
    bodies = [body(n) for n in range(_CREATES)]
    began = time.process_time()
    for prepared in bodies:
        await connection.ask("POST", path, prepared)
    return _CREATES / (time.process_time() - began)


async def _lists(connection: Connection) -> float:
    began = time.process_time()
    for _ in range(10):
        await connection.ask("GET", _PODS)
    return 10 * _CREATES / (time.process_time() - began)


async def _deliveries(
    server: ApiServer, context: ssl.SSLContext, connection: Connection
) -> tuple[float, float]:
    """Events a second, live (creating what they tell of is counted) and replayed from history."""
    secrets = "/api/v1/namespaces/default/secrets"
    bodies = [_named_by_number(n) for n in range(_CREATES)]
    began = time.process_time()
    watchers = await _watchers(server, context)
    async with asyncio.TaskGroup() as group:
        for watcher in watchers:
            group.create_task(watcher.events(_CREATES))
        for prepared in bodies:
            await connection.ask("POST", secrets, prepared)
    live = time.process_time() - began

    began = time.process_time()
    late = await _watchers(server, context)
    async with asyncio.TaskGroup() as group:
        for watcher in late:
            group.create_task(watcher.events(_CREATES))
    replayed = time.process_time() - began
    for watcher in (*watchers, *late):
        await watcher.close()
    return _WATCHERS * _CREATES / live, _WATCHERS * _CREATES / replayed


async def _watchers(server: ApiServer, context: ssl.SSLContext) -> list[Connection]:
    watchers = [await Connection.open(server.port, context, server.admin_token) for _ in range(_WATCHERS)]
    for watcher in watchers:
        await watcher.watch("/api/v1/secrets")
    return watchers


def _named(name: str) -> bytes:
    return orjson.dumps({"metadata": {"name": name}})


def _named_by_number(n: int) -> bytes:
    return orjson.dumps(
        {"metadata": {"name": f"object-{n}", "labels": {"app": "bench"}}, "data": {"k": "djE="}}
    )


def _pod(n: int) -> bytes:
    body = pod(n)
    body["metadata"]["namespace"] = "team-0"
    return orjson.dumps(body)
