"""Figures: what a benchmark measured, what is wanted, and how both are shown."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from trivyop.cli.tables import show_table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. A ratio has the unit "x"; its ingredients are figures of their own, without a goal."""

    bench: str
    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = True  # else the goal is an upper limit

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def quantile(values: Iterable[float], part: float) -> float:
    """The value that so large a part of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def show(figures: Iterable[Figure]) -> str:
    """A table, one line a figure."""
    return show_table(
        ("BENCH", "FIGURE", "VALUE", "GOAL", ""),
        [
            (
                figure.bench,
                figure.name,
                f"{figure.value:,.4g} {figure.unit}",
                "" if figure.goal is None else f"{'>=' if figure.at_least else '<='} {figure.goal:,g}",
                {None: "", True: "met", False: "MISSED"}[figure.met],
            )
            for figure in figures
        ],
    )


def save(figures: Iterable[Figure], benches: Collection[str], path: Path) -> None:
    """Write them as JSON, for programs; what the file has of other benches stays."""
    kept = [one for one in (load(path) if path.exists() else ()) if one.bench not in benches]
    ordered = sorted([*kept, *figures], key=lambda figure: figure.bench)
    documents = [{**asdict(figure), "met": figure.met} for figure in ordered]
    path.write_bytes(orjson.dumps(documents, option=orjson.OPT_INDENT_2))


def load(path: Path) -> list[Figure]:
    """Read what `save` wrote."""
    documents = orjson.loads(path.read_bytes())
    return [Figure(**{name: value for name, value in one.items() if name != "met"}) for one in documents]
