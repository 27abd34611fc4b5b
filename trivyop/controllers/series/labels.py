"""Resource labels: labels of reports that become labels of metrics, under names that Prometheus takes.

``app.kubernetes.io/name`` becomes ``app_kubernetes_io_name``, ``TeamOwner`` becomes ``team_owner``, with the
configured prefix in front. A name that a metric has already, or that two labels share, goes to the first;
the other is left out and named in ``problems``, because a series with a label twice makes a scrape fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from trivyop.observe.exposition import escape

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")
_HUMP = re.compile(r"([a-z0-9])([A-Z])")
_VALID = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def label_name(key: str) -> str:
    """The name of the metric label for a label key."""
    return _HUMP.sub(r"\1_\2", _NOT_IN_NAMES.sub("_", key)).lower()


class ResourceLabels:
    """Which labels of reports to show, and under which names."""

    def __init__(self, keys: Sequence[str], prefix: str, taken: Iterable[str]) -> None:
        used = set(taken)
        problems: list[str] = []
        self.names: list[str] = []
        self._shown: list[tuple[int, str]] = []  # place among `keys`, name
        for index, key in enumerate(keys):
            name = _NOT_IN_NAMES.sub("_", prefix) + label_name(key)
            if not _VALID.fullmatch(name) or name.startswith("__"):
                problems.append(f"label {key} would be {name!r}, which is no name of a metric label")
            elif name in used:
                problems.append(f"label {key} would be {name!r}, which is taken: set a prefix")
            else:
                used.add(name)
                self.names.append(name)
                self._shown.append((index, name))
        self.problems = tuple(problems)
        self.render = lru_cache(maxsize=4096)(self._render) if self._shown else _nothing

    def _render(self, values: tuple[str, ...]) -> str:
        """``,team="a"`` for the values of a report's labels, as ``StoredReport.labels`` has them."""
        return "".join(
            f',{name}="{escape(values[index] if index < len(values) else "")}"' for index, name in self._shown
        )


def _nothing(_values: tuple[str, ...]) -> str:
    return ""
