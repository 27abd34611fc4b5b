"""Write the figures of the last run into ``docs/performance.md``, between its markers.

Run ``python -m tests.bench.table`` after ``make bench``. ``make docs`` leaves it alone, for figures do not
follow from the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.bench.figures import Figure, load

_PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
_RESULTS = Path("bench-results.json")
_BETWEEN = re.compile(r"(<!-- generated: figures -->\n).*?(\n<!-- end of figures -->)", re.DOTALL)


def build_table(figures: Iterable[Figure]) -> str:
    """The figures as a table of Markdown."""
    lines = ["| bench | figure | value | goal | |", "| --- | --- | --- | --- | --- |"]
    for one in figures:
        goal = "" if one.goal is None else f"{'≥' if one.at_least else '≤'} {one.goal:,g}"
        met = {None: "", True: "met", False: "**missed**"}[one.met]
        lines.append(f"| {one.bench} | {one.name} | {show_value(one.value)} {one.unit} | {goal} | {met} |")
    return "\n".join(lines)


def show_value(value: float) -> str:
    """Three digits that count, without an exponent: 0.251, 24.3, 1,180, 574,000."""
    if not value:
        return "0"
    digits = max(0, 2 - len(str(int(abs(value)))) + 1) if abs(value) >= 1 else 3
    return f"{float(f'{value:.3g}'):,.{digits}f}"


def main() -> None:
    """Replace what is between the markers."""
    text = _PAGE.read_text()
    table = build_table(load(_RESULTS))
    _PAGE.write_text(_BETWEEN.sub(lambda found: f"{found[1]}\n{table}\n{found[2]}", text))


if __name__ == "__main__":
    main()
