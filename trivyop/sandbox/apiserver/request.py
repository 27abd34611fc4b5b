"""Request and Reply: what handlers get and give; the HTTP around them is the server's.

Promises: a handler sees an authenticated, authorized request, its body read; a Reply is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.negotiation import JSON, Accepted

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.authn import User
    from trivyop.sandbox.apiserver.routing import RequestInfo


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
    accepted: Accepted

    @property
    def media_type(self) -> str:
        """The type of the body, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def dry_run(self) -> bool:
        """Whether nothing shall be stored; raises the 422 of a value other than All."""
        return self.query.get("dryRun", "") == "All"

    @property
    def manager(self) -> str:
        """The field manager: as given, or what the client calls itself."""
        if manager := self.query.get("fieldManager"):
            return manager
        return self.headers.get("User-Agent", "").partition("/")[0][:128] or "unknown"


def refused(error: status.Refused) -> Reply:
    """Answer with a refusal."""
    headers = error.headers if isinstance(error, status.RefusedWithHeaders) else {}
    return Reply(error.code, orjson.dumps(error.status), headers=headers)
