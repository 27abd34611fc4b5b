"""Summary: the counts of a report, short enough for an annotation.

Metrics and lists read the annotation from metadata alone, so findings need not be in memory. Written as
``c=1,h=2,m=0,l=0,u=0`` for findings, ``components=4,dependencies=4`` for a bill of materials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from trivyop.report.findings import Findings, LeftOut, Severity

_LETTERS = {severity: severity.value[0].lower() for severity in Severity}
_NOTHING = LeftOut()


@dataclass(frozen=True, slots=True)
class SeverityCounts:
    """How many findings of each severity."""

    critical: int = 0
    high: int = 0
    medium: int = 0
    low: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, severities: Iterable[Severity], left_out: LeftOut = _NOTHING) -> Self:
        """Count them, and what was left out of them."""
        counts = Counter(severities)
        counts.update(left_out.counts)
        return cls(*(counts[severity] for severity in Severity))

    @classmethod
    def of_vulnerabilities(cls, findings: Findings) -> Self:
        """Count all that were found, also those that no report has room for."""
        kept = (found.severity for found in findings.vulnerabilities)
        return cls.of(kept, findings.vulnerabilities_left_out)

    @classmethod
    def of_fixable(cls, findings: Findings) -> Self:
        """Count the vulnerabilities that have a fix, also those that no report has room for."""
        kept = (found.severity for found in findings.vulnerabilities if found.fixed_version)
        return cls.of(kept, LeftOut(counts=findings.vulnerabilities_left_out.fixable))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read an annotation; None if it is not one of ours."""
        numbers = parse_numbers(text)
        if numbers is None or not numbers.keys() <= set(_LETTERS.values()):
            return None
        return cls(*(numbers.get(letter, 0) for letter in _LETTERS.values()))

    @property
    def by_severity(self) -> dict[Severity, int]:
        counts = (self.critical, self.high, self.medium, self.low, self.unknown)
        return dict(zip(Severity, counts, strict=True))

    def __str__(self) -> str:
        return ",".join(f"{_LETTERS[severity]}={count}" for severity, count in self.by_severity.items())


def show_numbers(numbers: Mapping[str, int]) -> str:
    """Write ``a=1,b=2``, in the mapping's order."""
    return ",".join(f"{name}={number}" for name, number in numbers.items())


def parse_numbers(text: str) -> dict[str, int] | None:
    """Read ``a=1,b=2``; None for anything else."""
    numbers: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        if not equals or not (number.isascii() and number.isdigit()):
            return None
        numbers[name] = int(number)
    return numbers
