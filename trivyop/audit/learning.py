"""Learning: finding out, while there is nothing else to do, which checks are for kinds not audited so far.

The first audit of a kind has to be a run without any other kind (`results.Scopes`). If the first objects of
several kinds are made at the same moment, each waits for the runs of those before it; so those runs are made
ahead, with an object that has nothing but a name.

Promises: each kind is tried once with the same policies, at times when nothing was audited for a while. What
comes of it is only known to the engine; a run that fails is no harm, as the first audit of the kind is one.
Not here: whether the machine has a core for that (``auditor.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeAlias

from trivyop.audit.engine import Engine
from trivyop.audit.policies import Policies
from trivyop.audit.samples import bare_sample
from trivyop.control.clock import Clock
from trivyop.trivy.process import Brake

IDLE_SECONDS: Final = 10.0

Kinds: TypeAlias = Callable[[], Iterable[tuple[str, str]]]
"""Version and kind, like ("v1", "Service"), of all that may have to be audited."""


class Learning:
    """What to learn next, and learning it."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._kinds: Kinds = tuple
        self._basis: tuple[Policies, str] | None = None
        self._tried: set[tuple[str, str]] = set()
        self._since = clock.monotonic()  # when something was audited last

    def expect(self, kinds: Kinds) -> None:
        """Learn of these kinds; asked for anew each time."""
        self._kinds = kinds

    def put_off(self) -> None:
        """There was something better to do."""
        self._since = self._clock.monotonic()

    def due(self, policies: Policies, cluster_version: str) -> float | None:
        """Seconds until something is to be learned; None if nothing is."""
        if self._next(policies, cluster_version) is None:
            return None
        return max(0.0, self._since + IDLE_SECONDS - self._clock.monotonic())

    async def learn(self, policies: Policies, cluster_version: str, brake: Brake) -> None:
        """Learn of one kind."""
        family = self._next(policies, cluster_version)
        if family is None:
            return
        self._tried.add(family)
        api_version, kind = family
        with suppress(Exception):
            await self._engine.audit(
                [bare_sample(kind, api_version)],
                policies,
                cluster_version=cluster_version,
                urgent=False,
                brake=brake,
            )

    def _next(self, policies: Policies, cluster_version: str) -> tuple[str, str] | None:
        if self._basis != (policies, cluster_version):
            self._basis = policies, cluster_version
            self._tried.clear()
        for family in self._kinds():
            if family not in self._tried and not self._is_learned(family[1], policies, cluster_version):
                return family
        return None

    def _is_learned(self, kind: str, policies: Policies, cluster_version: str) -> bool:
        return self._engine.is_learned(kind, policies, cluster_version=cluster_version)
