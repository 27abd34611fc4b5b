"""Transport: sends one message once over HTTP, and classifies the answer.

Failures that may pass are a ``TransientError``: a broken network, 408, 425, 429, 5xx, and redirects, which
come from a proxy or a login page more often than from the receiver. An answer may say when to try again
(``Retry-After``, in seconds or as a date). Any other answer that is not 2xx is a ``RefusedError``.

Promises: an answer begins within the endpoint's timeout, and reading the rest of it takes no more than two
seconds and 64 KiB, compressed or not. A redirect is never followed, so headers and body reach only the
configured host. Messages name the endpoint, and show no secret, not even one that the answer repeats.
Not here: whether and when to try again (``notify.channel``).
"""

from __future__ import annotations

import email.utils
import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from urllib.parse import urlsplit

import aiohttp

from trivyop.control.clock import Clock, deadline
from trivyop.errors import TerminalError, TransientError
from trivyop.notify.formats import Message
from trivyop.notify.signature import signed_headers

_CONNECT_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 30.0  # shorter than the usual limits of receivers and load balancers
_MAX_READ_BYTES = 64 * 1024  # of an answer; a connection with more of it is closed
_MAX_SHOWN = 200
_REST_SECONDS = 2.0  # for the rest of an answer; if it comes, its connection can be used again
_MAX_RETRY_AFTER_SECONDS = 3600.0
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


class RefusedError(TerminalError):
    """The receiver refuses this message for good; ``status`` is its answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What it takes to reach one endpoint, with all secrets read."""

    endpoint: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    signing_keys: tuple[bytes, ...] = field(default=(), repr=False)
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    proxy: str | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what must not be shown
    fingerprint: str = ""  # of the configuration, and of the versions of its secrets


class Transport:
    """Sends to one endpoint over connections of its own; ``close`` it."""

    def __init__(self, access: Access, *, clock: Clock, concurrency: int = 4) -> None:
        self.access = access
        self._clock = clock
        self._users = 0
        self._retired = False
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=access.tls or True, limit=concurrency, keepalive_timeout=_KEEP_ALIVE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "trivyop", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            max_line_size=8190,
            max_field_size=8190,
        )

    async def close(self) -> None:
        await self._session.close()

    @asynccontextmanager
    async def in_use(self) -> AsyncGenerator[None, None]:
        """Keep connections open for the block, even if the transport is retired meanwhile."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            await self._close_if_idle()

    async def retire(self) -> None:
        """Close as soon as nobody uses it."""
        self._retired = True
        await self._close_if_idle()

    async def _close_if_idle(self) -> None:
        if self._retired and not self._users:
            await self.close()

    async def send(self, message: Message) -> None:
        """Send it; returns once the receiver has accepted it."""
        access = self.access
        name = f"endpoint {access.endpoint!r}"
        try:
            async with deadline(self._clock, access.timeout_seconds):
                response = await self._post(message)
        except TimeoutError as error:
            raise TransientError(f"{name}: no answer within {access.timeout_seconds:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            reason = _tls_reason(error.certificate_error)
            raise TransientError(f"{name}: TLS: the certificate of {error.host}: {reason}") from error
        except (aiohttp.ClientConnectorSSLError, ssl.SSLError) as error:
            raise TransientError(f"{name}: TLS: {_tls_reason(error)}") from error
        except aiohttp.ClientResponseError as error:  # its text quotes the answer and the URL
            raise TransientError(f"{name}: what it answers is not HTTP") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said = self._shown(str(error)) or type(error).__name__
            raise TransientError(f"{name}: {said}") from error

        try:
            rest = await self._rest(response)
        finally:
            response.close()  # a connection that was read to its end is back in the pool by now
        self._judge(response, rest, name)

    async def _post(self, message: Message) -> aiohttp.ClientResponse:
        access = self.access
        headers = {**access.headers, **message.headers, "Content-Type": message.content_type}
        if access.signing_keys:
            headers |= signed_headers(access.signing_keys, message.id, message.body, self._clock.now())
        return await self._session.post(
            access.url,
            data=BytesIO(message.body),  # sent in pieces, as bytes are not
            headers=headers,
            allow_redirects=False,
            proxy=access.proxy,
            server_hostname=access.server_name or None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        )

    async def _rest(self, response: aiohttp.ClientResponse) -> bytes:
        """The part of the body that arrives at once; the status has said what matters."""
        pieces: list[bytes] = []
        room = _MAX_READ_BYTES
        try:
            async with deadline(self._clock, _REST_SECONDS):
                while room > 0 and (piece := await response.content.readany()):
                    pieces.append(piece)
                    room -= len(piece)
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass
        return b"".join(pieces)

    def _judge(self, response: aiohttp.ClientResponse, rest: bytes, name: str) -> None:
        """Raise the error that an answer stands for; 2xx is none."""
        status = response.status
        if status < 300:
            return
        if status < 400:
            where = _host_of(response.headers.get("Location", ""))
            other = f" to {self._shown(where)}" if where else ""
            raise TransientError(f"{name} answers {status}, a redirect{other}, which is not followed")
        said = self._shown(rest.decode(errors="replace"))
        answer = f"{name} answers {status}{f': {said}' if said else ''}"
        if status in (408, 425, 429) or status >= 500:
            wish = retry_after_seconds(response.headers.get("Retry-After"), self._clock.now())
            raise TransientError(answer, wish)
        raise RefusedError(answer, status)

    def _shown(self, text: str) -> str:
        """The beginning of a text, as it may be shown."""
        for secret in self.access.secrets:
            if secret:
                text = text.replace(secret, "***")
        return _UNPRINTABLE.sub(" ", text[: 2 * _MAX_SHOWN]).strip()[:_MAX_SHOWN]


def retry_after_seconds(text: str | None, now: datetime) -> float | None:
    """Read a ``Retry-After`` header, in either form; None if there is none, or it cannot be read."""
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER_SECONDS)
    try:
        when = email.utils.parsedate_to_datetime(text)
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):  # the latter for offsets of centuries
        return None
    return min(max(0.0, seconds.total_seconds()), _MAX_RETRY_AFTER_SECONDS)


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _tls_reason(error: BaseException) -> str:
    if isinstance(error.__cause__, ssl.SSLError):
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error) or type(error).__name__
