"""Validation: errors in the configuration of an endpoint, and the check of its URL.

Promises: a message names the endpoint and the key, and never shows a value that may be secret; URLs count as
secret, since chat services keep their secret in them.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from trivyop.errors import TerminalError

_MAX_LENGTH = 2048


class EndpointError(TerminalError):
    """One endpoint cannot be used as configured; ``key`` is where the error is: "filter.severity"."""

    def __init__(self, endpoint: str, key: str, reason: str) -> None:
        super().__init__(
            f"endpoint {endpoint!r}: {key}: {reason}" if key else f"endpoint {endpoint!r}: {reason}"
        )
        self.endpoint = endpoint
        self.key = key
        self.reason = reason


def check_url(url: str, *, endpoint: str, key: str) -> None:
    """Raise ``EndpointError`` unless it is http or https, with a host, and without credentials."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise EndpointError(endpoint, key, "is not a URL such as https://host[:port]/path") from None
    if parts.scheme not in ("http", "https"):
        said = f"{parts.scheme}:// " if parts.scheme.isalnum() and "://" in url else ""
        raise EndpointError(endpoint, key, f"{said}is not allowed, only http:// and https:// are".lstrip())
    if not parts.hostname or port == 0:
        raise EndpointError(endpoint, key, "names no host")
    if parts.username is not None or parts.password is not None:
        raise EndpointError(endpoint, key, "has credentials in it; use headers or bearerToken for them")
    if len(url) > _MAX_LENGTH or not url.isprintable() or " " in url or not url.isascii():
        raise EndpointError(endpoint, key, "is too long, or has characters that a URL cannot have")
    if parts.fragment:
        raise EndpointError(endpoint, key, "has a fragment (#...), which is never sent")
