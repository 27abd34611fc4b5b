"""Faults: how a registry misbehaves, per repository, when a test tells it to.

Promises: a fault hits the manifests and blobs of its repositories and nothing else; one with ``times`` is
over after that many requests, which is how a test shows that a retry succeeds.
Not here: refused logins (`auth.py`), and names that do not exist (those need no fault).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What goes wrong with a request."""

    HANG = "hang"  # the request is read and never answered
    HANG_BLOB = "hang-blob"  # manifests are fine, blobs never come
    DENIED = "denied"  # 403 DENIED, as some registries answer for what one may not see
    TOO_MANY_REQUESTS = "too-many-requests"  # 429 TOOMANYREQUESTS, as public registries limit pulls
    SERVER_ERROR = "server-error"  # 500 with a JSON error
    BAD_GATEWAY = "bad-gateway"  # 502 with a web page, as a proxy answers for a registry that is down
    RUBBISH = "rubbish"  # 200 with bytes that are no manifest, and blobs that miss their digest
    TRUNCATED_BLOB = "truncated-blob"  # blobs end half way; manifests are fine


_OF_BLOBS = frozenset({Fault.HANG_BLOB, Fault.TRUNCATED_BLOB})


@dataclass(slots=True)
class _Active:
    fault: Fault
    times: int | None
    retry_after: int | None


@dataclass(slots=True)
class Faults:
    """The faults now in force; keys are repository prefixes (``shop/`` or ``shop/web``, ``""`` for all)."""

    _active: dict[str, _Active] = field(default_factory=dict[str, _Active])

    def set(
        self, prefix: str, fault: Fault, *, times: int | None = None, retry_after: int | None = None
    ) -> None:
        """Let requests below ``prefix`` fail, all of them or the next ``times``."""
        self._active[prefix] = _Active(fault, times, retry_after)

    def clear(self, prefix: str) -> None:
        self._active.pop(prefix, None)

    def take(self, repository: str, *, blob: bool) -> tuple[Fault, int | None] | None:
        """The fault for this request, with its Retry-After in seconds; uses up one of its times."""
        for prefix in sorted(self._active, key=len, reverse=True):
            active = self._active[prefix]
            if not repository.startswith(prefix) or (active.fault in _OF_BLOBS and not blob):
                continue
            if active.times is not None:
                active.times -= 1
                if active.times <= 0:
                    del self._active[prefix]
            return active.fault, active.retry_after
        return None
