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
from collections.abc import Iterable, Mapping
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
        self._alike: dict[_Alike, tuple[_Alike, int]] = {}  # the one that is shared, and by how many
        self._audited: Counter[Audited] = Counter()
        self._totals: Counter[str] = Counter()
        self._failed: dict[str, set[ReportKey]] = {}  # reports in which a check failed
        self._texts: dict[str, CheckTexts] = {}

    def __len__(self) -> int:
        return len(self._reports)

    @property
    def audited(self) -> Mapping[Audited, int]:
        """How many reports there are of each sort."""
        return self._audited

    def put(self, key: ReportKey, report: ReportFindings) -> bool:
        """Take what a report says in place of what it said; whether that is anything else."""
        for check in report.checks:
            self._learn(check)
        alike = _Alike(report.audited, report.failed)
        if self._reports.get(key) == alike:
            return False
        self.remove(key)
        alike, uses = self._alike.get(alike, (alike, 0))
        self._alike[alike] = (alike, uses + 1)
        self._reports[key] = alike
        self._audited[alike.audited] += 1
        for check, count in alike.failed:
            self._totals[check] += count
            self._failed.setdefault(check, set()).add(key)
        return True

    def remove(self, key: ReportKey) -> bool:
        """Forget a report that is gone; whether there was one."""
        alike = self._reports.pop(key, None)
        if alike is None:
            return False
        uses = self._alike[alike][1] - 1
        if uses:
            self._alike[alike] = (alike, uses)
        else:
            del self._alike[alike]
        self._audited[alike.audited] -= 1
        if not self._audited[alike.audited]:
            del self._audited[alike.audited]
        for check, count in alike.failed:
            self._totals[check] -= count
            self._failed[check].remove(key)
        return True

    def retain(self, resource: Resource, keys: Iterable[ObjectKey]) -> int:
        """Forget the reports of a kind that are not among ``keys``, after a list; how many those were."""
        kept = {report_key(resource, key) for key in keys}
        ours = resource.plural
        gone = [key for key in self._reports if key[1] == ours and key not in kept]
        return sum(self.remove(key) for key in gone)

    def total(self, check: str) -> int:
        """How many findings a check has, in all reports."""
        return self._totals[check]

    def texts(self, check: str) -> CheckTexts:
        """What reports say of a check that failed somewhere; raises ``KeyError`` for others."""
        return self._texts[check]

    def failures(self, check: str, limit: int) -> list[Failure]:
        """The first reports, by target, in which a check failed; at most ``limit``."""
        first = heapq.nsmallest(limit, self._failed.get(check, ()))
        return [Failure(key[0], dict(self._reports[key].failed)[check]) for key in first]

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
