"""ApiServer: a Kubernetes API server in memory, over TLS.

It answers as Kubernetes 1.36 does to what operators, their tests and kubectl ask for; recorded transcripts
of the real one are replayed against it. It is a means for tests and the demo: no persistence, no scale-out.

Promises: ``async with`` yields a server that accepts connections; leaving ends every request and watch.
Not here: controllers and the kubelet, which are clients of it as in a real cluster.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

import structlog
from aiohttp import ClientConnectionError, web

from trivyop.sandbox.apiserver import routing, status
from trivyop.sandbox.apiserver.authn import User
from trivyop.sandbox.apiserver.dispatch import Dispatch
from trivyop.sandbox.apiserver.faults import FAULTS_PATH, Faults
from trivyop.sandbox.apiserver.negotiation import JSON
from trivyop.sandbox.apiserver.request import Reply, Request, Streamed, refused
from trivyop.sandbox.apiserver.starting import Starting
from trivyop.sandbox.apiserver.storage import Snapshot
from trivyop.sandbox.apiserver.wire import HttpServer, as_json, rendered, to_response
from trivyop.sandbox.pki import Pki

log = structlog.get_logger(__name__)

_BODY_BYTES = 3 << 20
_LOG_LENGTH = 10_000
_HOSTS = ("127.0.0.1", "localhost", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


class LoggedRequest(NamedTuple):
    """One line of the request log."""

    method: str
    path: str
    query: str
    user: str
    status: int
    agent: str = ""


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits for requests."""

    left: int
    which: Callable[[LoggedRequest], bool]
    done: asyncio.Future[None]

    def see(self, request: LoggedRequest) -> None:
        self.left -= self.which(request)
        if self.left <= 0 and not self.done.done():
            self.done.set_result(None)


