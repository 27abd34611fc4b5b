"""Reading: what all reports of audits say, as `findings`, kept up to date.

All reports are read once, page by page; from then on only those that change. What this operator writes itself
is taken from the write, so that a backlog of audits costs no second request for each.

Promises: findings change in `read` only, so whoever calls both reads one state. Nothing is kept of a report
but what ``Findings`` keeps. What changed is noted until it is read, whatever fails in between.
Not here: when to read (``reconciler.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Final, NamedTuple

import msgspec

from trivyop.compliance.findings import Findings, report_key
from trivyop.compliance.reading import AuditReport, ReportFindings, read_report, version_of
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.informers import BY_OWNER
from trivyop.errors import ForbiddenError, NotFoundError, TerminalError
from trivyop.kube.pages import warn_malformed
from trivyop.kube.resources import CLUSTERINFRAASSESSMENTREPORTS, ObjectKey, Resource
from trivyop.report.kinds import reports_of_audits
from trivyop.report.stored import StoredReport
from trivyop.workload.nodes import ClusterNode

PAGE: Final = 50  # reports of 160 checks each: decoded in a few milliseconds
_MANY: Final = 500  # changed reports of one kind, from which on listing them all is cheaper
_KEYS: Final = 1000  # compared in a millisecond
_GONE: Final = 0


class _Ref(NamedTuple):
    resource: Resource
    key: ObjectKey


class _News(NamedTuple):
    """What is known of a report that changed."""

    version: int  # `_GONE`: it is deleted
    findings: ReportFindings | None = None  # None: it has to be read


class ReportReader:
    """Reads reports of audits."""

    def __init__(self, context: ControllerContext, changed: Callable[[], None]) -> None:
        """`changed` is called when there is something to read."""
        self.findings = Findings()
        self.revision = 0
        """Grows whenever findings change."""
        self._api = context.api
        self._listers = {kind: context.informers.reports[kind] for kind in reports_of_audits()}
        self._nodes = context.informers.nodes
        self._reports = context.reports
        self._changed = changed
        self._unlisted: dict[tuple[Resource, str], None] = {}  # kinds and scopes to be listed
        self._news: dict[_Ref, _News] = {}
        self._versions = {kind: dict[ObjectKey, int]() for kind in self._listers}  # of what was read

    def listen(self) -> None:
        """Begin to note what changes, and have all be read; call it once all stores are filled."""
        for resource, lister in self._listers.items():
            lister.add_handler(partial(self._report_changed, resource), replay=False)
            lister.add_recovery_handler(partial(self._list_again, resource))
            self._want_list(resource)
        self._reports.add_write_handler(self._report_written)
        self._nodes.add_handler(self._node_changed, replay=False)

    # what changes

    def _want_list(self, resource: Resource) -> None:
        self._unlisted |= dict.fromkeys((resource, scope) for scope in self._listers[resource].scopes)

    def _list_again(self, resource: Resource) -> None:
        self._want_list(resource)
        self._changed()

    def _report_changed(
        self, resource: Resource, key: ObjectKey, _old: StoredReport | None, new: StoredReport | None
    ) -> None:
        ref = _Ref(resource, key)
        version = _GONE if new is None else version_of(new)
        noted = self._news.get(ref)
        known = self._versions[resource].get(key, _GONE) if noted is None else noted.version
        if version != known:
            self._note(ref, _News(version))

    def _report_written(self, resource: Resource, stored: StoredReport, report: object) -> None:
        if resource not in self._listers:
            return
        try:
            read = read_report(resource, msgspec.convert(report, AuditReport), self._control_plane())
        except msgspec.ValidationError:
            read = None
        self._note(_Ref(resource, stored.key), _News(version_of(stored), read))

    def _node_changed(self, key: ObjectKey, old: ClusterNode | None, new: ClusterNode | None) -> None:
        """A report on a node says another thing once that is one of the control plane."""
        if old is None or new is None or old.is_control_plane == new.is_control_plane:
            return
        resource = CLUSTERINFRAASSESSMENTREPORTS
        for report in self._listers[resource].by_index(BY_OWNER, f"Node//{key.name}"):
            self._versions[resource].pop(report.key, None)
            self._note(_Ref(resource, report.key), _News(version_of(report)))

    def _note(self, ref: _Ref, news: _News) -> None:
        self._news[ref] = news
        self._changed()

    # reading

    async def read(self) -> bool:
        """Read what is to be read; whether findings changed. Raises ``TransientError``."""
        before = self.revision
        await self._list_all()
        for resource in list(self._many()):
            self._want_list(resource)
        await self._list_all()
        while self._news:
            ref, news = next(iter(self._news.items()))
            await self._take(ref, news)
            if self._news.get(ref) is news:
                del self._news[ref]
            await asyncio.sleep(0)
        return self.revision != before

    def _many(self) -> Iterator[Resource]:
        """The kinds of which so many reports have to be read that listing them is cheaper."""
        counts = dict.fromkeys(self._listers, 0)
        for ref, news in self._news.items():
            counts[ref.resource] += news.version != _GONE and news.findings is None
        return (resource for resource, count in counts.items() if count > _MANY)

    async def _list_all(self) -> None:
        while self._unlisted:
            resource, scope = next(iter(self._unlisted))
            await self._list(resource, scope)
            self._unlisted.pop((resource, scope), None)

    async def _list(self, resource: Resource, scope: str) -> None:
        """Read all reports of a kind; then note where the lister has another state than was read."""
        lister = self._listers[resource]
        if lister.problem_in(scope) is not None:
            return  # its recovery has it listed
        pages = self._api.list_pages(resource, type=AuditReport, namespace=scope, limit=PAGE)
        try:
            async with aclosing(pages):
                async for page in pages:
                    nodes = self._control_plane()
                    for report in page.items:
                        self._put(resource, report.key, report.version, read_report(resource, report, nodes))
                    await asyncio.sleep(0)
        except (ForbiddenError, NotFoundError):
            return
        read = self._versions[resource]
        for number, stored in enumerate(list(lister.values())):
            if read.get(stored.key) != version_of(stored) and lister.scope_of(stored.key.namespace) == scope:
                self._report_changed(resource, stored.key, None, stored)
            if number % _KEYS == 0:
                await asyncio.sleep(0)
        for number, key in enumerate(list(read)):
            if lister.get(key) is None and lister.scope_of(key.namespace) == scope:
                self._report_changed(resource, key, None, None)
            if number % _KEYS == 0:
                await asyncio.sleep(0)

    async def _take(self, ref: _Ref, news: _News) -> None:
        resource, key = ref
        if news.version == _GONE:
            self._remove(resource, key)
        elif news.findings is not None:
            self._put(resource, key, news.version, news.findings)
        elif self._versions[resource].get(key) != news.version:
            try:
                report = await self._api.get(resource, key, AuditReport)
            except TerminalError as error:  # what was read before still counts
                warn_malformed(key, str(error))
                return
            if report is None:
                self._remove(resource, key)
            else:
                read = read_report(resource, report, self._control_plane())
                self._put(resource, key, report.version, read)

    def _put(self, resource: Resource, key: ObjectKey, version: int, read: ReportFindings) -> None:
        self._versions[resource][key] = version
        self.revision += self.findings.put((read.target, resource.plural), read)

    def _remove(self, resource: Resource, key: ObjectKey) -> None:
        self._versions[resource].pop(key, None)
        self.revision += self.findings.remove(report_key(resource, key))

    def _control_plane(self) -> frozenset[str]:
        return frozenset(node.metadata.name for node in self._nodes.values() if node.is_control_plane)
