"""Settling a batch: everyone gets an outcome, and who spoils it for the others is found and named.

A batch can fail as a whole (Trivy hangs, crashes, runs out of memory), or in part: a check that crashes on
one resource has no result for any. Either way it is halved until the culprit stands alone. Custom policies
are the first suspects when a batch fails as a whole: they are left out, and if that helps, searched likewise.

Promises: the outcome of a subject lacks results only of checks that are named as crashed. The number of runs
is bounded: a check that crashes on ``MAX_CULPRITS`` resources of a batch is given up for the rest of them.
Not here: which subjects come together, and what is remembered of culprits (``auditor.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from trivyop.audit.engine import AuditError, AuditFailure, Batch, Crash, Engine, Outcome, Subject
from trivyop.audit.policies import CustomPolicy, Policies
from trivyop.trivy.process import Brake

MAX_CULPRITS: Final = 3


class Verdicts(Protocol):
    """Who hears what came out."""

    def settled(self, name: str, outcome: Outcome | AuditError) -> None:
        """The outcome of a subject; told once for each."""
        ...

    def crashed(self, name: str, crash: Crash) -> None:
        """A check crashed on this subject."""
        ...

    def unusable(self, policy: CustomPolicy, message: str) -> None:
        """A custom policy, as it was in this batch, must not be used any more."""
        ...


class Settlement:
    """Settles one batch."""

    def __init__(
        self,
        engine: Engine,
        policies: Policies,
        verdicts: Verdicts,
        *,
        cluster_version: str,
        brake: Brake,
    ) -> None:
        self._engine = engine
        self._policies = policies
        self._verdicts = verdicts
        self._cluster_version = cluster_version
        self._brake = brake
        self._culprits: Counter[str] = Counter()
        self._runs_left = 0
        self.whole = True  # until the batch had to be taken apart

    async def settle(self, subjects: Sequence[Subject]) -> None:
        """Have all subjects judged."""
        self._runs_left = 8 * math.ceil(math.log2(len(subjects) + 1))
        result = await self._run(subjects)
        if self._fine(result):
            self._accept(subjects, result)
            return
        self.whole = False
        if isinstance(result, AuditError) and not result.everyone:
            result = await self._without_guilty(subjects, result)
        await self._resolve(subjects, result)

    async def _resolve(
        self, subjects: Sequence[Subject], failed: Batch | AuditError, *, inferred: bool = False
    ) -> None:
        """Take apart what failed; ``inferred``: it was not run by itself, but nothing else is to blame."""
        if self._fine(failed) or self._runs_left <= 0 or (isinstance(failed, AuditError) and failed.everyone):
            self._accept(subjects, failed)
        elif len(subjects) > 1:
            left, right = subjects[: len(subjects) // 2], subjects[len(subjects) // 2 :]
            result = await self._run(left)
            if self._fine(result):
                self._accept(left, result)
                await self._resolve(right, failed, inferred=True)
            else:
                await self._resolve(left, result)
                await self._resolve(right, await self._run(right))
        elif inferred:
            await self._resolve(subjects, await self._run(subjects))
        else:
            if isinstance(failed, AuditError):
                failed = await self._without_guilty(subjects, failed)
            self._blame(subjects[0], failed)
            self._accept(subjects, failed)

    def _fine(self, result: Batch | AuditError) -> bool:
        """Whether the result is all that can be had: nothing crashed but what was given up."""
        return isinstance(result, Batch) and all(
            self._culprits[crash.check] >= MAX_CULPRITS for crash in result.crashes
        )

    def _accept(self, subjects: Sequence[Subject], result: Batch | AuditError) -> None:
        for subject in subjects:
            outcome = result if isinstance(result, AuditError) else result.outcomes[subject.name]
            self._verdicts.settled(subject.name, outcome)

    def _blame(self, subject: Subject, result: Batch | AuditError) -> None:
        if isinstance(result, AuditError):
            return
        for crash in result.crashes:
            self._verdicts.crashed(subject.name, crash)
            self._culprits[crash.check] += 1
            if self._culprits[crash.check] == MAX_CULPRITS:
                for policy in self._policies.custom:
                    if policy.module.key == crash.check:
                        self._give_up(policy, crash.message)

    def _give_up(self, policy: CustomPolicy, message: str) -> None:
        self._policies = self._policies.without({policy.name})
        self._verdicts.unusable(policy, message)

    async def _without_guilty(self, subjects: Sequence[Subject], failed: AuditError) -> Batch | AuditError:
        """What comes out without the policies that make it fail; ``failed`` if none is to blame."""
        custom = self._policies.custom
        if not custom or isinstance(await self._run(subjects, ()), AuditError):
            return failed
        for policy in await self._guilty(subjects, custom):
            self._give_up(policy, failed.message)
        return await self._run(subjects)

    async def _guilty(
        self, subjects: Sequence[Subject], suspects: tuple[CustomPolicy, ...]
    ) -> tuple[CustomPolicy, ...]:
        """Those of the suspects, who fail together, that fail in smaller company too."""
        if len(suspects) == 1:
            return suspects
        middle = len(suspects) // 2
        guilty: tuple[CustomPolicy, ...] = ()
        for half in (suspects[:middle], suspects[middle:]):
            if isinstance(await self._run(subjects, half), AuditError):
                guilty += await self._guilty(subjects, half)
        return guilty or suspects

    async def _run(
        self, subjects: Sequence[Subject], custom: tuple[CustomPolicy, ...] | None = None
    ) -> Batch | AuditError:
        self._runs_left -= 1
        policies = self._policies
        if custom is not None:
            policies = policies.without({policy.name for policy in policies.custom if policy not in custom})
        try:
            return await self._engine.audit(
                subjects, policies, cluster_version=self._cluster_version, brake=self._brake
            )
        except AuditError as error:
            return error
        except Exception as error:  # noqa: BLE001  a bug of ours, which must not keep the others waiting
            return AuditError(AuditFailure.SCANNER, f"auditing crashed: {error!r}")
