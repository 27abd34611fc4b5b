"""Resource: a ClusterComplianceReport as the API server sends it, and the little of its status that counts.

Anybody may write a status, trivy-operator among them: one that does not decode counts as none.

Promises: pure. Two statuses with the same ``answers`` say the same of every control.
Not here: what the specification asks (``specification.py``), how a status is written (``status.py``).
"""

from __future__ import annotations

from typing import Self

import msgspec

from trivyop.kube.objects import Object


class Condition(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A condition of a status."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""


class Summary(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """How many controls have each result."""

    fail_count: int = 0
    pass_count: int = 0
    manual_count: int = 0
    not_evaluated_count: int = 0
    not_applicable_count: int = 0


class _Finding(msgspec.Struct, frozen=True, gc=False):
    check_id: str = msgspec.field(name="checkID", default="")
    target: str = ""


class _Row(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    id: str = ""
    result: str = ""  # "" where another program wrote it
    total_fail: int | None = None
    reason: str = ""
    message: str = ""
    checks: tuple[_Finding, ...] = ()


class _SummaryReport(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    control_check: tuple[_Row, ...] = ()


class _DetailReport(msgspec.Struct, frozen=True, gc=False):
    results: tuple[_Row, ...] = ()


class _Status(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    update_timestamp: str | None = None
    observed_generation: int = 0
    next_run: str = ""
    conditions: tuple[Condition, ...] = ()
    summary: Summary | None = None
    summary_report: _SummaryReport | None = None
    detail_report: _DetailReport | None = None


class SaidStatus(msgspec.Struct, frozen=True, gc=False):
    """What a status says."""

    updated: str = ""  # RFC 3339
    observed_generation: int = 0
    next_run: str = ""  # RFC 3339; "" if the schedule can not be followed
    conditions: tuple[Condition, ...] = ()
    summary: Summary | None = None  # None: no control has an answer
    answers: int = 0  # stands for the answers to all controls, with what is listed of them
    foreign: bool = False  # another program wrote it

    @classmethod
    def parse(cls, data: msgspec.Raw | bytes) -> Self:
        """Read a status; never fails."""
        try:
            found = msgspec.json.decode(data, type=_Status | None) or _Status()
        except (msgspec.DecodeError, UnicodeDecodeError):
            return cls(foreign=True)
        rows = (found.summary_report or _SummaryReport()).control_check
        rows += (found.detail_report or _DetailReport()).results
        return cls(
            updated=found.update_timestamp or "",
            observed_generation=found.observed_generation,
            next_run=found.next_run,
            conditions=found.conditions,
            summary=found.summary,
            answers=hash((found.summary_report, found.detail_report)),
            foreign=any(not row.result for row in rows),
        )

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, if there is one."""
        return next((one for one in self.conditions if one.type == kind), None)


class ComplianceReport(Object, frozen=True, gc=False, kw_only=True):
    """A ClusterComplianceReport."""

    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")
