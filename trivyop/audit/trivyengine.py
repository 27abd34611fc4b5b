"""The engine that is Trivy: ``trivy config`` over a directory with one file per resource.

Which checks Trivy evaluates depends on what is among the resources, so the first time that a family comes up
(an API version and kind), those of it are audited by themselves, and remembered which checks are for it.

Promises: nothing is left on disk or running, also when cancelled. At the deadline Trivy is killed.
Not here: how many run at once (``auditor.py``), splitting of batches that fail (``splitting.py``).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from trivyop.audit import command
from trivyop.audit.documents import Family, family_of, write_document
from trivyop.audit.engine import AuditError, AuditFailure, Batch, Crash, Outcome, Subject
from trivyop.audit.examination import examine, samples_for
from trivyop.audit.policies import Policies, PolicyProblem
from trivyop.audit.results import Place, ResultReader, Scopes
from trivyop.audit.samples import SAMPLES
from trivyop.audit.standby import Standby, Waiting, Wish
from trivyop.control.clock import Clock
from trivyop.errors import is_scarcity
from trivyop.report.checkids import canonical
from trivyop.report.findings import Severity
from trivyop.settings import Settings
from trivyop.trivy.directories import private_directory
from trivyop.trivy.failures import Failure, FailureClass, ScanError, classify
from trivyop.trivy.process import Brake, Completed, run_program

_KEPT_SCOPES: Final = 8  # while policies are searched for the guilty one, there are some at a time
_ERRORS_BYTES: Final = 512 * 1024
_VERSION_SECONDS: Final = 30.0
_SECONDS_PER_SUBJECT: Final = 0.25  # five times what one takes; the deadline for a single one is the setting
_NOBODYS_FAULT = (FailureClass.SCANNER_IMAGE, FailureClass.DISK, FailureClass.INTERRUPTED)
_REASONS = {
    FailureClass.TIMEOUT: AuditFailure.TIMEOUT,
    FailureClass.OUT_OF_MEMORY: AuditFailure.MEMORY,
}
_VERSION = re.compile(rb"^Version:\s*v?(\S+)", re.MULTILINE)


class TrivyEngine:
    """Runs Trivy. Its methods may be called at the same time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._program = settings.database.trivy_program
        self._reader = ResultReader()
        self._scopes: dict[tuple[Policies, str], Scopes] = {}
        self._standby = Standby(
            self._program, self._start, lay_out=_lay_out, keep_seconds=settings.audit.standby_seconds
        )

    @property
    def preparing(self) -> bool:
        """Whether a Trivy is loading its checks; see ``Engine``."""
        return self._standby.loading

    def prepare(self, policies: Policies, *, cluster_version: str) -> None:
        """Have one do so; see ``Engine``."""
        self._standby.wish(Wish(policies, cluster_version))

    async def keep_ready(self, clock: Clock, changed: Callable[[], None]) -> None:
        """Keep one ready; see ``Engine``."""
        await self._standby.run(clock, changed)

    async def audit(
        self,
        subjects: Sequence[Subject],
        policies: Policies,
        *,
        cluster_version: str,
        urgent: bool,
        brake: Brake,
    ) -> Batch:
        """Audit subjects together; see ``Engine``."""
        scopes = self._scopes_of(policies, cluster_version)
        outcomes: dict[str, Outcome | AuditError] = {}
        crashes: tuple[Crash, ...] = ()

        async def run(some: Sequence[Subject]) -> None:
            nonlocal crashes
            batch, _ = await self.run(
                some, policies, cluster_version=cluster_version, urgent=urgent, brake=brake, scopes=scopes
            )
            outcomes.update(batch.outcomes)
            crashes += batch.crashes

        groups = await asyncio.to_thread(_by_family, subjects)
        for family in sorted(groups.keys() - scopes.known.keys(), key=str):
            if family in scopes.known or family in scopes.asked:
                continue  # another batch found out, or is about to
            scopes.asked.add(family)
            try:
                await run(groups.pop(family))
            finally:
                scopes.asked.discard(family)
        together: list[Subject] = []
        for family, some in groups.items():
            if family in scopes.known:
                together += some
            else:
                await run(some)  # never wait for another batch: it may be standing still for this one
        if together:
            await run(together)
        return Batch(outcomes, crashes)

    def is_learned(self, kind: str, policies: Policies, *, cluster_version: str) -> bool:
        """Whether a kind has shared a batch, or had one; see ``Engine``."""
        scopes = self._scopes.get((policies, cluster_version))
        return scopes is not None and scopes.has(kind)

    async def audit_samples(self, policies: Policies) -> Batch:
        """Audit something of each family in one run; see ``Engine``."""
        batch, _ = await self.run(SAMPLES, policies)
        return batch

    async def checks(self, policies: Policies) -> Mapping[str, Severity]:
        """All checks that there are; see ``Engine``."""
        batch, _ = await self.run(samples_for(policies), policies)
        return {
            canonical(check.id): check.severity
            for outcome in batch.outcomes.values()
            if not isinstance(outcome, AuditError)
            for check in outcome
        }

    async def examine(self, policies: Policies) -> tuple[Policies, tuple[PolicyProblem, ...]]:
        """Try policies; see ``Engine``."""
        return await examine(self, policies)

    async def version(self) -> str:
        """Version of Trivy; ``AuditError`` if it does not say."""
        async with _private_directory() as directory:
            try:
                done = await run_program(
                    [self._program, "--version"],
                    environment=self._environment(directory),
                    directory=str(directory),
                    timeout_seconds=_VERSION_SECONDS,
                )
            except ScanError as error:
                raise _audit_error(error.failure) from error
        found = _VERSION.search(done.output)
        if done.exit_code != 0 or found is None:
            raise AuditError(AuditFailure.SCANNER, f"{self._program} --version did not tell its version")
        return found[1].decode("ascii", "replace")

    async def run(
        self,
        subjects: Sequence[Subject],
        policies: Policies,
        *,
        cluster_version: str = "",
        urgent: bool = False,
        brake: Brake | None = None,
        debug: bool = False,
        scopes: Scopes | None = None,
    ) -> tuple[Batch, str]:
        """Audit subjects together; the answer has Trivy's log as well, all of it for ``debug``."""
        wish = Wish(policies, cluster_version)
        async with self._ready(wish, urgent=urgent) as ready, _private_directory(ready) as directory:
            inputs = ready.inputs if ready else await asyncio.to_thread(_lay_out, wish, directory)
            files, unreadable = await asyncio.to_thread(_write, inputs, subjects)
            deadline = self._deadline(len(subjects))
            try:
                done = await ready.finish(deadline) if ready else None
                if done is None:
                    done = await self._start(
                        wish, directory, urgent=urgent, brake=brake, debug=debug, timeout_seconds=deadline
                    )
            except ScanError as error:
                raise _audit_error(error.failure) from error
            if done.exit_code != 0:
                raise _audit_error(classify(exit_code=done.exit_code, stderr=done.errors))
            batch = await asyncio.to_thread(
                self._read, directory / command.RESULT, done.errors, files, policies, scopes
            )
            return msgspec.structs.replace(batch, outcomes={**batch.outcomes, **unreadable}), done.errors

    @asynccontextmanager
    async def _ready(self, wish: Wish, *, urgent: bool) -> AsyncGenerator[Waiting | None]:
        if urgent:
            async with self._standby.taken(wish) as waiting:
                yield waiting
        else:
            yield None

    async def _start(
        self,
        wish: Wish,
        directory: Path,
        *,
        urgent: bool = True,
        brake: Brake | None = None,
        debug: bool = False,
        timeout_seconds: float | None = None,
    ) -> Completed:
        """Run Trivy in a directory that is laid out; ``ScanError`` like ``run_program``."""
        argv = command.build_audit_command(
            self._program,
            wish.policies,
            cache_dir=wish.policies.bundle or str(directory / "cache"),
            cluster_version=wish.cluster_version,
            debug=debug,
        )
        return await run_program(
            argv if urgent else command.build_background_command(argv),
            environment=self._environment(directory),
            directory=str(directory),
            timeout_seconds=timeout_seconds,
            errors_limit_bytes=_ERRORS_BYTES,
            brake=brake,
        )

    def _read(
        self,
        result: Path,
        errors: str,
        files: Mapping[str, Place],
        policies: Policies,
        scopes: Scopes | None,
    ) -> Batch:
        try:
            return self._reader.read(result, errors, files, policies, scopes or Scopes())
        except (OSError, msgspec.MsgspecError, IndexError) as error:
            if is_scarcity(error):
                raise  # it may well have printed results
            words = f"Trivy printed something else than results: {error}"
            raise AuditError(AuditFailure.SCANNER, words) from error

    def _scopes_of(self, policies: Policies, cluster_version: str) -> Scopes:
        """What is known of these policies; the former ones are forgotten."""
        key = (policies, cluster_version)
        scopes = self._scopes.get(key)
        if scopes is None:
            while len(self._scopes) >= _KEPT_SCOPES:
                del self._scopes[next(iter(self._scopes))]
            scopes = self._scopes[key] = Scopes()
        return scopes

    def _environment(self, directory: Path) -> dict[str, str]:
        return command.audit_environment(self._settings, home=str(directory), inherited=os.environ)

    def _deadline(self, count: int) -> float:
        return self._settings.audit.timeout_seconds + _SECONDS_PER_SUBJECT * (count - 1)


