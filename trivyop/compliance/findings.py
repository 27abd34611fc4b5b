"""Findings: what all reports of audits say, as far as compliance needs it.

One entry for each report, put when it is read and put again when it changes; so a control's answer follows a
change without reading the others. Reports that are alike in what failed share what is kept of that.

Promises: pure and plain; every answer is of the state after a whole ``put`` or ``remove``. The same reports
in any order give the same answers.
Not here: what the numbers mean (``evaluation.py``).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from trivyop.compliance.reading import CheckTexts, ReportFindings
from trivyop.compliance.scopes import Audited
from trivyop.kube.resources import ObjectKey, Resource
from trivyop.report.checkids import canonical

ReportKey = tuple[str, str]  # its target and the plural of its kind


class Failure(NamedTuple):
    """A check that failed, in one report."""

    target: str
    findings: int


class _Alike(NamedTuple):
    """What reports share."""

    audited: Audited
    failed: tuple[tuple[str, int], ...]


class Findings:
    """What is kept of the reports."""

    def __init__(self) -> None:
        self._reports: dict[ReportKey, _Alike] = {}
        self._alike: dict[_Alike, set[ReportKey]] = {}
        self._totals: Counter[str] | None = None  # None: to be counted anew
        self._audited: Counter[Audited] | None = None
        self._first: dict[str, tuple[int, list[ReportKey]]] = {}  # what `failures` found, and its limit
        self._texts: dict[str, CheckTexts] = {}

    def __len__(self) -> int:
        return len(self._reports)

    @property
    def audited(self) -> Mapping[Audited, int]:
        """How many reports there are of each sort."""
        if self._audited is None:
            self._audited = Counter()
            for alike, users in self._alike.items():
                self._audited[alike.audited] += len(users)
        return self._audited

    def put(self, key: ReportKey, report: ReportFindings) -> bool:
        """Take what a report says in place of what it said; whether that is anything else."""
        alike = _Alike(report.audited, report.failed)
        before = self._reports.get(key)
        if before == alike:
            return False
        if before is not None:
            self.remove(key)
        users = self._alike.get(alike)
        if users is None:  # the same checks of the same policies have the same texts
            users = self._alike[alike] = set()
            for check in report.checks:
                self._learn(check)
        elif users:
            alike = self._reports[next(iter(users))]  # one for all
        users.add(key)
        self._reports[key] = alike
        self._changed(key, alike)
        return True

    def remove(self, key: ReportKey) -> bool:
        """Forget a report that is gone; whether there was one."""
        alike = self._reports.pop(key, None)
        if alike is None:
            return False
        users = self._alike[alike]
        users.remove(key)
        if not users:
            del self._alike[alike]
        self._changed(key, alike)
        return True

    def total(self, check: str) -> int:
        """How many findings a check has, in all reports."""
        if self._totals is None:
            self._totals = Counter()
            for alike, users in self._alike.items():
                for failed, count in alike.failed:
                    self._totals[failed] += count * len(users)
        return self._totals[check]

    def texts(self, check: str) -> CheckTexts:
        """What reports say of a check that failed somewhere; raises ``KeyError`` for others."""
        return self._texts[check]

    def failures(self, check: str, limit: int) -> list[Failure]:
        """The first reports, by target, in which a check failed; at most ``limit``."""
        known = self._first.get(check)
        if known is None or known[0] != limit:  # several specifications ask for the same
            known = limit, heapq.nsmallest(limit, self._failed(check))
            self._first[check] = known
        return [Failure(key[0], dict(self._reports[key].failed)[check]) for key in known[1]]

    def _failed(self, check: str) -> Iterator[ReportKey]:
        for alike, users in self._alike.items():
            if any(failed == check for failed, _ in alike.failed):
                yield from users

    def _changed(self, key: ReportKey, alike: _Alike) -> None:
        """A report came or went."""
        self._totals = self._audited = None
        if not self._first:
            return
        for check, _ in alike.failed:
            known = self._first.get(check)
            if known is not None and (len(known[1]) < known[0] or (known[1] and key <= known[1][-1])):
                del self._first[check]

    def _learn(self, check: CheckTexts) -> None:
        check_id = canonical(check.check_id)
        known = self._texts.get(check_id)
        # Reports of several bundles may differ; which is shown must not depend on their order.
        if known is None or (known != check and _order(check) < _order(known)):
            self._texts[check_id] = check


def report_key(resource: Resource, key: ObjectKey) -> ReportKey:
    """What a report is known by."""
    return f"{key.namespace}/{key.name}", resource.plural


def _order(texts: CheckTexts) -> tuple[str, ...]:
    return (texts.check_id, texts.severity, texts.title, texts.description, texts.remediation)
