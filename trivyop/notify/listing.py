"""Listing: the findings that a report of any kind shows, and the id under which each is recorded.

A finding is one vulnerability in one package, one secret rule in one file, one failed check, one failed
control. Versions do not belong to its identity: an update of the package that keeps the vulnerability makes
no new finding. The id has 48 bits: 44 of a hash that identifies the finding, 3 of its severity, 1 whether it
can be fixed. So a finding that grew worse is still the same, and the severity of one that is gone is known.

Reports are read as they are stored, whoever wrote them: what does not match the schema is skipped, never an
error. Rows of the same finding (a package that is there twice) count as one, as bad as the worst of them.

Not here: bills of materials, which have no findings; what is new (``findings.py``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from trivyop.report import keys
from trivyop.report.budget import Omitted
from trivyop.report.findings import Severity

ID_BYTES = 6

_STATE_BITS = 4
_STATE_MASK = (1 << _STATE_BITS) - 1
_HASH_BITS = 8 * ID_BYTES - _STATE_BITS
_SEVERITIES = tuple(Severity)
_POD_TEMPLATE_HASH = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5,10}")

Row = Mapping[str, Any]


class FindingKind(StrEnum):
    """What kind of thing was found."""

    VULNERABILITY = "vulnerability"
    SECRET = "secret"  # noqa: S105  (a word, not one)
    CHECK = "check"
    CONTROL = "control"  # of a compliance report


class FindingRef(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One finding, as far as messages describe it; texts are "" where nothing is known."""

    id: int  # what the ledger records
    kind: FindingKind | None = None  # None: nothing but the id is known any more
    name: str = ""  # "CVE-2023-5363", "aws-access-key-id", "AVD-KSV-0014"
    severity: Severity
    fixable: bool = True  # only of a vulnerability it can be false
    package: str = ""
    installed_version: str = ""
    fixed_version: str = ""
    place: str = ""  # the file, of a secret or of a package in a language's archive
    title: str = ""
    link: str = ""

    @property
    def which(self) -> int:
        """What stays the same as long as it is the same finding."""
        return which(self.id)

    @property
    def identity(self) -> str:
        """``which`` as text: the same when it is added and when it is resolved."""
        return f"{self.which:011x}"

    @classmethod
    def of_id(cls, number: int) -> FindingRef:
        """A finding of which only the id is known."""
        rank = (number & _STATE_MASK) >> 1
        severity = _SEVERITIES[rank] if rank < len(_SEVERITIES) else Severity.UNKNOWN
        return cls(id=number, severity=severity, fixable=bool(number & 1))


def finding_id(identity: Iterable[str], severity: Severity, *, fixable: bool) -> int:
    """The number for a finding; ``identity`` are the texts that make it the same finding next time."""
    digest = hashlib.blake2b("\0".join(identity).encode(errors="surrogatepass"), digest_size=8).digest()
    number = int.from_bytes(digest) >> (64 - _HASH_BITS)
    return number << _STATE_BITS | severity.rank << 1 | fixable


def which(number: int) -> int:
    """The part of an id that says which finding it is."""
    return number >> _STATE_BITS


def grew(old: int, new: int) -> bool:
    """Of two ids of one finding: whether it is worse now, or has a fix that it had not."""
    worse = (new & _STATE_MASK) >> 1 < (old & _STATE_MASK) >> 1
    return worse or bool(new & 1 and not old & 1)


def order(found: FindingRef) -> tuple[int, bool, str, str, int]:
    """Sorts findings: worst first, those with a fix before those without, then by name."""
    return found.severity.rank, not found.fixable, found.name, found.package, found.id


def list_findings(report: Row) -> tuple[FindingRef, ...]:
    """Every finding once, worst first."""
    found: dict[int, FindingRef] = {}
    for one in _all(report):
        known = found.get(one.which)
        if known is None:
            found[one.which] = one
        elif one.id != known.id:
            found[one.which] = _together(known, one)
    return tuple(sorted(found.values(), key=order))


def shows_everything(report: Row) -> bool:
    """Whether no finding was left out of the report for its size."""
    annotations = _mapping(_mapping(report, "metadata"), "annotations")
    return not Omitted.of({key: text for key, text in annotations.items() if isinstance(text, str)}).findings


