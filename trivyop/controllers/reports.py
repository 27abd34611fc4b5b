"""Reports in the cluster: which one a container has, whether it is current, and how one is written.

Writes are server-side applies under our field manager; a report that says nothing new is not written, one
that is too large for the server is reduced further, one of the Go operator is taken over as a whole. What was
written counts from the moment it was, before the informer observes it.

Promises: the report of one container is never written over that of another; what the server refuses for good
is not sent again for an hour, and `refusals` says why.
Not here: what reports say (`trivyop.report`), and when they are due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from itertools import chain
from typing import Any

import msgspec
import structlog

from trivyop.control.clock import Clock
from trivyop.controllers.denials import Denials
from trivyop.controllers.informers import BY_DIGEST, BY_OWNER, Informers
from trivyop.controllers.lister import Lister
from trivyop.controllers.metrics import ReportMetrics
from trivyop.controllers.overlay import Overlay
from trivyop.controllers.writing import write_report
from trivyop.errors import DeniedError, ForbiddenError, NotFoundError, TerminalError, TooLargeError
from trivyop.kube.client import Api
from trivyop.kube.objects import Object, ObjectMeta
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.report import keys
from trivyop.report.budget import size_of
from trivyop.report.content import seal
from trivyop.report.names import long_report_name, report_names
from trivyop.report.stored import StoredReport
from trivyop.workload.images import ImageKey
from trivyop.workload.owners import WorkloadKind, WorkloadRef
from trivyop.workload.resolve import Workload

log = structlog.get_logger(__name__)

_REFUSED_FOR = timedelta(hours=1)
_MANY_REFUSALS = 1000  # from then on those that have run out are looked for
_SMALLER = 3  # how often a report that the server finds too large is halved

Build = Callable[[str], Awaitable[dict[str, Any]]]
"""Builds a report of the given name."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A report that the server does not take."""

    resource: Resource
    key: ObjectKey
    error: TerminalError
    until: datetime

    @property
    def by_permission(self) -> bool:
        """Whether it is about us, and not about the report."""
        return isinstance(self.error, ForbiddenError)


