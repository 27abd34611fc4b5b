"""Wire: the HTTP server under the API, and its answer to methods that HTTP does not know."""

from __future__ import annotations

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod
from aiohttp.web_protocol import RequestHandler

from trivyop.sandbox.apiserver.request import Reply, refused
from trivyop.sandbox.apiserver.status import method_not_allowed


class _Connection(RequestHandler):
    """One connection of a client."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Say 405 where the parser met a method it does not know: to Kubernetes it is one like others."""
        if isinstance(exc, BadHttpMethod):
            response = to_response(refused(method_not_allowed()))
            response.force_close()
            return response
        return super().handle_error(request, status, exc, message)


class HttpServer(web.Server):
    """A server whose connections are ours."""

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


def to_response(reply: Reply) -> web.Response:
    """Turn a reply into what aiohttp sends."""
    headers = {"Content-Type": reply.media_type} if reply.media_type else {}
    response = web.Response(status=reply.code, body=reply.body or None, headers=headers | dict(reply.headers))
    for warning in reply.warnings:
        response.headers.add("Warning", f"299 - {_quoted(warning)}")
    return response


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
