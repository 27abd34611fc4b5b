"""Run the benchmarks: all, or those named (`make bench ARGS="queue apiserver"`)."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

from tests.bench.figures import Figure, save, show
from trivyop.observe.logging import configure_logging

_DIRECTORY = Path(__file__).parent
_RESULTS = Path("bench-results.json")


def main(wanted: list[str]) -> int:
    """Measure, print the table, write the JSON; 1 if a goal was missed, 2 for an unknown name.

    In the JSON the figures of benchmarks that did not run stay.
    """
    known = sorted(path.stem.removeprefix("bench_") for path in _DIRECTORY.glob("bench_*.py"))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    configure_logging("error")
    figures: list[Figure] = []
    for name in wanted or known:
        print(f"{name} ...", file=sys.stderr, flush=True)
        measured = asyncio.run(importlib.import_module(f"tests.bench.bench_{name}").measure())
        save(measured, [name], _RESULTS)  # what comes after it may fail
        figures += measured
    print(show(figures))
    print(f"\nAlso in {_RESULTS}.")
    return 1 if any(figure.met is False for figure in figures) else 0


sys.exit(main(sys.argv[1:]))
