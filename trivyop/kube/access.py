"""Access: what it takes to speak to one API server, at one moment, and the connections opened with it.

What an open connection has proven stays proven, so when certificates change there is a new pool, and the old
one closes when its last user leaves.

Promises: credentials show in no ``repr``. A connection whose other end is gone is noticed within a minute,
without any traffic of ours.
Not here: how to come by access (``kube.config``, ``kube.kubeconfig``), when to open a new pool
(``kube.transport``).
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from trivyop.errors import TerminalError


class ConfigError(TerminalError):
    """There is no usable way to an API server in what we were given."""


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to speak to one API server, at this moment."""

    server: str  # "https://10.96.0.1:443", perhaps with a path; no slash at the end
    authorization: str | None = field(default=None, repr=False)  # value of the header
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    tls_server_name: str | None = None
    proxy: str | None = field(default=None, repr=False)  # its URL may hold a password
    namespace: str = "default"
    fresh_seconds: float | None = None  # to be read again after; None: when the server refuses it
    tls_identity: str = field(default="", repr=False)  # changes when the content of one of the files does

    @classmethod
    def of(cls, server: str, **rest: Any) -> Self:
        """Build an access and take note of what its files hold now."""
        access = cls(server.rstrip("/"), **rest)
        digest = hashlib.sha256()
        for path in (access.ca_file, access.cert_file, access.key_file):
            digest.update(Path(path).read_bytes() if path else b"-")
            digest.update(b"\0")
        object.__setattr__(access, "tls_identity", digest.hexdigest())
        return access

    def ssl_context(self) -> ssl.SSLContext | None:
        """A new TLS context for this access, None for plain HTTP. Reads the files."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        # Python 3.13 turned this on; CAs that kubeadm and others made lack the key identifiers it asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


Source = Callable[[], Awaitable[Access]]


_KEEP_ALIVE_SECONDS = 60.0  # API servers and load balancers drop idle connections after 90 s or more


class Pool:
    """Connections that were opened with one set of certificates, and who still uses them."""

    def __init__(self, identity: tuple[str, str, bool], access: Access, user_agent: str) -> None:
        self.identity = identity
        self.users = 0
        self._retired = False
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=access.ssl_context() or True,
                limit=0,  # the transport has slots of its own, which streams do not take
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
                socket_factory=_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Near the server, compressing costs both sides more than it saves.
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            read_bufsize=2**18,
            trust_env=False,
        )

    async def leave(self) -> None:
        self.users -= 1
        if self._retired and self.users == 0:
            await self.close()

    async def retire(self) -> None:
        """Close as soon as nobody uses a connection any more."""
        self._retired = True
        if self.users == 0:
            await self.close()

    async def close(self) -> None:
        await self.session.close()


def _socket(address: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """A socket that notices within 60 s that its other end is gone, without any traffic of ours."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # Linux; others keep their defaults
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
