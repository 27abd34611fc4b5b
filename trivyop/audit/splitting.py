"""Settling a batch: everyone gets an outcome, and who spoils it for the others is found and named.

A batch can fail as a whole (Trivy hangs, crashes, runs out of memory), or in part: a check that crashes on
one resource has no result for any. Either way it is halved until the culprit stands alone. Custom policies
are the first suspects when a batch fails as a whole: they are left out, and if that helps, searched likewise.
Not for want of memory: what is too much together may fit in halves, and that is no one's fault.

Promises: the outcome of a subject lacks results only of checks that are named as crashed. No policy is given
up for what happened once, and no subject is blamed for being slow once. The number of runs is bounded: a
check that crashes on ``MAX_CULPRITS`` resources of a batch is given up for the rest of them, and so is the
rest if as many run out of memory by themselves.
Not here: which subjects come together, and what is remembered of culprits (``auditor.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from trivyop.audit.engine import AuditError, AuditFailure, Batch, Crash, Engine, Outcome, Subject
from trivyop.audit.policies import CustomPolicy, Policies
from trivyop.errors import TransientError, renamed_scarcity
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
        urgent: bool,
        brake: Brake,
    ) -> None:
        self._engine = engine
        self._policies = policies
        self._verdicts = verdicts
        self._cluster_version = cluster_version
        self._urgent = urgent
        self._brake = brake
        self._culprits: Counter[str] = Counter()
        self._runs_left = 0
        self._starved = 0  # subjects that ran out of memory by themselves
        self.whole = True  # until the batch had to be taken apart

    async def settle(self, subjects: Sequence[Subject]) -> None:
        """Have all subjects judged."""
        self._runs_left = 8 * math.ceil(math.log2(len(subjects) + 1))
        result = await self._run(subjects)
        if self._fine(result):
            self._accept(subjects, result)
            return
        self.whole = False
        if isinstance(result, AuditError) and not result.everyone and len(subjects) > 1:
            result = await self._without_guilty(subjects, result)
        await self._resolve(subjects, result)

    async def _resolve(
        self, subjects: Sequence[Subject], failed: Batch | AuditError, *, inferred: bool = False
    ) -> None:
        """Take apart what failed; ``inferred``: it was not run by itself, but nothing else is to blame."""
        if self._fine(failed) or self._hopeless(failed):
            self._accept(subjects, failed)
        elif len(subjects) > 1:
            left, right = subjects[: len(subjects) // 2], subjects[len(subjects) // 2 :]
            result = await self._run(left)
            if self._fine(result):
                self._accept(left, result)
                if isinstance(failed, AuditError) and _too_much(subjects, failed):
                    await self._resolve(right, await self._run(right))  # fits likewise, as a rule
                else:
                    await self._resolve(right, failed, inferred=True)
            else:
                await self._resolve(left, result)
                await self._resolve(right, await self._run(right))
        elif inferred:
            await self._resolve(subjects, await self._run(subjects))
        else:
            if isinstance(failed, AuditError):
                failed = await self._without_guilty(subjects, failed)
            if isinstance(failed, AuditError) and failed.reason is AuditFailure.TIMEOUT:
                failed = await self._run(subjects)  # it may have been the machine's fault
            self._blame(subjects[0], failed)
            self._accept(subjects, failed)

    def _hopeless(self, failed: Batch | AuditError) -> bool:
        """Whether smaller batches would not help, or there were too many."""
        if self._runs_left <= 0 or not isinstance(failed, AuditError):
            return self._runs_left <= 0
        return failed.everyone or (failed.reason is AuditFailure.MEMORY and self._starved >= MAX_CULPRITS)

    def _fine(self, result: Batch | AuditError) -> bool:
        """Whether the result is all that can be had: nothing crashed but what was given up."""
        return isinstance(result, Batch) and all(
            self._culprits[crash.check] >= MAX_CULPRITS for crash in result.crashes
        )

    def _accept(self, subjects: Sequence[Subject], result: Batch | AuditError) -> None:
        if isinstance(result, AuditError) and (
            _too_much(subjects, result)
            or (result.reason is AuditFailure.MEMORY and self._starved >= MAX_CULPRITS)
        ):
            result = AuditError(result.reason, result.message, everyone=True)
        for subject in subjects:
            outcome = result if isinstance(result, AuditError) else result.outcomes[subject.name]
            self._verdicts.settled(subject.name, outcome)

    def _blame(self, subject: Subject, result: Batch | AuditError) -> None:
        if isinstance(result, AuditError):
            self._starved += result.reason is AuditFailure.MEMORY
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
        """What comes out without the policies that make it fail, or of another run if none is to blame."""
        custom = self._policies.custom
        if not custom or _too_much(subjects, failed):
            return failed
        plain = await self._run(subjects, ())
        if isinstance(plain, AuditError):
            return plain if plain.everyone else failed
        again = await self._run(subjects)
        if not isinstance(again, AuditError) or again.everyone or _too_much(subjects, again):
            return again
        guilty = custom if len(custom) == 1 else await self._guilty(subjects, custom)
        for policy in guilty:
            self._give_up(policy, again.message)
        result = await self._run(subjects)
        if guilty or len(subjects) > 1 or not isinstance(result, AuditError) or result.everyone:
            return result
        for policy in custom:  # each is well, but together they have failed three times
            self._give_up(policy, result.message)
        return await self._run(subjects)

    async def _guilty(
        self, subjects: Sequence[Subject], suspects: tuple[CustomPolicy, ...]
    ) -> tuple[CustomPolicy, ...]:
        """Those of the suspects, who failed together, that fail alone, twice."""
        if len(suspects) == 1:
            return suspects if await self._fails(subjects, suspects) else ()
        middle = len(suspects) // 2
        guilty: tuple[CustomPolicy, ...] = ()
        for half in (suspects[:middle], suspects[middle:]):
            if await self._fails(subjects, half):
                guilty += await self._guilty(subjects, half)
        return guilty

    async def _fails(self, subjects: Sequence[Subject], custom: tuple[CustomPolicy, ...]) -> bool:
        """Whether the batch fails with these policies only, as far as that can be laid to them."""
        result = await self._run(subjects, custom)
        return isinstance(result, AuditError) and not result.everyone and not _too_much(subjects, result)

    async def _run(
        self, subjects: Sequence[Subject], custom: tuple[CustomPolicy, ...] | None = None
    ) -> Batch | AuditError:
        self._runs_left -= 1
        policies = self._policies
        if custom is not None:
            policies = policies.without({policy.name for policy in policies.custom if policy not in custom})
        try:
            with renamed_scarcity():
                return await self._engine.audit(
                    subjects,
                    policies,
                    cluster_version=self._cluster_version,
                    urgent=self._urgent,
                    brake=self._brake,
                )
        except AuditError as error:
            return error
        except TransientError as error:
            return AuditError(AuditFailure.SCANNER, str(error), everyone=True)
        except Exception as error:  # noqa: BLE001  a bug of ours, which must not keep the others waiting
            return AuditError(AuditFailure.SCANNER, f"auditing crashed: {error!r}")


def _too_much(subjects: Sequence[Subject], error: AuditError) -> bool:
    """Whether fewer subjects may do, and none is to blame."""
    return error.reason is AuditFailure.MEMORY and len(subjects) > 1
