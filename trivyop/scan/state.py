"""Between the ImageScan's status, as people read it, and the history that the rules decide on.

Pure: each function answers with a new status. Conditions: `Succeeded` is whether the last attempt did;
`InUse` is false, with its time, while nothing runs the image; `Delivered` is false, with the reason, while
the server refuses a report of it; `Matchable` is false, with the reason, if only a scan can refresh the
result.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from trivyop.kube.times import format_precise, format_time, time_or_none
from trivyop.report.findings import Findings
from trivyop.report.summary import SeverityCounts
from trivyop.scan.imagescan import (
    Condition,
    Database,
    ImageScanStatus,
    OperatingSystem,
    Phase,
    ResultSource,
    Scanner,
    Summary,
)
from trivyop.scan.lifecycle import History, Reason
from trivyop.scan.matchable import Problem
from trivyop.trivy.failures import Failure
from trivyop.workload.images import any_digest

IN_USE = "InUse"
SUCCEEDED = "Succeeded"
DELIVERED = "Delivered"
MATCHABLE = "Matchable"
NOTHING_TO_SCAN = "nothing-to-scan"
"""Reason of a success without reports: what the reference names is no image."""


def history_of(status: ImageScanStatus) -> History:
    """What the rules need to know of a status."""
    in_use = _condition(status, IN_USE)
    unused = in_use is not None and in_use.status == "False"
    final = status.phase in (Phase.SUCCEEDED, Phase.UNDELIVERED, Phase.FAILED)
    pinned = bool(any_digest(status.reference))
    return History(
        last_attempt=time_or_none(status.last_attempt),
        last_success=time_or_none(status.last_success),
        next_retry=time_or_none(status.next_retry),
        failed=status.phase is Phase.FAILED,
        attempts=status.attempts,
        interrupted=status.phase is Phase.RUNNING,
        handled_job=status.job if final else "",
        settings_hash=status.settings_hash,
        database_updated=time_or_none(status.database.updated_at) if status.database else None,
        settled=pinned and status.reason == NOTHING_TO_SCAN and status.phase is Phase.SUCCEEDED,
        unused_since=time_or_none(in_use.last_transition_time) if in_use and unused else None,
    )


def queued(status: ImageScanStatus, reason: Reason) -> ImageScanStatus:
    """It waits for a slot; `reason` is why it is to be scanned."""
    return replace(_without_others_failure(status), phase=Phase.QUEUED, scan_reason=reason.value)


def held_back(status: ImageScanStatus, failure: Failure) -> ImageScanStatus:
    """It waits until a pod of another scan starts, since `failure` keeps them all from it."""
    if status.consecutive_failures:
        return status  # it says why itself
    return replace(unstarted(status, failure), phase=Phase.QUEUED)


def unstarted(status: ImageScanStatus, failure: Failure) -> ImageScanStatus:
    """It has a Job, whose pod `failure` keeps from starting; that is waited for."""
    return replace(status, reason=failure.failure_class.value, message=failure.advice)


def settled(status: ImageScanStatus) -> ImageScanStatus:
    """It waits for nothing (any more): the phase tells of the last outcome."""
    if status.consecutive_failures:
        return replace(status, phase=Phase.FAILED)
    status = _without_others_failure(status)
    if not status.last_success:
        return replace(status, phase=Phase.PENDING)
    delivered = _condition(status, DELIVERED)
    lacks = delivered is not None and delivered.status == "False"
    return replace(status, phase=Phase.UNDELIVERED if lacks else Phase.SUCCEEDED)


def _without_others_failure(status: ImageScanStatus) -> ImageScanStatus:
    """Without what kept others from starting, and so this one from being tried."""
    return status if status.consecutive_failures else replace(status, reason="", message="")


def attempted(status: ImageScanStatus, *, now: datetime) -> ImageScanStatus:
    """It was tried, and did not get as far as to have a Job."""
    return replace(status, attempts=status.attempts + 1, last_attempt=format_precise(now))


def started(
    status: ImageScanStatus, job: str, why: Reason | None = None, *, now: datetime
) -> ImageScanStatus:
    """A Job was made for it; reason and message of the last failure stay until the outcome is known.

    `why` is why it is scanned, if that is known.
    """
    return replace(
        status,
        phase=Phase.RUNNING,
        scan_reason=status.scan_reason if why is None else why.value,
        job=job,
        attempts=status.attempts + 1,
        last_attempt=format_precise(now),
        next_retry="",
    )


def succeeded(
    status: ImageScanStatus,
    *,
    source: ResultSource,
    settings_hash: str,
    digest: str,
    findings: Findings,
    secrets: int,
    database: Database | None,
    now: datetime,
) -> ImageScanStatus:
    """There is a new result. `secrets` counts them also where the findings are of packages only."""
    counts = SeverityCounts.of_vulnerabilities(findings)
    return _with_condition(
        replace(
            status,
            phase=Phase.SUCCEEDED,
            reason="",
            message="",
            consecutive_failures=0,
            last_attempt=format_precise(now) if source is ResultSource.REMATCH else status.last_attempt,
            last_success=format_time(now),
            next_retry="",
            digest=digest,
            scanner=_said(Scanner(version=findings.scanner_version)),
            database=_said(database),
            settings_hash=settings_hash,
            source=source,
            summary=_summary(counts, secrets),
            os=_said(OperatingSystem(family=findings.os_family, name=findings.os_name)),
        ),
        Condition(type=SUCCEEDED, status="True", reason=source.value),
        now,
    )


def has_nothing(status: ImageScanStatus) -> bool:
    """Whether what it names is no image, so that no report is missing."""
    return status.reason == NOTHING_TO_SCAN and status.phase is Phase.SUCCEEDED


def nothing_to_scan(
    status: ImageScanStatus, message: str, *, digest: str, settings_hash: str, now: datetime
) -> ImageScanStatus:
    """What was asked for is no image: that is the answer, and there are no reports."""
    return _with_condition(
        replace(
            status,
            phase=Phase.SUCCEEDED,
            reason=NOTHING_TO_SCAN,
            message=message,
            consecutive_failures=0,
            last_success=format_time(now),
            next_retry="",
            digest=digest,
            settings_hash=settings_hash,
            source=ResultSource.SCAN,
            summary=None,
            os=None,
        ),
        Condition(type=SUCCEEDED, status="True", reason="NothingToScan", message=message),
        now,
    )


def adopted(
    status: ImageScanStatus,
    *,
    digest: str,
    settings_hash: str,
    counts: SeverityCounts | None,
    secrets: int,
    scanned_at: datetime,
    now: datetime,
) -> ImageScanStatus:
    """Reports that were there before say what a scan found at `scanned_at`."""
    return _with_condition(
        replace(
            status,
            phase=Phase.SUCCEEDED,
            last_attempt=format_time(scanned_at),
            last_success=format_time(scanned_at),
            digest=digest,
            settings_hash=settings_hash,
            source=ResultSource.ADOPTED,
            summary=_summary(counts or SeverityCounts(), secrets),
        ),
        Condition(type=SUCCEEDED, status="True", reason=ResultSource.ADOPTED.value),
        now,
    )


def failed(
    status: ImageScanStatus, failure: Failure, *, retry_at: datetime | None, now: datetime
) -> ImageScanStatus:
    """The attempt failed; what an earlier one found stays."""
    return _with_condition(
        replace(
            status,
            phase=Phase.FAILED,
            reason=failure.failure_class.value,
            message=failure.message,
            consecutive_failures=status.consecutive_failures + 1,
            last_attempt=status.last_attempt or format_precise(now),
            next_retry=format_time(retry_at),
        ),
        Condition(
            type=SUCCEEDED,
            status="False",
            reason=failure.failure_class.value,
            message=failure.advice,
        ),
        now,
    )


def delivered(status: ImageScanStatus, problem: str, *, now: datetime) -> ImageScanStatus:
    """Its reports are written, but for `problem`; "" for none. A scan succeeds with all of them only."""
    condition = Condition(
        type=DELIVERED,
        status="False" if problem else "True",
        reason="Refused" if problem else "Written",
        message=problem,
    )
    if status.phase in (Phase.SUCCEEDED, Phase.UNDELIVERED):
        status = replace(status, phase=Phase.UNDELIVERED if problem else Phase.SUCCEEDED)
    return _with_condition(status, condition, now)


def matchable(status: ImageScanStatus, problem: Problem | None, *, now: datetime) -> ImageScanStatus:
    """Whether its bill of materials can be matched against newer databases: if there is no `problem`."""
    condition = Condition(
        type=MATCHABLE,
        status="True" if problem is None else "False",
        reason="Proved" if problem is None else problem.reason.value,
        message="" if problem is None else f"{problem.message}; so a scan refreshes its result",
    )
    return _with_condition(status, condition, now)


def with_refresh(status: ImageScanStatus, due: datetime | None) -> ImageScanStatus:
    """Its result is fresh until then; None: for ever."""
    return replace(status, next_refresh=format_time(due))


def unused(status: ImageScanStatus, since: datetime | None, *, now: datetime) -> ImageScanStatus:
    """Nothing runs the image since then; None: something does again."""
    condition = Condition(type=IN_USE, status="True" if since is None else "False")
    return _with_condition(status, condition, now)


V = TypeVar("V", Scanner, Database, OperatingSystem)


def _said(part: V | None) -> V | None:
    """The part of a status, or None if nothing in it is known: then its field is left out as a whole."""
    return None if part is None or part == type(part)() else part


def _summary(counts: SeverityCounts, secrets: int) -> Summary:
    return Summary(
        critical_count=counts.critical,
        high_count=counts.high,
        medium_count=counts.medium,
        low_count=counts.low,
        unknown_count=counts.unknown,
        secret_count=secrets,
    )


def _condition(status: ImageScanStatus, type_: str) -> Condition | None:
    return next((one for one in status.conditions if one.type == type_), None)


def _with_condition(status: ImageScanStatus, condition: Condition, now: datetime) -> ImageScanStatus:
    """Set a condition; its transition time is kept while its status is."""
    before = _condition(status, condition.type)
    same = before is not None and before.status == condition.status
    since = before.last_transition_time if before is not None and same else format_time(now)
    others = [one for one in status.conditions if one.type != condition.type]
    conditions = sorted([*others, replace(condition, last_transition_time=since)], key=lambda one: one.type)
    return replace(status, conditions=tuple(conditions))
