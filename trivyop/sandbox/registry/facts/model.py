"""What a fact about a vulnerability is made of.

Not here: the facts (`distributions.py`, `languages.py`), and how a database holds them (`registry.vulndb`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Severity(IntEnum):
    """As the database writes it."""

    UNKNOWN = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @classmethod
    def of_score(cls, score: float) -> Severity:
        """The rating scale of CVSS 3.1, section 5."""
        return cls(sum(score >= floor for floor in (0.1, 4.0, 7.0, 9.0)))


class Status(IntEnum):
    """What a distribution means to do about it, as the database writes it."""

    UNKNOWN = 0
    AFFECTED = 2
    WILL_NOT_FIX = 5


@dataclass(frozen=True, slots=True)
class Source:
    """An ecosystem's advisories: the bucket of the database they are in, and who publishes them."""

    bucket: str
    id: str
    name: str
    url: str


def _github(ecosystem: str, name: str) -> Source:
    title = f"GitHub Security Advisory {name}"
    url = f"https://github.com/advisories?query=type%3Areviewed+ecosystem%3A{ecosystem}"
    return Source(f"{ecosystem}::{title}", "ghsa", title, url)


_DEBIAN = (
    "debian",
    "Debian Security Tracker",
    "https://salsa.debian.org/security-tracker-team/security-tracker",
)
DEBIAN_11 = Source("debian 11", *_DEBIAN)
DEBIAN_12 = Source("debian 12", *_DEBIAN)
ALPINE_318 = Source("alpine 3.18", "alpine", "Alpine Secdb", "https://secdb.alpinelinux.org/")
NPM = _github("npm", "npm")
MAVEN = _github("maven", "Maven")
GO = _github("go", "Go")
K8S = Source(
    "k8s::Official Kubernetes CVE Feed",
    "k8s",
    "Official Kubernetes CVE Feed",
    "https://kubernetes.io/docs/reference/issues-security/official-cve-feed/index.json",
)


@dataclass(frozen=True, slots=True)
class Affected:
    """A package (of a distribution: its source package) and how its versions are hit."""

    source: Source
    package: str
    fixed: str = ""  # of a distribution: the first good version; "": none
    ranges: tuple[
        tuple[str, str], ...
    ] = ()  # of a language: (from, fixed in) pairs; from "" means ever since
    status: Status = Status.UNKNOWN
    severity: Severity = Severity.UNKNOWN  # the distribution's own, for this package
    vendor_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """A CVSS 3 base score; ``vector`` without the ``CVSS:3.1/`` in front."""

    score: float
    vector: str


@dataclass(frozen=True, slots=True)
class Vulnerability:
    id: str
    title: str
    description: str
    affected: tuple[Affected, ...]
    scores: dict[str, Score] = field(default_factory=dict[str, Score])  # by source id: nvd, ghsa, redhat
    severities: dict[str, Severity] = field(default_factory=dict[str, Severity])  # ratings without a score
    weaknesses: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    published: str = ""  # RFC 3339
    modified: str = ""

    def all_severities(self) -> dict[str, Severity]:
        rated = {source: Severity.of_score(score.score) for source, score in self.scores.items()}
        return rated | self.severities


REMOTE_ALL = "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
REMOTE_CRASH = "AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
LOCAL_CRASH = "AV:L/AC:L/PR:N/UI:R/S:U/C:N/I:N/A:H"
