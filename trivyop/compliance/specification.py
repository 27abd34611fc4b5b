"""Specification: what a ClusterComplianceReport asks, read and validated.

Anybody may write one. What is wrong with it becomes a ``Problem`` that names the field; the rest of it is
evaluated all the same, and other specifications are not affected.

Promises: pure; never fails. Check ids are canonical, so all spellings of a check are equal.
Not here: whether this Trivy has a check (``evaluation.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from trivyop.compliance.resource import ComplianceReport
from trivyop.compliance.schedule import Schedule, ScheduleError
from trivyop.report.checkids import canonical
from trivyop.report.findings import Severity
from trivyop.report.frame import API_VERSION

_PATH = re.compile(r"`\$\.(?P<path>[^`]*)`")
_REASON = re.compile(r" - at `[^`]*`")
_SEVERITIES = frozenset(Severity)
_SHOWN = 5  # problems that a message lists


class ReportType(StrEnum):
    """How much the status says."""

    SUMMARY = "summary"  # how many findings each control has
    ALL = "all"  # and what they are


class _Id(msgspec.Struct, frozen=True, gc=False):
    id: str


class _Control(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    id: str
    name: str
    severity: str
    description: str = ""
    default_status: str = ""
    checks: tuple[_Id, ...] | None = None


class _Standard(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    id: str
    title: str
    controls: tuple[_Control, ...]
    description: str = ""
    version: str = ""
    related_resources: tuple[str, ...] | None = None


class _Spec(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    compliance: _Standard
    cron: str
    report_type: str
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a specification."""

    field: str  # "spec.compliance.controls[3].severity"
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that a standard asks for."""

    id: str
    name: str
    severity: str  # as written
    description: str
    default_status: str  # as written; "" where it is not
    checks: tuple[str, ...]  # canonical ids, each once; none: people have to look

    @property
    def is_counted(self) -> bool:
        """Whether the number of its findings is reported; dashboards know the others by the word."""
        return "Manual" not in self.name


@dataclass(frozen=True, slots=True)
class Specification:
    """A standard, and when and how to report on it."""

    name: str  # of the object
    generation: int
    id: str
    title: str
    description: str
    version: str
    related_resources: tuple[str, ...]
    report_type: ReportType
    controls: tuple[Control, ...]
    schedule: Schedule | None  # None: it can not be followed, which a problem says
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that says too little to be evaluated."""

    name: str
    generation: int
    problems: tuple[Problem, ...]


def parse_specification(report: ComplianceReport, *, now: datetime) -> Specification | Unreadable:
    """Read what a ClusterComplianceReport asks."""
    name, generation = report.metadata.name, report.metadata.generation
    if report.api_version not in ("", API_VERSION):  # lists may leave it out
        message = f"{report.api_version!r} is not {API_VERSION!r}"
        return Unreadable(name, generation, (Problem("apiVersion", message),))
    try:
        spec = msgspec.json.decode(report.spec, type=_Spec)
    except msgspec.ValidationError as error:
        return Unreadable(name, generation, (_problem_of(error),))
    standard = spec.compliance
    problems: list[Problem] = []
    try:
        schedule = Schedule.parse(spec.cron, spec.time_zone, now=now)
    except ScheduleError as error:
        schedule = None
        problems.append(Problem(f"spec.{error.field}", str(error)))
    if spec.report_type not in set(ReportType):
        problems.append(Problem("spec.reportType", f"{spec.report_type!r} is neither 'summary' nor 'all'"))
    return Specification(
        name=name,
        generation=generation,
        id=standard.id,
        title=standard.title,
        description=standard.description,
        version=standard.version,
        related_resources=standard.related_resources or (),
        report_type=ReportType.ALL if spec.report_type == "all" else ReportType.SUMMARY,
        controls=tuple(_controls(standard.controls, problems)),
        schedule=schedule,
        problems=tuple(problems),
    )


def problems_text(problems: tuple[Problem, ...]) -> str:
    """The message of a condition: the first problems, and how many more there are."""
    shown = "; ".join(map(str, problems[:_SHOWN]))
    more = len(problems) - _SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


def _controls(controls: tuple[_Control, ...], problems: list[Problem]) -> Iterator[Control]:
    seen: dict[str, int] = {}
    for index, control in enumerate(controls):
        field = f"spec.compliance.controls[{index}]"
        first = seen.setdefault(control.id, index)
        if first != index:
            message = f"{control.id!r} is the id of controls[{first}], which is the one that counts"
            problems.append(Problem(f"{field}.id", message))
            continue
        if control.severity not in _SEVERITIES:
            message = f"{control.severity!r} is none of {', '.join(Severity)}"
            problems.append(Problem(f"{field}.severity", message))
        checks: list[str] = []
        for position, check in enumerate(control.checks or ()):
            if check.id.strip():
                checks.append(canonical(check.id.strip()))
            else:
                problems.append(Problem(f"{field}.checks[{position}].id", "it is empty"))
        yield Control(
            id=control.id,
            name=control.name,
            severity=control.severity,
            description=control.description,
            default_status=control.default_status,
            checks=tuple(dict.fromkeys(checks)),
        )


def _problem_of(error: msgspec.ValidationError) -> Problem:
    text = str(error)
    found = _PATH.search(text)
    return Problem(f"spec.{found['path']}" if found else "spec", _REASON.sub("", text))
