"""Write requests: what a client asks for, as far as the object is concerned, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Obj = dict[str, Any]


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
    service_account: bool = True  # admission: whether Pods get a service account and its token


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to a write. ``obj is live`` (identity) when the write changes nothing."""

    obj: Obj
    warnings: tuple[str, ...] = ()  # texts for the header: Warning: 299 - "..."
