"""Durations: how long each file of tests took, so that a run begins with the longest.

Begun last, a long file would keep one core busy while the others wait. ``make test ARGS=--record-durations``
writes ``durations.json`` anew; files that are not in it yet are taken for as long as most others of their
folder.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median

_FILE = Path(__file__).with_name("durations.json")
_ROOT = Path(__file__).parents[1]


class Durations:
    """Seconds by file, the recorded ones and those of this run."""

    def __init__(self, file: Path = _FILE) -> None:
        self._file = file
        self._recorded: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
        self._measured: defaultdict[str, float] = defaultdict(float)
        folders: defaultdict[str, list[float]] = defaultdict(list)
        for name, seconds in self._recorded.items():
            folders[_folder(name)].append(seconds)
        self._usual = {folder: median(all_) for folder, all_ in folders.items()}

    def expected(self, name: str) -> float:
        """What a file will take; `name` is its path in the source tree."""
        return self._recorded.get(name, self._usual.get(_folder(name), 0.0))

    def add(self, name: str, seconds: float) -> None:
        """Count one phase of one test of this run."""
        self._measured[name] += seconds

    def write(self, root: Path = _ROOT) -> None:
        """Record what was measured; files that did not run keep their number, those that are gone lose it."""
        known = self._recorded | {name: round(seconds, 1) for name, seconds in self._measured.items()}
        kept = {name: known[name] for name in sorted(known) if (root / name).exists()}
        self._file.write_text(json.dumps(kept, indent=1) + "\n")


def _folder(name: str) -> str:
    """``tests/e2e``, ``tests/unit``."""
    return "/".join(name.split("/")[:2])
