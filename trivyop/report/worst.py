"""Worst: of any number of findings, those that a report of a given size could ever show.

Findings are counted as they come, and kept while they may matter. What a report that must lose something
loses first is let go as soon as it is certain to be lost: a kind of text when the findings are too large with
nothing but that, then findings, the least important first. It is certain, because a report only adds to what
is measured here.

Promises: a report made of what is kept equals one made of everything, counts included, unless a single
finding takes a whole report's room. What is kept takes memory as a few reports do, whatever comes.
Not here: what a report really has room for (``budget.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from trivyop.report.findings import LeftOut, Severity

T = TypeVar("T")

_SLACK = 2  # how far over the budget findings may grow before they are sorted and cut


@dataclass(frozen=True, slots=True)
class Text(Generic[T]):
    """A text of a finding that a report can do without."""

    field: str  # as plans name it
    size: Callable[[T], int]  # bytes, at least, that a report saves without it; 0: it is not there
    drop: Callable[[T], T]


@dataclass(frozen=True, slots=True)
class Shape(Generic[T]):
    """What there is to know of a kind of finding."""

    severity: Callable[[T], Severity]
    importance: Callable[[T], tuple[Any, ...]]  # a total order; smaller is kept longer
    least_size: Callable[[T], int]  # bytes, at least, of its row in a report, without the texts
    texts: tuple[Text[T], ...]
    fixable: Callable[[T], bool] = lambda _found: False


class Worst(Generic[T]):
    """Collects findings for reports of ``budget_bytes``; None: all of them, whole."""

    def __init__(self, shape: Shape[T], budget_bytes: int | None) -> None:
        self._shape = shape
        self._budget = budget_bytes
        self._kept: list[T] = []
        self._size = 0  # of those, by `least_size`
        self._texts = {text.field: 0 for text in shape.texts}  # bytes of each, while it is kept
        self._dropped: dict[str, Text[T]] = {}
        self._missed: set[str] = set()  # those of the dropped that some finding had
        self._last: tuple[Any, ...] | None = None  # beyond this nothing is kept any more
        self._counts: Counter[Severity] = Counter()  # of all
        self._fixable: Counter[Severity] = Counter()  # of those with a fix

    def add(self, found: T) -> None:
        """Count a finding, and keep it if it may matter."""
        self._counts[self._shape.severity(found)] += 1
        if self._shape.fixable(found):
            self._fixable[self._shape.severity(found)] += 1
        if self._budget is None:
            self._kept.append(found)
            return
        least = self._shape.least_size(found)
        if least > self._budget:
            return  # it costs only itself
        for text in self._dropped.values():
            if text.size(found):
                self._missed.add(text.field)
                found = text.drop(found)
        if self._last is not None and self._shape.importance(found) > self._last:
            return
        self._kept.append(found)
        self._size += least
        for text in self._shape.texts:
            if text.field not in self._dropped:
                self._texts[text.field] += text.size(found)
                if self._size + self._texts[text.field] > self._budget:
                    self._drop(text)
        if self._size > _SLACK * self._budget:
            self._cut(self._budget)

    def result(self) -> tuple[tuple[T, ...], LeftOut]:
        """What is kept (as it came, or the most important first if that is not all), and what is not."""
        if self._budget is not None and self._size > self._budget:
            self._cut(self._budget)
        kept = Counter(map(self._shape.severity, self._kept))
        fixable = Counter(map(self._shape.severity, filter(self._shape.fixable, self._kept)))
        left_out = LeftOut(
            counts={severity: n for severity in Severity if (n := self._counts[severity] - kept[severity])},
            fixable={
                severity: n for severity in Severity if (n := self._fixable[severity] - fixable[severity])
            },
            texts=tuple(text.field for text in self._shape.texts if text.field in self._missed),
        )
        return tuple(self._kept), left_out

    def _drop(self, text: Text[T]) -> None:
        self._dropped[text.field] = text
        for index, found in enumerate(self._kept):
            if text.size(found):
                self._missed.add(text.field)
                self._kept[index] = text.drop(found)

    def _cut(self, budget: int) -> None:
        """Keep what fits by its least size alone."""
        self._kept.sort(key=self._shape.importance)
        size = 0
        for index, found in enumerate(self._kept):
            least = self._shape.least_size(found)
            if size + least > budget:
                self._last = self._shape.importance(found)
                del self._kept[index:]
                break
            size += least
        self._size = size