def baseline_key(report: Row) -> str:
    """What a report is about, whatever its revision: two ReplicaSets of one Deployment have the same key.

    Findings are compared along it, so that a rollout that changes nothing in an image sends nothing.
    """
    labels = _mapping(_mapping(report, "metadata"), "labels")
    kind, name = _text(labels, keys.RESOURCE_KIND), _text(labels, keys.RESOURCE_NAME)
    if not kind or not name:
        meta = _mapping(report, "metadata")
        return f"{_text(report, 'kind')}//{_text(meta, 'namespace')}/{_text(meta, 'name')}/"
    namespace, container = _text(labels, keys.RESOURCE_NAMESPACE), _text(labels, keys.CONTAINER_NAME)
    return "/".join((_text(report, "kind"), kind, namespace, stem(kind, name), container))


def stem(kind: str, name: str) -> str:
    """The name of a resource without what changes with each revision: a Deployment's, for its ReplicaSet."""
    if kind != "ReplicaSet":
        return name
    before, dash, suffix = name.rpartition("-")
    return before if before and _POD_TEMPLATE_HASH.fullmatch(dash + suffix) else name


def _all(report: Row) -> Iterator[FindingRef]:
    body = _mapping(report, "report")
    for field, read in _READERS.items():
        for row in _rows(body, field):
            yield from read(row)
    status = _mapping(report, "status")
    for row in _rows(_mapping(status, "summaryReport"), "controlCheck"):
        failed = row.get("totalFail")
        if isinstance(failed, int) and failed > 0:
            yield _control(row)
    for row in _rows(_mapping(status, "detailReport"), "results"):
        if any(check.get("success") is False for check in _rows(row, "checks")):
            yield _control(row)


def _vulnerability(row: Row) -> Iterator[FindingRef]:
    name, package, fixed = _text(row, "vulnerabilityID"), _text(row, "resource"), _text(row, "fixedVersion")
    severity = Severity.parse(_text(row, "severity"))
    yield FindingRef(
        id=finding_id((name, package), severity, fixable=bool(fixed)),
        kind=FindingKind.VULNERABILITY,
        name=name,
        severity=severity,
        fixable=bool(fixed),
        package=package,
        installed_version=_text(row, "installedVersion"),
        fixed_version=fixed,
        place=_text(row, "packagePath"),
        title=_text(row, "title"),
        link=_text(row, "primaryLink"),
    )


def _secret(row: Row) -> Iterator[FindingRef]:
    name, place = _text(row, "ruleID"), _text(row, "target")
    severity = Severity.parse(_text(row, "severity"))
    yield FindingRef(
        id=finding_id((name, place), severity, fixable=True),
        kind=FindingKind.SECRET,
        name=name,
        severity=severity,
        place=place,
        title=_text(row, "title"),
    )


def _check(row: Row) -> Iterator[FindingRef]:
    if row.get("success") is False:
        yield _named(FindingKind.CHECK, _text(row, "checkID"), row, _text(row, "title"))


def _control(row: Row) -> FindingRef:
    return _named(FindingKind.CONTROL, _text(row, "id"), row, _text(row, "name"))


def _named(kind: FindingKind, name: str, row: Row, title: str) -> FindingRef:
    severity = Severity.parse(_text(row, "severity"))
    number = finding_id((name,), severity, fixable=True)
    return FindingRef(id=number, kind=kind, name=name, severity=severity, title=title)


_READERS: Mapping[str, Callable[[Row], Iterator[FindingRef]]] = {
    "vulnerabilities": _vulnerability,
    "secrets": _secret,
    "checks": _check,
}


def _together(one: FindingRef, other: FindingRef) -> FindingRef:
    """One finding out of two rows for it: the worse severity, and a fix if either has one."""
    first, second = sorted((one, other), key=order)
    fixable = first.fixable or second.fixable
    fixed_version = first.fixed_version or second.fixed_version
    return replace(first, id=first.id | fixable, fixable=fixable, fixed_version=fixed_version)


def _mapping(row: Row, field: str) -> Row:
    value = row.get(field)
    return cast(Row, value) if isinstance(value, dict) else {}


def _rows(row: Row, field: str) -> Iterator[Row]:
    value = row.get(field)
    if isinstance(value, list):
        for one in cast(list[Any], value):
            if isinstance(one, dict):
                yield cast(Row, one)


def _text(row: Row, field: str) -> str:
    value = row.get(field)
    return value if isinstance(value, str) else ""
