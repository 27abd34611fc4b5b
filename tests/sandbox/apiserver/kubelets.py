"""A kubelet that has logs and the like: it listens where its Node says, and asks for a client certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from tests.sandbox.apiserver.client import Client
from trivyop.sandbox.apiserver.server import ApiServer

PODS = "/api/v1/namespaces/default/pods"


class LogKubelet:
    """Serves what is put into ``logs`` by path; a queue is followed until it yields None."""

    def __init__(self) -> None:
        self.logs: dict[str, bytes | asyncio.Queue[bytes | None]] = {}
        self.asked: list[tuple[str, Mapping[str, str], str]] = []  # path, query, who

    async def handle(self, request: web.Request) -> web.StreamResponse:
        certificate = request.get_extra_info("peercert")
        who = next(v for part in certificate["subject"] for k, v in part if k == "commonName")
        self.asked.append((request.path, dict(request.query), who))
        log = self.logs.get(request.path)
        if log is None:
            return web.Response(status=400, text="container is waiting to start: ContainerCreating")
        if isinstance(log, bytes):
            return web.Response(body=log)
        response = web.StreamResponse()
        await response.prepare(request)
        while (piece := await log.get()) is not None:
            await response.write(piece)
        return response


@asynccontextmanager
async def log_kubelet(server: ApiServer, admin: Client, node: str = "node-a") -> AsyncIterator[LogKubelet]:
    """Run one, with its Node in the cluster."""
    kubelet = LogKubelet()
    app = web.Application()
    app.router.add_get("/{path:.*}", kubelet.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    tls = server.pki.server_context(node, ["127.0.0.1"], client_certificates=ssl.CERT_REQUIRED)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": runner.addresses[0][1]}},
        }
        assert (await admin.create("/api/v1/nodes", node, status=status)).status == 201
        yield kubelet
    finally:
        await runner.cleanup()


async def run_pod(admin: Client, name: str, *containers: str, node: str = "node-a") -> None:
    """Make a Pod that is on a node already."""
    spec = {"nodeName": node, "containers": [{"name": c, "image": "app:1"} for c in containers]}
    assert (await admin.create(PODS, name, spec=spec)).status == 201
