"""Answers of the registry protocol that do not depend on what is stored: errors, Accept, ranges.

A handler raises ``Refusal``; the middleware here turns it into the specification's error document, so that
handlers read from top to bottom and cannot forget a header.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from aiohttp import web

from trivyop.sandbox.registry.oci import to_json

API_VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Refusal(Exception):  # noqa: N818 - an answer, which never leaves the server as an error
    """A request is answered with this status and error code (the specification lists the codes)."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        detail: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {**API_VERSION, **(headers or {})}
        self.body = to_json({"errors": [{"code": code, "message": message, "detail": detail}]})


@web.middleware
async def refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return web.Response(
            status=refusal.status,
            body=refusal.body,
            headers=refusal.headers,
            content_type="application/json",
        )


def accepts(headers: Iterable[str], media_type: str) -> bool:
    """Whether Accept headers leave room for ``media_type``; none at all leaves room for everything."""
    wanted = [item.partition(";")[0].strip() for header in headers for item in header.split(",")]
    return not wanted or not {media_type, "*/*", "application/*"}.isdisjoint(wanted)


def partial(data: bytes, asked: str | None) -> tuple[int, bytes, dict[str, str]]:
    """Status, bytes and headers for a Range header; other forms than ``bytes=a-b`` and ``a-`` are ignored."""
    match = _RANGE.fullmatch(asked or "")
    if match is None:
        return 200, data, {}
    start, end = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
    if start > end:
        content_range = {"Content-Range": f"bytes */{len(data)}"}
        raise Refusal(416, "SIZE_INVALID", "range not satisfiable", content_range)
    return 206, data[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(data)}"}


async def send_half(request: web.Request, data: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
    """Promise all of ``data``, send half of it, and hang up."""
    response = web.StreamResponse(headers=headers)
    response.content_length = len(data)
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
