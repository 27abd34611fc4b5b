"""Delivery: one message, sent once, and what became of it.

What may work later is a ``TransientError``: a broken network, 408, 429, 5xx, and redirects, which are a proxy's
or a login page's more often than the receiver's word; 429 and 503 say when (``Retry-After``, in seconds or as
a date). Any other answer that is not 2xx is a ``RefusedError``.

Promises: one request takes no longer than the endpoint's timeout; of an answer no more than a few kilobytes are
read, and its compression is left alone; a redirect is never followed, so headers and body reach nobody but the
configured host; messages name the endpoint, and show no secret, not even one that the answer repeats.
Not here: whether and when to try again (``notify.channel``).
"""

from __future__ import annotations

import email.utils
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp

from trivyop.control.clock import Clock, deadline
from trivyop.errors import TerminalError, TransientError
from trivyop.notify.formats import Message
from trivyop.notify.signature import signed_headers

_CONNECT_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 30.0  # shorter than what receivers and load balancers keep, as a rule
_MAX_READ_BYTES = 64 * 1024  # of an answer; a connection with more to come is closed
_MAX_SHOWN = 200
_DRAIN_SECONDS = 2.0  # for the rest of a good answer, so that its connection can be used again
_MAX_RETRY_AFTER_SECONDS = 3600.0
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


class RefusedError(TerminalError):
    """The receiver does not want this message, and will not want it later; ``status`` is its answer."""

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


class Courier:
    """Sends to one endpoint over connections of its own; ``close`` it."""

    def __init__(self, access: Access, *, clock: Clock, concurrency: int = 4) -> None:
        self.access = access
        self._clock = clock
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

    async def send(self, message: Message) -> None:
        """Send it; returns once the receiver has taken it."""
        access = self.access
        name = f"endpoint {access.endpoint!r}"
        try:
            async with deadline(self._clock, access.timeout_seconds):
                await self._exchange(message, name)
        except TimeoutError as error:
            raise TransientError(f"{name}: no answer within {access.timeout_seconds:g} s") from error
        except ssl.SSLError as error:
            raise TransientError(f"{name}: TLS: {_tls_reason(error)}") from error
        except aiohttp.ClientConnectorCertificateError as error:
            reason = _tls_reason(error.certificate_error)
            raise TransientError(f"{name}: TLS: the certificate of {error.host}: {reason}") from error
        except aiohttp.ClientConnectorSSLError as error:
            raise TransientError(f"{name}: TLS: {_tls_reason(error.os_error)}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # what aiohttp says of a URL or a header may quote it
            raise TransientError(f"{name}: {self._redacted(str(error)) or type(error).__name__}") from error

    async def _exchange(self, message: Message, name: str) -> None:
        access = self.access
        headers = {**access.headers, **message.headers, "Content-Type": message.content_type}
        if access.signing_keys:
            signed = signed_headers(access.signing_keys, message.id, message.body, self._clock.now())
            headers |= signed
        response = await self._session.post(
            access.url,
            data=message.body,
            headers=headers,
            allow_redirects=False,
            proxy=access.proxy,
            server_hostname=access.server_name or None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        )
        try:
            if response.status < 300:
                await self._drain(response)
                return
            said = await self._said(response)
        finally:
            response.close()  # a connection that was read to its end has gone back by now
        answer = f"{name} answers {response.status}{f': {said}' if said else ''}"
        if response.status < 400:
            where = urlsplit(response.headers.get("Location", "")).hostname
            other = f" to {self._redacted(where)}" if where else ""
            raise TransientError(
                f"{name} answers {response.status}, a redirect{other}, which is not followed"
            )
        if response.status in (408, 425, 429) or response.status >= 500:
            wish = retry_after_seconds(response.headers.get("Retry-After"), self._clock.now())
            raise TransientError(answer, wish)
        raise RefusedError(answer, response.status)

    async def _drain(self, response: aiohttp.ClientResponse) -> None:
        """Read the rest of a good answer, if it is small and comes at once; whatever it is, the message is in."""
        try:
            async with deadline(self._clock, min(_DRAIN_SECONDS, self.access.timeout_seconds / 2)):
                await _read(response, _MAX_READ_BYTES)
        except (TimeoutError, aiohttp.ClientError, OSError):
            return

    async def _said(self, response: aiohttp.ClientResponse) -> str:
        """The beginning of an answer, for people."""
        try:
            async with deadline(self._clock, min(_DRAIN_SECONDS, self.access.timeout_seconds / 2)):
                data = await _read(response, _MAX_READ_BYTES)
        except (TimeoutError, aiohttp.ClientError, OSError):
            return ""
        text = self._redacted(data[: 4 * _MAX_SHOWN].decode(errors="replace"))
        return _UNPRINTABLE.sub(" ", text).strip()[:_MAX_SHOWN]

    def _redacted(self, text: str) -> str:
        for secret in self.access.secrets:
            if secret:
                text = text.replace(secret, "***")
        return text


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """What comes, up to about ``limit`` bytes."""
    pieces: list[bytes] = []
    size = 0
    while size < limit and (piece := await response.content.readany()):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def retry_after_seconds(text: str | None, now: datetime) -> float | None:
    """Read a ``Retry-After`` header, either form; None if there is none, or none that can be read."""
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER_SECONDS)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)) - now
    return min(max(0.0, seconds.total_seconds()), _MAX_RETRY_AFTER_SECONDS)


def _tls_reason(error: BaseException | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error) or type(error).__name__
