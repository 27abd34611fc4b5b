"""Findings: what all reports of audits say, as far as compliance needs it.

One entry for each report, put when it is read and put again when it changes; so a control's answer follows a
change without reading the others. Reports that are alike in what failed share what is kept of that: a report
takes about 400 bytes.

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

ReportKey = tuple[Resource, ObjectKey]


class Failure(NamedTuple):
    """A check that failed, in one report."""

    target: str
    check: str  # canonical id
    findings: int


class _Alike(NamedTuple):
    """What reports share."""

    audited: Audited
    failed: tuple[tuple[str, int], ...]


class Findings:
    """What is kept of the reports."""

    def __init__(self) -> None:
        self._alike: dict[ReportKey, _Alike] = {}
        self._keys: dict[_Alike, set[ReportKey]] = {}
        self._audited: Counter[Audited] = Counter()
        self._totals: Counter[str] = Counter()
        self._texts: dict[str, CheckTexts] = {}

    def __len__(self) -> int:
        return len(self._alike)

    @property
    def audited(self) -> Mapping[Audited, int]:
        """How many reports there are of each sort."""
        return self._audited

    def put(self, key: ReportKey, report: ReportFindings) -> bool:
        """Take what a report says in place of what it said; whether that is anything else."""
        alike = _Alike(report.audited, report.failed)
        for check, texts in report.texts.items():
            known = self._texts.get(check)
            # Reports of several bundles may differ; which is shown must not depend on their order.
            if known is None or _order(texts) < _order(known):
                self._texts[check] = texts
        if self._alike.get(key) == alike:
            return False
        self.remove(key)
        keys = self._keys.setdefault(alike, set())
        if keys:  # share the one that is kept
            alike = self._alike[next(iter(keys))]
        keys.add(key)
        self._alike[key] = alike
        self._audited[alike.audited] += 1
        for check, count in alike.failed:
            self._totals[check] += count
        return True

    def remove(self, key: ReportKey) -> bool:
        """Forget a report that is gone; whether there was one."""
        alike = self._alike.pop(key, None)
        if alike is None:
            return False
        keys = self._keys[alike]
        keys.remove(key)
        if not keys:
            del self._keys[alike]
        self._audited[alike.audited] -= 1
        if not self._audited[alike.audited]:
            del self._audited[alike.audited]
        for check, count in alike.failed:
            self._totals[check] -= count
        return True

    def retain(self, resource: Resource, keys: Iterable[ObjectKey]) -> int:
        """Forget the reports of a kind that are not among ``keys``, after a list; how many those were."""
        kept = {(resource, key) for key in keys}
        gone = [key for key in self._alike if key[0] == resource and key not in kept]
        return sum(self.remove(key) for key in gone)

    def total(self, check: str) -> int:
        """How many findings a check has, in all reports."""
        return self._totals[check]

    def texts(self, check: str) -> CheckTexts:
        """What reports say of a check that failed somewhere; raises ``KeyError`` for others."""
        return self._texts[check]

    def failures(self, checks: Iterable[str], limit: int) -> dict[str, list[Failure]]:
        """The failures of each check, by target; of each at most ``limit``, of which there may be many."""
        wanted = set(checks)
        firsts = {check: list[Failure]() for check in wanted}
        for alike, keys in self._keys.items():
            failed = [(check, count) for check, count in alike.failed if check in wanted]
            if failed:
                targets = heapq.nsmallest(limit, map(_target, keys))
                for check, count in failed:
                    firsts[check] += [Failure(target, check, count) for target in targets]
        return {check: heapq.nsmallest(limit, found) for check, found in firsts.items()}


def _target(key: ReportKey) -> str:
    return f"{key[1].namespace}/{key[1].name}"


def _order(texts: CheckTexts) -> tuple[str, ...]:
    return (texts.id, texts.severity, texts.title, texts.description, texts.remediation)
