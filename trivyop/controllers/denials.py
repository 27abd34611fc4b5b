"""Denials: kinds of reports that may not be written, as far as writes have shown.

Permissions are given for kinds, not for single reports: after one refusal, trying all the others would be a
request for each, and a scan for what then seems to be missing. So the first refusal holds back all writes of
its kind, and the server is asked, once for each kind, whether we may (a SelfSubjectAccessReview): after a
second, then ever more rarely, down to each half minute. When we may, handlers are called, and what was held
back is written.

A kind that is denied is not closed before the refusal has lasted for minutes (``kube.permissions``): who
wants to write gets a ``DeniedError`` until then, and tries again.

Promises: a kind that is closed is logged, on both edges; refusals for other reasons (quota, admission, a
namespace that goes) are not taken for denials.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from trivyop.control.backoff import exponential
from trivyop.control.clock import Clock, deadline
from trivyop.errors import DeniedError, ForbiddenError, TerminalError, TransientError, outlasts_a_start
from trivyop.kube.client import Api
from trivyop.kube.permissions import BELIEVED_SECONDS
from trivyop.kube.resources import SELFSUBJECTACCESSREVIEWS, Resource

log = structlog.get_logger(__name__)

_ASK_SECONDS = (1.0, 30.0)  # after the first refusal, and at most
_UNCERTAIN_SECONDS = 300.0  # where we may not even ask, so that only a write can show it

# What the server says of RBAC, and of nothing else.
_BY_PERMISSIONS = re.compile(
    r'\bcannot (?P<verb>\w+) resource "[^"]*"(.* in the namespace "(?P<where>[^"]*)")?'
)


@dataclass(slots=True)
class _Denial:
    """A kind that may not be written, in a namespace or, "", anywhere."""

    verb: str
    namespace: str  # of the write that was refused
    message: str
    since: float
    ask_at: float
    asked: int = 0
    logged: bool = False


class Denials:
    """What was denied, by kind and scope: a namespace, or "" for all of them."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._denials: dict[tuple[Resource, str], _Denial] = {}
        self._handlers: list[Callable[[], None]] = []
        self._changed = asyncio.Event()

    def add_handler(self, handler: Callable[[], None]) -> None:
        """Call ``handler`` when a kind may be written that was denied."""
        self._handlers.append(handler)

    def note(self, resource: Resource, scope: str, error: TransientError | TerminalError) -> bool:
        """Remember a refusal if it is a denial; says whether it is."""
        found = _BY_PERMISSIONS.search(str(error))
        if found is None or not isinstance(error, (DeniedError, ForbiddenError)):
            return False
        if (resource, scope) not in self._denials:
            now = self._clock.monotonic()
            since = now - (error.seconds if isinstance(error, DeniedError) else BELIEVED_SECONDS)
            self._denials[resource, scope] = _Denial(
                found["verb"], found["where"] or "", str(error), since, now + _ASK_SECONDS[0]
            )
            self._changed.set()
        return True

    def check(self, resource: Resource, scope: str) -> None:
        """Raise the ``DeniedError`` of a kind that is held back, and not closed."""
        denial = self._denials.get((resource, scope))
        if denial is not None and not self._is_closed(resource, denial):
            raise DeniedError(denial.message, self._clock.monotonic() - denial.since)

    def closed(self, resource: Resource, scope: str) -> ForbiddenError | None:
        """Why writes of that kind are pointless there; None if they are not."""
        denial = self._denials.get((resource, scope))
        if denial is None or not self._is_closed(resource, denial):
            return None
        return ForbiddenError(denial.message)

    def _is_closed(self, resource: Resource, denial: _Denial) -> bool:
        closed = self._clock.monotonic() - denial.since >= BELIEVED_SECONDS
        if closed and not denial.logged:
            denial.logged = True
            means = "off until the permission is given"
            log.warning("kind_not_writable", kind=resource.name, error=denial.message, means=means)
        return closed

    def text(self) -> str | None:
        """What is denied, for people; None if nothing is, or not for long enough to be worth a word."""
        now = self._clock.monotonic()
        held = [
            resource.name + (f" in {scope}" if scope else "")
            for (resource, scope), denial in self._denials.items()
            if outlasts_a_start(DeniedError("", now - denial.since))
        ]
        return f"no permission to write {', '.join(held)}" if held else None

    async def run(self) -> None:
        """Find out when we may, until cancelled."""
        while True:
            self._changed.clear()
            due = min((denial.ask_at for denial in self._denials.values()), default=None)
            if due is None:
                await self._changed.wait()
                continue
            with suppress(TimeoutError):
                async with deadline(self._clock, max(0.0, due - self._clock.monotonic())):
                    await self._changed.wait()
            await self.ask()

    async def ask(self) -> None:
        """Ask for all kinds that it is time to ask for."""
        given = False
        for (resource, scope), denial in list(self._denials.items()):
            if denial.ask_at > self._clock.monotonic():
                continue
            if await self._may(resource, denial):
                del self._denials[resource, scope]
                self._api.permissions.forget(resource.name)
                if denial.logged:
                    log.info("kind_writable", kind=resource.name)
                given = True
            else:
                self._is_closed(resource, denial)
        if given:
            for handler in self._handlers:
                handler()

    async def _may(self, resource: Resource, denial: _Denial) -> bool:
        """Ask, and note when to ask again."""
        first, most = _ASK_SECONDS
        denial.asked += 1
        pause = exponential(denial.asked, base_seconds=first, max_seconds=most)
        denial.ask_at = self._clock.monotonic() + pause
        place = {
            "verb": denial.verb,
            "group": resource.group,
            "resource": resource.plural,
            "namespace": denial.namespace,
        }
        kind = SELFSUBJECTACCESSREVIEWS
        review = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": ""},
            "spec": {"resourceAttributes": place},
        }
        try:
            answer = await self._api.create(kind, review)
        except TransientError:
            return False
        except (
            TerminalError
        ):  # everybody may ask, unless somebody took care of that: then a write has to show
            denial.ask_at = self._clock.monotonic() + _UNCERTAIN_SECONDS
            return denial.asked > 1
        status: dict[str, Any] = answer.get("status") or {}
        return status.get("allowed") is True
