"""URLs that events may be sent to: http and https, with a host, and without credentials in them.

Promises: a message never shows the URL, since chat services keep their secret in it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from trivyop.notify.problems import EndpointError

_MAX_LENGTH = 2048


def check_url(url: str, *, endpoint: str, key: str) -> None:
    """Raise ``EndpointError`` if nothing can, or should, be sent there."""
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
