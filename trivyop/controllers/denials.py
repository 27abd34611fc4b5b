"""Denials: kinds of reports that may not be written, as far as writes have shown.

Permissions are given for kinds, not for single reports: after one refusal, trying all the others would be a
request and a line of the log for each, and a scan for what then seems to be missing.

Promises: a kind counts as denied for a day, told of once; refusals for other reasons (quota, admission, a
namespace that goes) are not taken for denials.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import structlog

from trivyop.control.clock import Clock
from trivyop.errors import ForbiddenError, TerminalError
from trivyop.kube.resources import Resource

log = structlog.get_logger(__name__)

_FOR = timedelta(days=1)  # nothing tells when a permission is given; a restart makes it count at once
_BY_PERMISSIONS = re.compile(r"\bcannot \w+ resource\b")  # what the server says of RBAC, and of nothing else


class Denials:
    """What was denied, by kind and scope: a namespace, or "" for all of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[tuple[Resource, str], datetime] = {}

    def note(self, resource: Resource, scope: str, error: TerminalError) -> bool:
        """Remember a refusal if it is a denial; says whether it is."""
        if not (isinstance(error, ForbiddenError) and _BY_PERMISSIONS.search(str(error))):
            return False
        if not self.holds(resource, scope):
            log.warning(
                "kind_not_writable", kind=resource.name, error=str(error), means="off for a day or a restart"
            )
        self._until[resource, scope] = self._clock.now() + _FOR
        return True

    def holds(self, resource: Resource, scope: str) -> bool:
        """Whether writes of that kind are denied there."""
        until = self._until.get((resource, scope))
        return until is not None and until > self._clock.now()

    def text(self) -> str | None:
        """What is denied, for people; None if nothing is."""
        names = [resource.name + (f" in {scope}" if scope else "") for resource, scope in self._until]
        held = [name for name, key in zip(names, self._until, strict=True) if self.holds(*key)]
        return f"no permission to write {', '.join(held)}" if held else None
