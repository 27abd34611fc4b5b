"""Writing: from what a client sent and what is stored to what shall be stored; the order of the real server.

For a create that is: field managers, admission, metadata, the kind's own preparation, validation. For an
update: field managers, preparation, validation, and the object as it was if nothing differs.

Promises: arguments are never changed; what comes back shares nothing with the arguments that anyone
changes later. Chance and time come in with ``Write``.
Not here: reading bytes (``decoding``), resource versions, storage, deletion, checks against other objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj


class Validation(StrEnum):
    """The query parameter ``fieldValidation``."""

    IGNORE = "Ignore"
    WARN = "Warn"
    STRICT = "Strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write request, as far as the object is concerned."""

    manager: str  # ?fieldManager=, else what precedes the slash in User-Agent; max. 128 bytes
    now: str  # "2006-01-02T15:04:05Z"
    uid: str  # for a new object
    token: Callable[[], str]  # five fresh characters [a-z0-9] at each call (generateName)
    namespace: str = ""  # of the path; "" for a cluster-wide kind
    name: str = ""  # of the path; "" for POST
    subresource: str = ""
    validation: Validation = Validation.WARN
    force: bool = False  # of server-side apply
    service_account: bool = True  # admission: whether the ServiceAccount plug-in is on


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to a write. ``obj is live`` (identity) when the write changes nothing."""

    obj: Obj
    warnings: tuple[str, ...] = ()  # texts for the header: Warning: 299 - "..."


def create(kind: Kind, body: bytes, media_type: str, write: Write) -> Written:
    """POST. Decode, default, check path against body, field managers, admission, prepare, validate."""
    raise NotImplementedError


def replace(kind: Kind, live: Obj, body: bytes, media_type: str, write: Write) -> Written:
    """PUT, also of a subresource. Raises the 409 if the body's resourceVersion (or uid) is not the live one."""
    raise NotImplementedError


def patch(kind: Kind, live: Obj | None, body: bytes, media_type: str, write: Write) -> Written:
    """PATCH of all four media types, also of a subresource.

    ``live`` may be None only for server-side apply, which then creates (``write.uid`` becomes its uid).
    """
    raise NotImplementedError
