"""Findings: what a scan of one image says, in the words of the reports.

The parser of Trivy's output makes these values, the report builders read them. They are complete and final:
severities and scores are already chosen (``choose_severity``, ``choose_score``), dates are RFC 3339 with
seconds, absent text is "". The order of the tuples means nothing.

Of a large result only what reports can show is kept (``worst.py``); ``LeftOut`` counts the rest.

Not here: which of the fields a report shows (settings decide, see ``vulnerability.py``), and the bill of
materials, which stays a plain dict (``Sbom``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

Sbom: TypeAlias = dict[str, Any]
"""CycloneDX reduced to what the reports' ``components`` field may hold."""

Cvss: TypeAlias = Mapping[str, Mapping[str, float | str]]
"""Vendor to ``V2Score``, ``V2Vector``, ``V3Score``, ``V3Vector``, ``V40Score``, ``V40Vector``."""


class Severity(StrEnum):
    """How bad a finding is; members are declared worst first."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def parse(cls, text: str) -> Severity:
        """Read a severity in any case; what Trivy does not know is ``UNKNOWN``."""
        return _SEVERITY_BY_NAME.get(text.upper(), cls.UNKNOWN)

    @property
    def rank(self) -> int:
        """0 is the worst; sorts findings worst first."""
        return _RANK[self]


_SEVERITY_BY_NAME = {severity.value: severity for severity in Severity}
_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_SEVERITY_BY_NUMBER = (Severity.UNKNOWN, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)


class Vulnerability(msgspec.Struct, frozen=True, kw_only=True):
    """One CVE (or advisory) in one installed package."""

    id: str
    package: str
    installed_version: str = ""
    fixed_version: str = ""  # "" when there is no fix
    severity: Severity
    title: str = ""
    description: str = ""
    primary_link: str = ""
    links: tuple[str, ...] = ()
    published: str = ""
    modified: str = ""
    score: float | None = None
    purl: str = ""
    cvss: Cvss = msgspec.field(default_factory=dict[str, Mapping[str, float | str]])
    target: str = ""
    class_name: str = ""  # "os-pkgs", "lang-pkgs"
    package_type: str = ""  # "debian", "npm", "jar", ...
    package_path: str = ""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """One secret left inside an image; ``match`` is the line with the secret itself masked."""

    target: str
    rule_id: str
    title: str = ""
    severity: Severity
    category: str = ""
    match: str = ""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, but is too much for any report."""

    counts: Mapping[Severity, int] = msgspec.field(default_factory=dict[Severity, int])
    fixable: Mapping[Severity, int] = msgspec.field(default_factory=dict[Severity, int])  # of those
    texts: tuple[str, ...] = ()  # that the findings lack, or have only in part; named as plans name them

    @property
    def count(self) -> int:
        """How many findings are missing."""
        return sum(self.counts.values())


class BomLeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """What a bill of materials has, but is too much for any report."""

    fields: tuple[str, ...] = ()  # that its components lack, named as plans name them
    components: int = 0
    dependencies: int = 0


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What one scan of one image found."""

    os_family: str = ""
    os_name: str = ""
    eosl: bool = False  # the distribution is past its end of service life
    image_id: str = ""  # the digest of the image's configuration
    has_content: bool = True  # False: neither a layer nor anything in one, as in an artifact that is no image
    repo_digests: tuple[str, ...] = ()  # "quay.io/a/b@sha256:..."
    vulnerabilities: tuple[Vulnerability, ...] = ()
    vulnerabilities_left_out: LeftOut = LeftOut()
    secrets: tuple[Secret, ...] = ()
    secrets_left_out: LeftOut = LeftOut()
    scanner_version: str
    artifact_name: str = ""
    has_packages: bool = False  # without packages there is no bill of materials worth keeping

    @property
    def secret_count(self) -> int:
        """How many secrets were found, also those that were left out."""
        return len(self.secrets) + self.secrets_left_out.count


def choose_severity(vendor_severity: Mapping[str, int], source: str, own: str) -> Severity:
    """Choose the severity a report shows: that of the severity source, else Trivy's own.

    ``vendor_severity`` maps vendor to Trivy's numbers (0 unknown .. 4 critical), ``source`` is the vendor
    Trivy took as its source, ``own`` the severity Trivy printed.
    """
    number = vendor_severity.get(source)
    if number is None or not 0 <= number < len(_SEVERITY_BY_NUMBER):
        return Severity.parse(own)
    return _SEVERITY_BY_NUMBER[number]


def choose_score(cvss: Cvss, source: str = "") -> float | None:
    """Choose the one CVSS version 3 score a report shows, or ``None`` when no vendor gave one.

    The order is fixed: the severity source's, then the other vendors' in alphabetical order, NVD's last
    (a distribution knows its own build better). A score of 0 counts as missing.
    """
    vendors = sorted(cvss, key=lambda vendor: (vendor == "nvd", vendor != source, vendor))
    for vendor in vendors:
        score = cvss[vendor].get("V3Score")
        if isinstance(score, (int, float)) and score > 0:
            return float(score)
    return None
