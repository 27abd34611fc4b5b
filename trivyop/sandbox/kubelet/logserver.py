"""Log server: the part of a kubelet's HTTPS interface that the API server needs.

That is what ``kubectl logs`` shows, and how the node is configured.

Promises: only a client with a certificate of the cluster's authority, and of an allowed name, gets an
answer; all others fail in the TLS handshake or get 403.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from aiohttp import web

from trivyop.control.clock import Clock
from trivyop.kube.times import parse_time
from trivyop.sandbox.kubelet.logs import ContainerLog, LogQuery
from trivyop.sandbox.pki import Pki

# Whom the API server is to its kubelets: in the sandbox, in kubeadm's clusters, and in others.
CLIENTS = frozenset({"kube-apiserver", "kube-apiserver-kubelet-client", "system:kube-apiserver"})


# Of a node that kubeadm set up. A kubelet leaves out the same: ``readOnlyPort`` 0, files that are not named.
_CONFIGURATION: Mapping[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True, "cacheTTL": "2m0s"},
        "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "eventRecordQPS": 50,
    "makeIPTablesUtilChains": True,
    "rotateCertificates": True,
    "streamingConnectionIdleTimeout": "4h0m0s",
}


class NoLogError(Exception):
    """There is no such log; the message says what is missing, the status goes to the client."""

    def __init__(self, message: str, status: int = 404) -> None:
        super().__init__(message)
        self.status = status


# (namespace, pod, container, previous) to a log; None for a container that never wrote anything.
FindLog = Callable[[str, str, str, bool], ContainerLog | None]


class LogServer:
    """Serves ``/containerLogs/{namespace}/{pod}/{container}``, ``/configz`` and ``/healthz``."""

    def __init__(
        self,
        pki: Pki,
        node_name: str,
        find: FindLog,
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clients: Collection[str] = CLIENTS,
    ) -> None:
        self.host = host
        self.port = port
        self._find = find
        self._clock = clock
        self._clients = clients
        self._context = pki.server_context(
            f"system:node:{node_name}", (host, node_name, "localhost"), client_certificates=ssl.CERT_REQUIRED
        )
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/configz", self._configz)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, ssl_context=self._context).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(request)
        return web.Response(text="ok")

    async def _configz(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(request)
        return web.json_response({"kubeletconfig": _CONFIGURATION})

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(request)
        place = request.match_info
        try:
            query = parse_query(request.query, self._clock.now())
            log = self._find(
                place["namespace"], place["pod"], place["container"], request.query.get("previous") == "true"
            )
        except NoLogError as error:
            return web.Response(status=error.status, text=str(error))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if log is not None:
            async for piece in log.read(query):
                await response.write(piece)
        await response.write_eof()
        return response

    def _authenticate(self, request: web.Request) -> None:
        certificate: Mapping[str, Any] = (
            request.transport.get_extra_info("peercert") if request.transport else None
        ) or {}
        names = {
            value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"
        }
        if not names & set(self._clients):
            raise web.HTTPForbidden(text="Forbidden")


def parse_query(query: Mapping[str, str], now: datetime) -> LogQuery:
    """Read the query of a log request; raises ``ValueError``."""

    def number(name: str) -> int | None:
        return int(query[name]) if query.get(name) else None

    since: datetime | None = None
    if (seconds := number("sinceSeconds")) is not None:
        since = now - timedelta(seconds=seconds)
    elif query.get("sinceTime"):
        since = parse_time(query["sinceTime"])
    stream = query.get("stream", "").lower()
    return LogQuery(
        follow=query.get("follow") == "true",
        tail_lines=number("tailLines"),
        limit_bytes=number("limitBytes"),
        timestamps=query.get("timestamps") == "true",
        since=since,
        stream=stream if stream in ("stdout", "stderr") else "",
    )
