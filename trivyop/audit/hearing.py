"""Hearing how a batch ended: who waits is told, and what the next batches need is remembered.

Promises: who waits is told once. How many subjects are remembered as culprits is bounded; who recovers, or is
gone, is forgotten.
Not here: what came out of a batch, and who is to blame (``splitting.py``); what follows for policies
(``keeper.py``).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from trivyop.audit.engine import AuditError, AuditFailure, Crash, Outcome
from trivyop.audit.keeper import PolicyKeeper
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.policies import CustomPolicy, Policies

_REMEMBERED: Final = 1000


class Standings:
    """How subjects stand: those whose last audit failed, and those that spoiled a batch for others."""

    def __init__(self, keeper: PolicyKeeper, metrics: AuditMetrics) -> None:
        self._keeper = keeper
        self._metrics = metrics
        self._culprits: OrderedDict[str, None] = OrderedDict()
        self._failed: dict[str, AuditFailure] = {}

    def is_culprit(self, name: str) -> bool:
        return name in self._culprits

    def note(self, name: str, outcome: Outcome | AuditError, *, spoils: bool) -> None:
        """Remember how an audit ended; ``spoils``: a batch with this subject has to be taken apart."""
        if isinstance(outcome, AuditError):
            self._failed[name] = outcome.reason
        else:
            self._failed.pop(name, None)
        if spoils:
            self._culprits[name] = None
            self._culprits.move_to_end(name)
            while len(self._culprits) > _REMEMBERED:
                self._culprits.popitem(last=False)
        elif self._culprits.pop(name, self) is None:
            self._keeper.recovered(name)

    def forget(self, name: str) -> None:
        """The subject is gone: nothing is to be said of it any more."""
        self._culprits.pop(name, None)
        if self._failed.pop(name, None) is not None:
            self.count()
        self._keeper.recovered(name)

    def count(self) -> None:
        """Have the metrics say how many fail."""
        self._metrics.count_failed(self._failed.values())


class Hearing:
    """Hears the verdicts on one batch."""

    def __init__(
        self,
        standings: Standings,
        keeper: PolicyKeeper,
        policies: Policies,
        answers: Mapping[str, asyncio.Future[Outcome]],
    ) -> None:
        """``policies`` are those that the batch began with; ``answers`` are waited for, by subject."""
        self._standings = standings
        self._keeper = keeper
        self._policies = policies
        self._answers = answers
        self._spoilers: set[str] = set()
        self.outcomes = 0

    def settled(self, name: str, outcome: Outcome | AuditError) -> None:
        """See ``Verdicts``."""
        self._standings.note(name, outcome, spoils=name in self._spoilers or _spoils(outcome))
        answer = self._answers[name]
        if isinstance(outcome, AuditError):
            if not answer.done():
                answer.set_exception(outcome)
        else:
            self.outcomes += 1
            if not answer.done():
                answer.set_result(outcome)

    def crashed(self, name: str, crash: Crash) -> None:
        """See ``Verdicts``."""
        self._spoilers.add(name)
        self._keeper.crashed(name, crash)

    def unusable(self, policy: CustomPolicy, message: str) -> None:
        """See ``Verdicts``."""
        self._keeper.give_up(policy, self._policies, message)


def _spoils(outcome: Outcome | AuditError) -> bool:
    """Whether it is this subject that makes batches fail; what cannot be parsed only makes itself fail."""
    if not isinstance(outcome, AuditError) or outcome.everyone:
        return False
    return outcome.reason is not AuditFailure.UNPARSABLE
