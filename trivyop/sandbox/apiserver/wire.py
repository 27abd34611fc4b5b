"""Wire: the HTTP server under the API, and the formats that clients send and ask for.

All handlers speak JSON; a body in protobuf is read into it, and an answer in YAML or protobuf made of it,
here.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import yaml
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod
from aiohttp.web_protocol import RequestHandler

from trivyop.sandbox.apiserver import protobuf
from trivyop.sandbox.apiserver.negotiation import JSON, PROTOBUF, YAML
from trivyop.sandbox.apiserver.request import Reply, Request, refused, unsupported_body
from trivyop.sandbox.apiserver.status import method_not_allowed


class _Connection(RequestHandler):
    """One connection of a client; one whose handshake ended after the server's end is hung up at once."""

    def __init__(self, server: HttpServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._server.ended and isinstance(transport, asyncio.Transport):
            transport.abort()

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

    ended = False

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - aiohttp's name
        self.ended = True
        await super().shutdown(timeout)


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


def as_json(request: Request) -> Request:
    """Return a request whose body was protobuf with the JSON it stands for; raises the 415 of the unknown."""
    if request.media_type != PROTOBUF or not request.body:
        return request
    try:
        body = protobuf.to_json(request.body)
    except ValueError:
        raise unsupported_body() from None
    return replace(request, body=body, media_type=JSON)


_STR = "tag:yaml.org,2002:str"


class _Dumper(yaml.SafeDumper):
    """YAML as the real server writes it: what looks like another type is in double quotes."""


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    scalar: Any = dumper  # its methods have no types
    plain = scalar.resolve(yaml.ScalarNode, text, (True, False)) == _STR
    return scalar.represent_scalar(_STR, text, style=None if plain else '"')


_Dumper.add_representer(str, _string)


def rendered(reply: Reply, media_type: str) -> Reply:
    """Return the reply in the accepted format; only JSON is ever changed."""
    if reply.media_type != JSON or media_type == JSON:
        return reply
    if media_type == PROTOBUF:
        return replace(reply, body=protobuf.wrap_json(reply.body), media_type=PROTOBUF)
    text = yaml.dump(orjson.loads(reply.body), Dumper=_Dumper, allow_unicode=True)
    return replace(reply, body=text.encode(), media_type=YAML)
