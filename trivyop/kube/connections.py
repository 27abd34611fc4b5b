"""Connections: the sockets to one API server that were opened with one set of certificates.

What an open connection has proven stays proven, so when certificates change there is a new pool, and the old
one closes when its last user leaves.

Promises: a connection whose other end is gone is noticed within a minute, without any traffic of ours.
Not here: when to open a new pool (``kube.transport``).
"""

from __future__ import annotations

import socket

import aiohttp

from trivyop.kube.access import Access

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