class Reports:
    """The reports of all containers; reads from the informers, writes to the API."""

    def __init__(
        self, api: Api, informers: Informers, *, budget_bytes: int, clock: Clock, metrics: ReportMetrics
    ) -> None:
        self._api = api
        self._informers = informers
        self._budget_bytes = budget_bytes
        self._clock = clock
        self._metrics = metrics
        self._refusals: dict[tuple[Resource, ObjectKey], Refusal] = {}
        self.denials = Denials(api, clock)
        self._deleting: set[str] = set()  # uids
        self._lost_handlers: list[Callable[[Resource, ObjectKey, StoredReport], None]] = []
        self._write_handlers: list[Callable[[Resource, StoredReport, dict[str, Any]], None]] = []
        self._listers = informers.reports
        self._ahead = {
            resource: Overlay[StoredReport, StoredReport](
                lister, lost=partial(self._lost, resource), catches_up=_is_the_written
            )
            for resource, lister in self._listers.items()
        }

    def add_lost_handler(self, handler: Callable[[Resource, ObjectKey, StoredReport], None]) -> None:
        """Call `handler` for a report that was gone before the informer ever observed it."""
        self._lost_handlers.append(handler)

    def add_write_handler(self, handler: Callable[[Resource, StoredReport, dict[str, Any]], None]) -> None:
        """Call `handler` with each report that was written, as the lister will have it and as it was sent."""
        self._write_handlers.append(handler)

    def add_permission_handler(self, handler: Callable[[], None]) -> None:
        """Call `handler` when reports may be written that were denied."""
        self.denials.add_handler(handler)

    def _lost(self, resource: Resource, key: ObjectKey, report: StoredReport) -> None:
        for handler in self._lost_handlers:
            handler(resource, key, report)

    # what there is

    def get(self, resource: Resource, key: ObjectKey) -> StoredReport | None:
        """The report of that name, as last written or observed."""
        return self._ahead[resource].get(key) or self._lister(resource).get(key)

    def _lister(self, resource: Resource) -> Lister[StoredReport]:
        return self._listers[resource]

    def find(self, resource: Resource, workload: Workload, container: str) -> StoredReport | None:
        """The report of a container, whether it is current or not."""
        for name in self._names(workload, container):
            found = self.get(resource, ObjectKey(workload.key.namespace, name))
            if found is not None and _is_of(found, workload, container):
                return found
        return None

    def of_owner(self, workload: WorkloadRef) -> Iterator[tuple[Resource, StoredReport]]:
        """All reports that say they are about that workload, also superfluous ones."""
        for resource in self._informers.report_kinds:
            if self.is_closed(resource, workload.key.namespace):
                continue  # what the store has may be long gone
            for report in self._informers.reports[resource].by_index(BY_OWNER, str(workload)):
                yield resource, report

    def sources(
        self, resource: Resource, image: ImageKey, settings_hash: str, *, namespace: str = ""
    ) -> Iterator[StoredReport]:
        """Reports of that image made with those settings, complete ones first."""
        incomplete: list[StoredReport] = []
        observed = self._informers.reports[resource].by_index(BY_DIGEST, image.digest)
        for report in chain(observed, self._ahead[resource].values()):
            if (
                report.digest == image.digest
                and report.platform == (image.platform or "")
                and report.settings_hash == settings_hash
                and namespace in ("", report.key.namespace)
            ):
                if report.complete:
                    yield report  # there may be thousands, and callers mostly want one
                else:
                    incomplete.append(report)
        yield from incomplete

    def is_current(
        self,
        resource: Resource,
        workload: Workload,
        container: str,
        image: ImageKey,
        settings_hash: str,
    ) -> bool:
        """Whether the container has its report of that kind, of that image, made with those settings.

        One that we may not read or write, or that the server refused lately, is not waited for either.
        """
        report = self.find(resource, workload, container)
        if report is None:
            closed = self.is_closed(resource, workload.key.namespace)
            return closed or self._refused(resource, workload, container)
        return (
            report.spec_hash == workload.spec_hash
            and report.owner_uid == workload.uid
            and report.digest == image.digest
            and report.platform == (image.platform or "")
            and report.settings_hash == settings_hash
        ) or self._refused(resource, workload, container)

    def is_closed(self, resource: Resource, namespace: str) -> bool:
        """Whether reports of that kind may not be read or written there, or the kind is gone."""
        lister = self._lister(resource)
        denied = self.denials.closed(resource, lister.scope_of(namespace)) is not None
        return denied or lister.problem_in(namespace) is not None

    def held_back(self, resource: Resource, namespace: str) -> Refusal | None:
        """The refusal of all reports of that kind there, which are not sent; None if they may be.

        Of a kind that the server does not have there are no reports to hold back.
        """
        lister = self._lister(resource)
        error = self.denials.closed(resource, lister.scope_of(namespace))
        problem = None if lister.missing else lister.problem_in(namespace)
        if error is None and problem is not None:
            error = ForbiddenError(problem)
        if error is None:
            return None
        return Refusal(resource, ObjectKey(namespace, ""), error, self._clock.now() + _REFUSED_FOR)

    def check(self, resource: Resource, namespace: str) -> None:
        """Raise the ``DeniedError`` of a write of that kind, for who has much to do before it."""
        self.denials.check(resource, self._lister(resource).scope_of(namespace))

    def is_off(self, resource: Resource) -> bool:
        """Whether there is no place for reports of that kind: it is gone, or we may do nothing with it."""
        lister = self._lister(resource)
        return lister.missing or all(self.is_closed(resource, scope) for scope in lister.scopes)

    def _refused(self, resource: Resource, workload: Workload, container: str) -> bool:
        """Whether writing it again soon would only be refused again."""
        if not self._refusals:
            return False
        for name in self._names(workload, container):
            refusal = self._refusals.get((resource, ObjectKey(workload.key.namespace, name)))
            if refusal is not None and refusal.until > self._clock.now():
                return True
        return False

    @staticmethod
    def _names(workload: Workload, container: str) -> Iterator[str]:
        """The usual name of a container's report, and the one it has if that is taken."""
        containers = frozenset((container, *(other.container for other in workload.containers)))
        yield _usual_name(workload.kind, workload.key.name, containers, container)
        yield long_report_name(workload.kind, workload.key.name, container)

    # what is made

    async def write(
        self, resource: Resource, workload: Workload, container: str, build: Build
    ) -> Refusal | None:
        """Write a container's report, if it says anything new; answers with a refusal if there was one.

        A namespace that is gone counts as written: its workload is gone, too; where reports of a kind may not
        be read none is written, since nobody could say later what became of it, nor where they may not be
        written: `held_back` says so. Raises ``TransientError``.
        """
        if self.is_closed(resource, workload.key.namespace):
            return None
        self.check(resource, workload.key.namespace)
        name = self._free_name(resource, workload, container)
        report = await build(name)
        free = self._free_name(resource, workload, container)
        if free != name:  # taken meanwhile
            report = await build(free)
        return await self.write_object(resource, report)

    def _free_name(self, resource: Resource, workload: Workload, container: str) -> str:
        usual, other = self._names(workload, container)
        holder = self.get(resource, ObjectKey(workload.key.namespace, usual))
        return usual if holder is None or _is_of(holder, workload, container) else other

    async def write_object(self, resource: Resource, report: dict[str, Any]) -> Refusal | None:
        """Write a built report of any kind; as `write`."""
        meta = report["metadata"]
        key = ObjectKey(meta.get("namespace", ""), meta["name"])
        before = self.get(resource, key)
        if before is not None and before.content_hash == meta["annotations"][keys.CONTENT_HASH]:
            self._metrics.writes.labels(resource.kind, "unchanged").inc()
            return None
        scope = self._lister(resource).scope_of(key.namespace)
        self.denials.check(resource, scope)
        try:
            size = await self._send(resource, key, report, before)
        except DeniedError as error:
            self._metrics.writes.labels(resource.kind, "denied").inc()
            self.denials.note(resource, scope, error)
            raise
        except NotFoundError as error:  # its namespace goes, or somebody deleted the kind
            self._metrics.writes.labels(resource.kind, "gone").inc()
            self._refuse(resource, key, error)
            return None
        except TerminalError as error:
            self._metrics.writes.labels(resource.kind, "refused").inc()
            refusal = self._refuse(resource, key, error)
            if not self.denials.note(resource, scope, error):
                log.warning("report_refused", kind=resource.kind, report=str(key), error=str(error))
            return refusal
        self._refusals.pop((resource, key), None)
        self._metrics.wrote(resource.kind, size, truncated=keys.OMITTED in meta["annotations"])
        return None

    def _refuse(self, resource: Resource, key: ObjectKey, error: TerminalError) -> Refusal:
        """Remember what need not be sent again soon, and forget what may."""
        now = self._clock.now()
        if len(self._refusals) >= _MANY_REFUSALS:
            self._refusals = {name: one for name, one in self._refusals.items() if one.until > now}
        refusal = self._refusals[resource, key] = Refusal(resource, key, error, now + _REFUSED_FOR)
        return refusal

    async def _send(
        self, resource: Resource, key: ObjectKey, report: dict[str, Any], before: StoredReport | None
    ) -> int:
        """Write it, smaller if need be; returns how many bytes were taken."""
        size = size_of(report)
        budget = min(self._budget_bytes, size)
        for _ in range(_SMALLER):
            try:
                await self._put(resource, key, report, before, size)
            except TooLargeError as error:
                budget //= 2
                log.warning(
                    "report_too_large",
                    kind=resource.kind,
                    report=str(key),
                    next_bytes=budget,
                    error=str(error),
                )
                report = await asyncio.to_thread(seal, report, budget)
                size = size_of(report)
            else:
                return size
        await self._put(resource, key, report, before, size)
        return size

    async def _put(
        self,
        resource: Resource,
        key: ObjectKey,
        report: dict[str, Any],
        before: StoredReport | None,
        size: int,
    ) -> None:
        foreign = before is not None and not before.content_hash
        answer = await write_report(
            self._api, resource, report, size=size, there=before is not None, foreign=foreign
        )
        stored = msgspec.convert(answer["metadata"], ObjectMeta)
        written = self._informers.stored(Object(metadata=stored))
        if self._lister(resource).get(key) != written:  # the informer may have been faster than the answer
            self._ahead[resource].put(key, written)
        for handler in self._write_handlers:
            handler(resource, written, report)

    async def delete(self, resource: Resource, report: StoredReport) -> None:
        """Delete a report that has no place any more; `deleted_by_us` then knows of it."""
        self._deleting.add(report.uid)
        deleted = False
        try:
            deleted = await self._api.delete(resource, report.key, uid=report.uid)
        except TerminalError as error:  # it harms nobody but its reader
            log.warning("report_not_deleted", kind=resource.kind, report=str(report.key), error=str(error))
        finally:
            if not deleted:
                self._deleting.discard(report.uid)
        if deleted:
            self._metrics.deleted.labels(resource.kind).inc()
            log.info("report_deleted", kind=resource.kind, report=str(report.key))

    def deleted_by_us(self, uid: str) -> bool:
        """Whether a report that is gone was deleted here; answers once."""
        if uid in self._deleting:
            self._deleting.discard(uid)
            return True
        return False

    async def read(self, resource: Resource, key: ObjectKey) -> Mapping[str, Any] | None:
        """The whole report, findings included; None if it is gone."""
        return await self._api.get_dict(resource, key)


@lru_cache(maxsize=256)  # for one workload it is asked many times in a row
def _usual_name(kind: str, name: str, containers: frozenset[str], container: str) -> str:
    return report_names(kind, name, containers)[container]


def _is_of(report: StoredReport, workload: Workload, container: str) -> bool:
    owner = WorkloadRef(WorkloadKind(workload.kind), workload.key)
    return report.owner == str(owner) and report.container == container


def _is_the_written(written: StoredReport, old: StoredReport | None, new: StoredReport | None) -> bool:
    deleted = new is None and old is not None and old.uid == written.uid
    return deleted or new == written