@asynccontextmanager
async def _private_directory(ready: Waiting | None = None) -> AsyncGenerator[Path]:
    """Where a run is: with the Trivy that it has, or in a directory of its own."""
    try:
        if ready is not None:
            yield ready.directory
        else:
            with private_directory("audit") as directory:  # in one step: a cancellation leaves no half
                yield directory
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> AuditError:
    return AuditError(
        AuditFailure.SCANNER, f"the operator has no room to audit in: {error.strerror}", everyone=True
    )


def _audit_error(failure: Failure) -> AuditError:
    return AuditError(
        _REASONS.get(failure.failure_class, AuditFailure.SCANNER),
        failure.message,
        everyone=failure.failure_class in _NOBODYS_FAULT,
    )


def _by_family(subjects: Sequence[Subject]) -> dict[Family, list[Subject]]:
    groups: dict[Family, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(family_of(subject.document), []).append(subject)
    return groups


def _lay_out(wish: Wish, directory: Path) -> Path:
    """Write what Trivy needs, other than the resources; where these go."""
    (directory / command.TEMPLATE_FILE).write_text(command.TEMPLATE)
    inputs, checks = directory / command.INPUTS, directory / command.CHECKS
    inputs.mkdir()
    checks.mkdir()
    for module in wish.policies.modules:
        (checks / module.key).write_text(module.text)
    return inputs


def _write(inputs: Path, subjects: Sequence[Subject]) -> tuple[dict[str, Place], dict[str, AuditError]]:
    """Write all files; which subject is in which, and those that are in none."""
    files: dict[str, Place] = {}
    unreadable: dict[str, AuditError] = {}
    for number, subject in enumerate(subjects):
        try:
            written = write_document(subject.document)
        except ValueError as error:
            unreadable[subject.name] = AuditError(
                AuditFailure.UNPARSABLE, f"not a JSON document: {error}", subject.name
            )
            continue
        name = f"{number}{written.suffix}"
        (inputs / name).write_bytes(written.data)
        files[name] = Place(subject, written.family)
    return files, unreadable
