"""The reconciler of audits: has a resource the reports it should have, made by the checks of now?

A report is due when there is none, or when the resource, the policies or the settings are not those that its
labels and annotations tell of. The resource is then read whole, audited, and let go; what is kept are the
hashes in its reports. A report that somebody deletes comes back; those of a resource that is not audited any
more go, but not those of a kind that a policy may be for: a policy with a mistake changes no report, nor does
a server that does not tell of a kind for a while.

Promises: an audit that fails changes no report, is tried again at a pace that follows from why it failed, and
at once when the resource or the policies change; how it stands is in `failures`. A resource that somebody
waits for does not wait behind a backlog.
Not here: which resources there are (`audited.py`), what reports say (`trivyop.report.audit`), how checks are
evaluated (`trivyop.audit`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from itertools import islice

import structlog

from trivyop.audit.auditor import Auditor
from trivyop.audit.corrections import correct
from trivyop.audit.engine import AuditError, Outcome
from trivyop.audit.lanes import Request
from trivyop.control.clock import Clock
from trivyop.control.queue import WorkQueue
from trivyop.controllers.audits.audited import Audited, AuditedObjects
from trivyop.controllers.audits.failures import REFUSED, AuditFailures, Basis
from trivyop.controllers.audits.kinds import AuditRef
from trivyop.controllers.audits.manifests import Manifest, Reading
from trivyop.controllers.audits.turns import Turns
from trivyop.controllers.informers import BY_OWNER, Informers
from trivyop.controllers.reports import Refusal, Reports
from trivyop.errors import NotFoundError
from trivyop.kube.client import Api
from trivyop.kube.events import EventRecorder, ObjectReference
from trivyop.kube.resources import INFRAASSESSMENTREPORTS, ObjectKey, Resource
from trivyop.report.audit import (
    AuditBasis,
    AuditOptions,
    AuditSubject,
    build_audit_report,
    is_control_plane,
    long_name,
    report_kind,
    report_name,
)
from trivyop.report.kinds import reports_of_audits
from trivyop.report.stored import StoredReport
from trivyop.settings.features import Correction
from trivyop.workload.owners import WorkloadKind
from trivyop.workload.resolve import Reason, Skipped

log = structlog.get_logger(__name__)

BACKLOG = 1000  # audits in hand that nobody waits for: two batches, and what the next ones need
WORKERS = BACKLOG + 200  # twenty of ten kinds at once
_AT_ONCE = 8  # writes of reports that nobody waits for
_TOLD_AGAIN = 100
_DELETED_PATIENCE_SECONDS = 1.0  # time for a resource's own deletion to arrive after that of its report


class Audits:
    """Reconciles resources by `AuditRef`."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        audited: AuditedObjects,
        reports: Reports,
        auditor: Auditor,
        failures: AuditFailures,
        *,
        options: AuditOptions,
        merge_rbac: bool,
        infra: bool,
        queue: WorkQueue[AuditRef],
        events: EventRecorder,
        clock: Clock,
    ) -> None:
        self._api = api
        self._listers = {kind: informers.reports[kind] for kind in reports_of_audits()}
        self._audited = audited
        self._reports = reports
        self._auditor = auditor
        self._failures = failures
        self._options = options
        self._settings_hash = options.settings_hash
        self._corrections = frozenset(map(Correction, options.corrections))
        self._merge_rbac = merge_rbac
        self._infra = infra
        self._events = events
        self._clock = clock
        self._turns = Turns[AuditRef](BACKLOG, queue.add, clock)
        # Of audits that do not have their outcome yet, or wait to write it.
        self._patience: dict[AuditRef, asyncio.Timeout] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)

    # events

    def listen(self) -> None:
        """Begin to look at what changes, and at all there is; call it once all stores are filled."""
        for ref in self.all():
            self._turns.add_later(ref)
        self._audited.listen(self._changed)
        for lister in self._listers.values():
            lister.add_handler(lambda _key, old, new: self._report_changed(old, new))
            lister.add_recovery_handler(lambda: self.look_at(None))
        self._reports.add_permission_handler(lambda: self.look_at(None))
        self._reports.add_lost_handler(lambda _resource, _key, report: self._report_changed(report, None))

    def all(self) -> Iterator[AuditRef]:
        """Everything that might be audited, and everything that has reports of audits."""
        yield from self._audited.all()
        for lister in self._listers.values():
            for report in lister.values():
                ref = _subject_of(report)
                if ref is not None:
                    yield ref

    def look_at(self, kinds: frozenset[str] | None) -> None:
        """Have resources of some kinds looked at, after all else: policies changed; None for all kinds.

        Also those that only have reports: what kept these may be over.
        """
        for ref in self.all():
            if kinds is None or ref.kind.partition(".")[0] in kinds:
                self._turns.add_later(ref)

    def _changed(self, ref: AuditRef, new: bool) -> None:
        self._look_soon(ref, "new" if new else "changed")

    def _look_soon(self, ref: AuditRef, why: str) -> None:
        hurried = self._turns.is_urgent(ref)
        self._turns.add(ref, (ref.kind, why))
        if not hurried and self._turns.is_urgent(ref) and ref in self._patience:
            self._patience.pop(ref).reschedule(0)  # what it waits for in the backlog is not what is wanted

    def _report_changed(self, old: StoredReport | None, new: StoredReport | None) -> None:
        if old is None or new is not None or self._reports.deleted_by_us(old.uid):
            return
        ref = _subject_of(old)
        if ref is not None:
            self._clock.call_later(_DELETED_PATIENCE_SECONDS, lambda: self._look_soon(ref, "report deleted"))

    # reconciling

    async def reconcile(self, ref: AuditRef) -> float | None:
        """Bring the reports of one resource up to date; returns seconds until the next look."""
        self._turns.taken(ref)
        try:
            return await self._bring_up_to_date(ref)
        finally:
            self._turns.served(ref)

    async def _bring_up_to_date(self, ref: AuditRef) -> float | None:
        found = self._audited.get(ref)
        if not isinstance(found, Audited):
            await self._not_audited(ref, found)
            return None
        resource = self._audited.resource(ref)
        wanted = self._wanted(ref, resource)
        await self._delete_superfluous(ref, found, wanted)
        basis = Basis(found.uid, found.state, self._auditor.policies_hash(resource.kind))
        due = [kind for kind in wanted if not self._is_current(kind, ref, resource, basis)]
        if not due:
            self._failures.forget(ref)
            return None
        for kind in due:
            self._reports.check(
                kind, ref.key.namespace
            )  # an audit whose report may not be written is a waste
        wait = self._failures.wait(ref, basis)
        if wait is not None:
            return wait
        if not self._turns.is_urgent(ref) and not self._turns.take(ref):
            return None  # it comes back when others are done
        return await self._audit(ref, resource, due)

    def _wanted(self, ref: AuditRef, resource: Resource) -> list[Resource]:
        """The kinds of report that a resource should have."""
        wanted = [report_kind(resource.kind, namespaced=resource.namespaced, merge_rbac=self._merge_rbac)]
        if self._infra and is_control_plane(resource.kind, ref.key):
            wanted.append(INFRAASSESSMENTREPORTS)
        return [kind for kind in wanted if not self._reports.is_closed(kind, ref.key.namespace)]

    async def _audit(self, ref: AuditRef, resource: Resource, due: Iterable[Resource]) -> float | None:
        policies = self._auditor.policies_hash(resource.kind)
        reading = Reading(self._api, resource, ref)
        request = Request(str(ref), resource.kind, reading.fetch)
        patience = self._patience[ref] = asyncio.timeout(None)
        async with AsyncExitStack() as held:
            try:
                async with patience:
                    checks = await self._auditor.audit(request, urgent=lambda: self._turns.is_urgent(ref))
                    if not self._turns.is_urgent(ref):
                        await held.enter_async_context(self._gate)
            except AuditError as error:
                if reading.manifest is None:
                    raise  # its turn never came: the operator ends
                basis = Basis(reading.manifest.uid, reading.manifest.state, policies)
                return self._failed(ref, resource, basis, error)
            except NotFoundError:
                return None
            except TimeoutError:
                if not patience.expired():
                    raise
                return None  # it changed: the queue has it again, now as urgent
            finally:
                self._patience.pop(ref, None)
            manifest = reading.manifest
            if manifest is None:
                raise AssertionError(f"{ref} was audited unread")
            basis = Basis(manifest.uid, manifest.state, policies)
            return await self._write(ref, resource, due, manifest, basis, checks)

    async def _write(
        self,
        ref: AuditRef,
        resource: Resource,
        due: Iterable[Resource],
        manifest: Manifest,
        basis: Basis,
        checks: Outcome,
    ) -> float | None:
        now = self._audited.get(ref)
        if now is None or isinstance(now, Skipped):
            return None  # gone meanwhile, or to be left out
        subject = AuditSubject(resource.kind, resource.api_version, ref.key, manifest.uid, manifest.labels)
        made_by = AuditBasis(basis.state, basis.policies, self._auditor.version)
        corrected = correct(checks, manifest.document, self._corrections)
        refused: Refusal | None = None
        for kind in due:
            name = self._free_name(kind, ref, resource, manifest.uid)
            report = build_audit_report(
                kind,
                subject,
                corrected.checks,
                made_by,
                self._options,
                now=self._clock.now(),
                name=name,
                corrected=corrected.by,
            )
            refused = await self._reports.write_object(kind, report) or refused
        if refused is None:
            self._failures.succeeded(ref)
            return None
        problem = f"the API server refused {refused.resource.kind} {refused.key}: {refused.error}"
        self._tell(ref, resource, basis, "ReportRefused", f"{REFUSED}: {problem}")
        return self._failures.refused(ref, basis, problem)

    def _failed(self, ref: AuditRef, resource: Resource, basis: Basis, error: AuditError) -> float:
        seconds = self._failures.failed(ref, basis, error)
        if not error.everyone:
            self._tell(ref, resource, basis, "AuditFailed", f"{error.reason.value}: {error.message}")
        return seconds

    def _tell(self, ref: AuditRef, resource: Resource, basis: Basis, reason: str, note: str) -> None:
        about = ObjectReference(resource.api_version, resource.kind, ref.key, basis.uid)
        self._events.event(about, "Warning", reason, note)

    def tell_again(self) -> None:
        """Tell of what still fails: the server lets Events go after an hour."""
        for ref, problem in islice(self._failures.problems().items(), _TOLD_AGAIN):
            if isinstance(self._audited.get(ref), Audited) and not problem.everyone:
                resource = self._audited.resource(ref)
                reason = "ReportRefused" if problem.reason == REFUSED else "AuditFailed"
                self._tell(ref, resource, problem.basis, reason, f"{problem.reason}: {problem.message}")

    # reports

    def _is_current(self, kind: Resource, ref: AuditRef, resource: Resource, basis: Basis) -> bool:
        report = self._find(kind, ref, resource, basis.uid)
        return (
            report is not None
            and report.spec_hash == basis.state
            and (report.policies_hash == basis.policies or self._auditor.undecided(resource.kind))
            and report.settings_hash == self._settings_hash
        )

    def _find(self, kind: Resource, ref: AuditRef, resource: Resource, uid: str) -> StoredReport | None:
        for name in _names(kind, ref, resource):
            report = self._reports.get(kind, ObjectKey(ref.key.namespace, name))
            if report is not None and report.owner_uid == uid:
                return report
        return None

    def _free_name(self, kind: Resource, ref: AuditRef, resource: Resource, uid: str) -> str:
        """The usual name, unless another resource has a report of that name."""
        found = self._find(kind, ref, resource, uid)
        if found is not None:
            return found.key.name
        usual, other = _names(kind, ref, resource)
        holder = self._reports.get(kind, ObjectKey(ref.key.namespace, usual))
        own = holder is None or holder.owner == f"{resource.kind}/{ref.key.namespace}/{ref.key.name}"
        return usual if own else other

    async def _not_audited(self, ref: AuditRef, skipped: Skipped | None) -> None:
        self._failures.forget(ref)
        self._auditor.forget(str(ref))
        if skipped is None or skipped.keeps_reports:
            return  # of an object that is gone, the cluster collects them
        if skipped.reason is Reason.KIND and self._may_be_wanted(ref.kind):
            return
        for kind, report in list(self._reports_of(ref)):
            log.info("report_superfluous", report=str(report.key), why=skipped.reason.value)
            await self._reports.delete(kind, report)

    def _may_be_wanted(self, kind: str) -> bool:
        """Whether a kind that is not audited now may be one that policies are for."""
        plain = kind.partition(".")[0]
        return self._audited.is_named(plain) or (
            plain not in set(WorkloadKind) and self._auditor.undecided(plain)
        )

    async def _delete_superfluous(self, ref: AuditRef, found: Audited, wanted: list[Resource]) -> None:
        """Delete the reports that settings moved to another kind."""
        for kind, report in list(self._reports_of(ref)):
            if report.owner_uid == found.uid and kind not in wanted:
                log.info("report_superfluous", report=str(report.key), why=Reason.KIND.value)
                await self._reports.delete(kind, report)

    def _reports_of(self, ref: AuditRef) -> Iterator[tuple[Resource, StoredReport]]:
        owner = f"{ref.kind.partition('.')[0]}/{ref.key.namespace}/{ref.key.name}"
        for kind, lister in self._listers.items():
            if not self._reports.is_closed(kind, ref.key.namespace):
                for report in lister.by_index(BY_OWNER, owner):
                    yield kind, report


def _names(kind: Resource, ref: AuditRef, resource: Resource) -> tuple[str, str]:
    """The usual name of a report, and the one it has if that is taken."""
    other = long_name(resource.api_version, resource.kind, ref.key.name)
    return (other if "." in ref.kind else report_name(kind, resource.kind, ref.key.name)), other


def _subject_of(report: StoredReport) -> AuditRef | None:
    """What a report is about; None for those on nodes, which are not audited here."""
    ref = AuditRef.parse(report.owner)
    return None if ref is None or ref.kind == "Node" else ref
