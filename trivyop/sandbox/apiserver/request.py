"""Request and Reply: what handlers get and give; the HTTP around them is the server's.

Promises: a handler sees an authenticated, authorized request, its body read; a Reply is complete.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import orjson

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.negotiation import JSON, PROTOBUF, YAML, Accepted, accepted
from trivyop.sandbox.apiserver.objects import decoding

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.authn import User
    from trivyop.sandbox.apiserver.routing import RequestInfo


class Streamed(Protocol):
    """An answer that comes in pieces; ``close`` ends it early."""

    media_type: str

    def pieces(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


_OPTIONS = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer."""

    code: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()

    @classmethod
    def json(cls, value: Any, code: int = 200) -> Reply:
        """Answer with a value."""
        return cls(code, orjson.dumps(value))

    @classmethod
    def text(cls, text: str, code: int = 200) -> Reply:
        """Answer in plain text."""
        return cls(code, text.encode(), "text/plain; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be handled."""

    info: RequestInfo
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    user: User
    media_type: str  # of the body, without parameters

    @property
    def accepted(self) -> Accepted:
        """The form of the answer; raises the 406 if there is none that fits."""
        return accepted(self.headers.get("Accept", ""), self.query)

    @property
    def dry_run(self) -> bool:
        """Whether nothing shall be stored; raises the 422 of a value other than All."""
        if value := self.query.get("dryRun"):
            check_dry_run([value], options_kind(self.info.verb))
        return bool(value)

    def decoded(self) -> dict[str, Any]:
        """Decode a body that is no object of a kind, such as options; raises the 4xx of what can not be."""
        if self.media_type not in ("", "*/*", JSON, YAML):
            raise unsupported_body()
        try:
            decode = decoding.decode_yaml if self.media_type == YAML else decoding.decode_strict
            value = decode(self.body)[0]
        except ValueError as error:
            raise status.bad_request(f"couldn't get version/kind; json parse error: {error}") from None
        if not isinstance(value, dict):
            raise status.bad_request("the body of the request is no object")
        return cast("dict[str, Any]", value)

    @property
    def manager(self) -> str:
        """The field manager: as given, or what the client calls itself."""
        if manager := self.query.get("fieldManager"):
            return manager
        return self.headers.get("User-Agent", "").partition("/")[0][:128] or "unknown"


def options_kind(verb: str) -> str:
    """Return the kind of the options that go with a verb."""
    return _OPTIONS[verb]


def unsupported_body() -> status.Refused:
    """Build the 415 of a body in a format the server does not read."""
    types = f"{JSON}, {YAML}, {PROTOBUF}"
    message = f"the body of the request was in an unknown format - accepted media types include: {types}"
    return status.Refused(415, "UnsupportedMediaType", message)


def check_dry_run(values: object, kind: str) -> None:
    """Raise the 422 of a dryRun that is not All."""
    if values in ((), [], ["All"]):
        return
    message = f'Unsupported value: {orjson.dumps(values).decode()}: supported values: "All"'
    error = status.FieldError("FieldValueNotSupported", "dryRun", message)
    raise status.invalid(kind, "meta.k8s.io", "", [error])


def refused(error: status.Refused) -> Reply:
    """Answer with a refusal."""
    if isinstance(error, status.NoSuchPage):
        return Reply.text(error.message, error.code)
    headers = error.headers if isinstance(error, status.RefusedWithHeaders) else {}
    return Reply(error.code, orjson.dumps(error.status), headers=headers, warnings=error.warnings)
