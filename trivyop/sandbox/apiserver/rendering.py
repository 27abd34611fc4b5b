"""Rendering: between JSON, which all handlers speak, and the formats that clients send and ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import yaml

from trivyop.sandbox.apiserver import protobuf
from trivyop.sandbox.apiserver.negotiation import JSON, PROTOBUF, YAML
from trivyop.sandbox.apiserver.request import Reply, Request, unsupported_body


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
