"""Growing: a bill of materials that is reduced while it is put together.

As soon as what there is of it would not fit a report, it loses what a report would lose next; what comes
later loses it at once. At the end of the steps, components are let go, too.

Promises: a report made of it equals one made of the whole bill of materials, counts included, unless a single
component takes a whole report's room. It is never much larger than two reports.
Not here: what reports lose (``plans.py``), and what a component looks like.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from trivyop.report.findings import BomLeftOut
from trivyop.report.plans import SBOM_PLAN, Body, Row, Step

_DEPENDENCIES = "dependencies"  # the one step that is not about components
_SLACK = 2  # how far over the budget components may grow before they are sorted and cut


class GrowingBom:
    """Collects components and dependencies for reports of ``budget_bytes``; None: all of them, whole."""

    def __init__(self, budget_bytes: int | None) -> None:
        self._budget = budget_bytes
        self._body = _body([], [])
        self._due = list(SBOM_PLAN.steps)
        self._done: list[Step] = []
        self._missed: set[str] = set()
        self._size = 0
        self._last: tuple[Any, ...] | None = None  # beyond this no component is kept any more
        self._components = self._dependencies = 0  # of all

    @property
    def has_dependencies(self) -> bool:
        """Whether they are still kept, so that it matters how they refer to components."""
        return all(step.field != _DEPENDENCIES for step in self._done)

    def add_component(self, component: Row) -> None:
        """Count a component, and keep what may matter of it."""
        self._components += 1
        self._apply(self._done, _body([component], []))
        if self._last is not None and _importance(component) > self._last:
            return
        self._add(SBOM_PLAN.rows(self._body), component)

    def add_dependency(self, dependency: Row) -> None:
        """Count a dependency, and keep it if it may matter."""
        self._dependencies += 1
        if self.has_dependencies:
            self._add(self._body["components"][_DEPENDENCIES], dependency)
        else:
            self._missed.add(_DEPENDENCIES)

    def result(self, root: Row | None) -> tuple[list[Row], list[Row], BomLeftOut]:
        """Components in their order, dependencies as they came, and what was left out of both.

        ``root`` is the component that all the others are in; it loses what they lost.
        """
        if root is not None:
            self._apply(self._done, _body([root], []))
        if self._budget is not None and self._size > self._budget:
            self._cut(self._budget)
        components = sorted(SBOM_PLAN.rows(self._body), key=component_order)
        dependencies: list[Row] = self._body["components"].get(_DEPENDENCIES, [])
        left_out = BomLeftOut(
            fields=SBOM_PLAN.in_order(self._missed),
            components=self._components - len(components),
            dependencies=self._dependencies - len(dependencies),
        )
        return components, dependencies, left_out

    def _add(self, rows: list[Row], row: Row) -> None:
        size = len(orjson.dumps(row))
        if self._budget is None:
            rows.append(row)
            return
        if size > self._budget and not self._due:
            return  # it costs only itself
        rows.append(row)
        self._size += size
        while self._size > self._budget and self._due:
            self._done.append(self._due.pop(0))
            self._apply(self._done[-1:], self._body)
            self._size = len(orjson.dumps(self._body))
        if self._size > _SLACK * self._budget:
            self._cut(self._budget)

    def _apply(self, steps: Iterable[Step], body: Body) -> None:
        self._missed.update(step.field for step in steps if step.apply(body))

    def _cut(self, budget: int) -> None:
        """Keep what fits without anything else."""
        rows = SBOM_PLAN.rows(self._body)
        rows.sort(key=_importance)
        size = 0
        kept: list[Row] = []
        for row in rows:
            more = len(orjson.dumps(row))
            if more > budget:
                continue  # as in `_add`
            if size + more > budget:
                self._last = _importance(row)
                break
            size += more
            kept.append(row)
        rows[:] = kept
        self._size = size


def component_order(component: Row) -> tuple[str, ...]:
    """The order of components in a bill of materials."""
    return tuple(component.get(field, "") for field in ("bom-ref", "name", "version"))


def _importance(component: Row) -> tuple[Any, ...]:
    return (*SBOM_PLAN.importance(component), *component_order(component))


def _body(components: list[Row], dependencies: list[Row]) -> Body:
    return {"components": {"components": components, _DEPENDENCIES: dependencies}}
