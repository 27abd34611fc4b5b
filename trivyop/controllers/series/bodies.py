"""Bodies: reports as far as metrics read them.

The Go operator leaves out, or writes as null, what is empty; every field has a default.
"""

from __future__ import annotations

import msgspec

from trivyop.kube.objects import Object
from trivyop.observe.exposition import show_labels, show_number

Counts = tuple[int, int, int, int, int]
"""By severity, worst first."""


class _Summary(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    critical_count: int = 0
    high_count: int = 0
    medium_count: int = 0
    low_count: int = 0
    unknown_count: int = 0

    @property
    def counts(self) -> Counts:
        return (self.critical_count, self.high_count, self.medium_count, self.low_count, self.unknown_count)


class _Artifact(msgspec.Struct, frozen=True, gc=False):
    repository: str = ""
    tag: str = ""
    digest: str = ""


class _Registry(msgspec.Struct, frozen=True, gc=False):
    server: str = ""


class _System(msgspec.Struct, frozen=True, gc=False):
    family: str = ""
    name: str = ""
    eosl: bool = False


class _Vulnerability(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    vulnerability_id: str = msgspec.field(name="vulnerabilityID", default="")
    resource: str = ""
    installed_version: str = ""
    fixed_version: str = ""
    severity: str = ""
    title: str = ""
    published_date: str = ""
    last_modified_date: str = ""
    target: str = ""
    class_: str = msgspec.field(name="class", default="")
    package_type: str = ""
    package_path: str = ""
    score: float | None = None

    def labels(self) -> str:
        return show_labels(
            installed_version=self.installed_version,
            fixed_version=self.fixed_version,
            published_date=self.published_date,
            last_modified_date=self.last_modified_date,
            resource=self.resource,
            severity=self.severity.title(),
            package_type=self.package_type,
            pkg_path=self.package_path,
            target=self.target,
            class_=self.class_,
            vuln_id=self.vulnerability_id,
            vuln_title=self.title,
            vuln_score="" if self.score is None else show_number(self.score),
        )


class _Secret(msgspec.Struct, frozen=True, gc=False):
    category: str = ""
    rule_id: str = msgspec.field(name="ruleID", default="")
    target: str = ""
    title: str = ""
    severity: str = ""

    def labels(self) -> str:
        return show_labels(
            secret_category=self.category,
            secret_rule_id=self.rule_id,
            secret_target=self.target,
            secret_title=self.title,
            severity=self.severity.title(),
        )


class _Check(msgspec.Struct, frozen=True, gc=False):
    id: str = msgspec.field(name="checkID", default="")
    title: str = ""
    description: str = ""
    category: str = ""
    severity: str = ""
    success: bool = False


class ScanBody(msgspec.Struct, frozen=True, gc=False):
    artifact: _Artifact = _Artifact()
    registry: _Registry = _Registry()
    os: _System = _System()
    summary: _Summary = _Summary()
    vulnerabilities: tuple[_Vulnerability, ...] | None = None
    secrets: tuple[_Secret, ...] | None = None


class _AuditBody(msgspec.Struct, frozen=True, gc=False):
    summary: _Summary = _Summary()
    checks: tuple[_Check, ...] | None = None


class ScanReport(Object, frozen=True, gc=False):
    """A report on an image."""

    report: ScanBody = ScanBody()


class AuditReport(Object, frozen=True, gc=False):
    """A report on a resource."""

    report: _AuditBody = _AuditBody()


class _Standard(msgspec.Struct, frozen=True, gc=False):
    title: str = ""
    description: str = ""


class _Spec(msgspec.Struct, frozen=True, gc=False):
    compliance: _Standard = _Standard()


class Totals(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    fail_count: int = 0
    pass_count: int = 0


class _Control(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    id: str = ""
    name: str = ""
    severity: str = ""
    total_fail: int | None = None  # of a control that no check answers


class _Controls(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    control_check: tuple[_Control, ...] | None = None


class Status(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    summary: Totals | None = None
    summary_report: _Controls | None = None


class ComplianceReport(Object, frozen=True, gc=False):
    """A report on compliance with a benchmark."""

    spec: _Spec = _Spec()
    status: Status | None = None
