"""Starting: how a real API server answers in the first second or two after each start.

First it has not installed all its paths (503), then it has not loaded roles and bindings, so that everybody
but ``system:masters`` is denied everything (403, in the authorizer's words), and meanwhile some kinds' caches
are not filled (429, "storage is (re)initializing"). Such a cache is filled anew as well when the definition
of a custom resource changes. Seen with Kubernetes 1.36: 403 after 18 of 20 starts, for 0.01 to 0.5 s.

Promises: what is random comes from ``seed``. Without a ``Starting`` a server answers well at once.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trivyop.sandbox.apiserver import status

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.authn import User
    from trivyop.sandbox.apiserver.authz import Access, Authorizer

_RETRY_SECONDS = 1


@dataclass(slots=True)
class Starting:
    """How long each of it lasts after a start, at most, in seconds."""

    unready_seconds: float = 0.3  # 503 for everybody
    denied_seconds: float = 0.7  # after that, 403
    filling_seconds: float = 1.0  # as long, 429 for lists and watches of every second kind
    redefined_seconds: float = 1.0  # 429 for a kind whose definition changed
    users: str = ""  # denied are those whose name contains this; empty: all but ``system:masters``
    seed: int = 0
    answers: dict[int, int] = field(default_factory=dict[int, int])  # how often each code was answered
    _random: random.Random = field(init=False)
    _ready_at: float = field(init=False, default=float("-inf"))
    _allowed_at: float = field(init=False, default=float("-inf"))
    _filled_at: float = field(init=False, default=float("-inf"))
    _filling: dict[str, bool] = field(init=False, default_factory=dict[str, bool])
    _redefined: dict[tuple[str, str], float] = field(init=False, default_factory=dict[tuple[str, str], float])

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # reproducible, not secret

    def begin(self) -> None:
        """The server starts now."""
        now, share = time.monotonic(), self._random.uniform
        self._ready_at = now + self.unready_seconds * share(0.2, 1)
        self._allowed_at = self._ready_at + self.denied_seconds * share(0.2, 1)
        self._filled_at = self._ready_at + self.filling_seconds * share(0.2, 1)
        self._filling.clear()

    @property
    def unready_left(self) -> float:
        """Seconds until it answers anybody."""
        return max(0.0, self._ready_at - time.monotonic())

    def redefine(self, group: str, plural: str) -> None:
        """The definition of that kind changes now."""
        self._redefined[group, plural] = time.monotonic() + self.redefined_seconds * self._random.uniform(
            0.5, 1
        )

    def meet(self, user: User, access: Access, authorizer: Authorizer) -> None:
        """Raise what a request is answered, if it comes too early."""
        now = time.monotonic()
        if now < self._ready_at:
            raise self._counted(status.too_early(_RETRY_SECONDS))
        denied = self.users in user.name if self.users else not authorizer.is_master(user)
        if denied and now < self._allowed_at:
            raise self._counted(authorizer.denial(user, access, loaded=False))
        if access.verb not in ("list", "watch"):
            return
        until = self._redefined.get((access.group, access.resource), 0.0)
        if now < max(self._filled_at, until) and (now < until or self._is_filling(access.resource)):
            raise self._counted(status.initializing(_RETRY_SECONDS))

    def _is_filling(self, resource: str) -> bool:
        if resource not in self._filling:
            self._filling[resource] = self._random.random() < 0.5
        return self._filling[resource]

    def _counted(self, refusal: status.Refused) -> status.Refused:
        self.answers[refusal.code] = self.answers.get(refusal.code, 0) + 1
        return refusal