class ApiServer:
    """The server; ``url``, ``pki`` and ``kubeconfig`` are what a client needs."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        pki: Pki | None = None,
        faults: Faults | None = None,
        starting: Starting | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.pki = pki or Pki.create()
        self.faults = faults or Faults()
        self.requests: deque[LoggedRequest] = deque(maxlen=_LOG_LENGTH)
        self._waiters: list[_Waiter] = []
        self.starting = starting
        self.dispatch = Dispatch(self.pki, self.faults, starting)
        self.admin_token = self.dispatch.authenticator.admin_token
        self._open: dict[Streamed, str] = {}  # with the user agent that reads it
        self._runner: web.ServerRunner | None = None
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        self.dispatch.start()
        self.faults.drop_watches = self.drop_watches
        self.faults.forget_history = self.dispatch.storage.compact
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()
        await self.dispatch.close()

    async def until_answered(
        self, count: int, which: Callable[[LoggedRequest], bool] = lambda _: True
    ) -> None:
        """Wait until that many more requests were answered; of watches their beginning counts."""
        waiter = _Waiter(count, which, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await waiter.done
        finally:
            self._waiters.remove(waiter)

    def snapshot(self) -> Snapshot:
        """Return all objects as they are, to go back to."""
        return self.dispatch.storage.snapshot()

    def restore(self, snapshot: Snapshot, *, rewind: bool = False) -> None:
        """Go back to an earlier state, as a cluster restored from a backup; all watches end.

        With ``rewind`` resource versions go back as well, so clients meet ones that they have seen.
        """
        self.dispatch.restore(snapshot, rewind=rewind)

    async def restart(self) -> None:
        """Drop every connection and listen again, at the same port with the same data."""
        await self._hang_up()
        await self._listen()

    async def _listen(self) -> None:
        if self.starting is not None:
            self.starting.begin()
        server = HttpServer(self._serve, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        context = self.pki.server_context("kube-apiserver", (*_HOSTS, self.host))
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = socket.create_server((self.host, self.port), family=family, backlog=512)
        await web.SockSite(self._runner, self._socket, ssl_context=context, backlog=512).start()
        self.port = self._socket.getsockname()[1]

    async def _hang_up(self) -> None:
        self.drop_watches()
        self.faults.break_silence()
        if self._runner is not None and self._socket is not None:
            # A server that is closed between accepting a connection and giving it a transport leaks it
            # (CPython 3.11, an assertion in ``Server._attach``).
            asyncio.get_running_loop().remove_reader(self._socket)
            await asyncio.sleep(0)
            await self._runner.cleanup()
            self._runner = self._socket = None

    def drop_watches(self, user_agent: str = "") -> None:
        """End every watch (and log) that is open to a client whose user agent contains that."""
        for stream, reader in tuple(self._open.items()):
            if user_agent in reader:
                stream.close()

    def kubeconfig(self, user: str = "admin", groups: tuple[str, ...] = ()) -> dict[str, Any]:
        """Build a kubeconfig.

        ``admin`` may do everything; ``system:serviceaccount:<namespace>:<name>`` gets a token of that service
        account, which must be there; anybody else a client certificate.
        """
        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.pki.ca_pem).decode(),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": user, "user": self._credentials(user, groups)}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
            "current-context": "sandbox",
        }

    def _credentials(self, user: str, groups: tuple[str, ...]) -> dict[str, str]:
        if user == "admin" and not groups:
            return {"token": self.admin_token}
        match user.split(":"):
            case ["system", "serviceaccount", namespace, name]:
                return {"token": self.service_account_token(namespace, name)}
            case _:
                certificate, key = self.pki.issue(user, groups)
                return {
                    "client-certificate-data": base64.b64encode(certificate).decode(),
                    "client-key-data": base64.b64encode(key).decode(),
                }

    def service_account_token(self, namespace: str, name: str, *, seconds: int = 3600) -> str:
        """Sign a token; raises the 404 if there is no such service account."""
        stored = self.dispatch.kinds.get("", "v1", "serviceaccounts").bucket.get(namespace, name)
        if stored is None:
            raise status.not_found("", "serviceaccounts", name)
        return self.dispatch.authenticator.issue(namespace, name, stored.uid, seconds=seconds)[0]

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        user = User("")
        try:
            query = dict(http.rel_url.query)
            info = routing.parse(http.method, unquote(http.rel_url.raw_path), query)
            user = self.dispatch.who(http.headers, _peer_certificate(http))
            if http.path != FAULTS_PATH:
                agent = http.headers.get("User-Agent", "")
                await self.faults.meet(user.name, agent, info.verb, info.resource)
            user = self.dispatch.authorize(user, http.headers, info)
            body = await _read(http)
            media_type = http.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            request = as_json(Request(info, query, http.headers, body, user, media_type))
            answer = await self.dispatch.handle(request)
            if not isinstance(answer, Reply):
                self._log(http, user, 200)
                return await self._stream(http, answer)
            # only JSON has other forms, so what is none need not be accepted as one
            reply = rendered(answer, request.accepted.media_type) if answer.media_type == JSON else answer
        except status.Refused as error:
            reply = refused(error)
        except Exception as error:  # noqa: BLE001  # a bug of ours: the client shall know, and others go on
            crash = traceback.format_exc()  # without the values of variables: tokens are among them
            log.error("request_crashed", method=http.method, path=http.path, traceback=crash)  # noqa: TRY400
            reply = refused(status.internal(repr(error)))
        self._log(http, user, reply.code)
        return to_response(reply)

    def _log(self, http: web.BaseRequest, user: User, code: int) -> None:
        agent = http.headers.get("User-Agent", "")
        request = LoggedRequest(http.method, http.path, http.query_string, user.name, code, agent)
        self.requests.append(request)
        for waiter in self._waiters:
            waiter.see(request)

    async def _stream(self, http: web.BaseRequest, answer: Streamed) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": answer.media_type})
        response.enable_chunked_encoding()
        self._open[answer] = http.headers.get("User-Agent", "")
        try:
            await response.prepare(http)
            async for piece in answer.pieces():
                if not self.faults.mute_watches:
                    await response.write(piece)
            await response.write_eof()
        except (ConnectionError, ClientConnectionError):
            pass  # the client went away
        finally:
            answer.close()
            self._open.pop(answer, None)
        return response


async def _read(http: web.BaseRequest) -> bytes:
    if not http.body_exists:
        return b""
    body = bytearray()
    async for chunk in http.content.iter_any():
        body += chunk
        if len(body) > _BODY_BYTES:
            raise status.too_large(f"limit is {_BODY_BYTES}")
    return bytes(body)


def _peer_certificate(http: web.BaseRequest) -> Mapping[str, Any] | None:
    return http.transport.get_extra_info("peercert") if http.transport else None
