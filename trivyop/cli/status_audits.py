"""The part of `trivyop status` about audits: how many reports say what, and what could not be audited.

Failures are read from the Events that the operator writes, and repeats while they last. One counts as over
when there is a newer report on its object; a problem of a policy, when the ConfigMap was changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from trivyop.cli.tables import show_table
from trivyop.controllers.audits.policies import POLICIES_CONFIG
from trivyop.errors import TerminalError
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import CONFIGMAPS, EVENTS, ObjectKey
from trivyop.report import kinds
from trivyop.report.stored import StoredReport
from trivyop.report.summary import SeverityCounts

_HEADER = ("REPORTS", "COUNT", "CRITICAL", "HIGH", "MEDIUM", "LOW")
_AUDIT_REASONS = ("AuditFailed", "ReportRefused")
_POLICY_REASON = "PolicyProblem"


class _Involved(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class _Event(Object, frozen=True, rename="camel", kw_only=True):
    involved_object: _Involved = _Involved()
    message: str = ""
    last_timestamp: str | None = None


class _Managed(msgspec.Struct, frozen=True):
    time: str = ""


class _ManagedMeta(msgspec.Struct, frozen=True, rename="camel"):
    uid: str = ""
    creation_timestamp: str = ""
    managed_fields: tuple[_Managed, ...] = ()


class _ConfigMap(msgspec.Struct, frozen=True):
    metadata: _ManagedMeta


@dataclass(frozen=True, slots=True)
class Tally:
    """What the reports of one kind say together."""

    kind: str
    count: int
    critical: int
    high: int
    medium: int
    low: int


@dataclass(frozen=True, slots=True)
class AuditsState:
    """How audits stand."""

    tallies: tuple[Tally, ...]
    problems: tuple[str, ...]  # a line for each


async def read_audits(api: Api, operator_namespace: str, namespace: str = "") -> AuditsState:
    """Read how audits stand in `namespace`, "" for all; what may not be read counts as empty."""
    tallies: list[Tally] = []
    newest: dict[str, str] = {}  # time of the newest report, by the uid of what it is about
    for resource in (kind.resource for kind in kinds.KINDS if kind.in_status):
        if namespace and not resource.namespaced:
            continue
        try:
            listing = await api.list(resource, type=Object, namespace=namespace, metadata_only=True)
        except TerminalError:
            continue  # not installed, or not for everybody's eyes
        reports = [StoredReport.parse(report) for report in listing.items]
        counts = [SeverityCounts.parse(report.summary) or SeverityCounts() for report in reports]
        if reports:
            tallies.append(
                Tally(
                    resource.kind,
                    len(reports),
                    sum(one.critical for one in counts),
                    sum(one.high for one in counts),
                    sum(one.medium for one in counts),
                    sum(one.low for one in counts),
                )
            )
        for report in reports:
            newest[report.owner_uid] = max(newest.get(report.owner_uid, ""), report.scanned_at)
    try:
        policies = await _policy_problems(api, operator_namespace)
        problems = [*policies, *await _failures(api, namespace, newest)]
    except TerminalError:
        note = "failures of audits are not shown: you may not read Events"
        problems = [note] if tallies else []
    return AuditsState(tuple(tallies), tuple(problems))


def show_audits(state: AuditsState) -> str:
    """A table by kind of report, and a line for each problem; empty if there is nothing to show."""
    rows: list[Sequence[str]] = [
        (
            tally.kind,
            *map(str, (tally.count, tally.critical, tally.high, tally.medium, tally.low)),
        )
        for tally in state.tallies
    ]
    parts = [show_table(_HEADER, rows) if rows else "", "\n".join(state.problems)]
    return "\n\n".join(part for part in parts if part)


async def _failures(api: Api, namespace: str, newest: dict[str, str]) -> Iterable[str]:
    lines: dict[str, str] = {}
    for reason in _AUDIT_REASONS:
        for event in await _events(api, namespace, reason):
            about = event.involved_object
            if (event.last_timestamp or "") > newest.get(about.uid, ""):
                place = f"{about.namespace}/{about.name}" if about.namespace else about.name
                lines[about.uid] = f"{about.kind} {place}: not audited: {event.message}"
    return [lines[uid] for uid in sorted(lines, key=lambda uid: lines[uid])]


async def _policy_problems(api: Api, operator_namespace: str) -> Iterable[str]:
    events = await _events(api, operator_namespace, _POLICY_REASON)
    if not events:
        return ()
    try:
        found = await api.get(CONFIGMAPS, ObjectKey(operator_namespace, POLICIES_CONFIG), _ConfigMap)
    except TerminalError:
        return ()
    meta = found.metadata if found is not None else _ManagedMeta()  # what is no policy's has no ConfigMap
    changed = max((entry.time for entry in meta.managed_fields), default=meta.creation_timestamp)
    return sorted(
        {
            f"ConfigMap {operator_namespace}/{POLICIES_CONFIG}: {event.message}"
            for event in events
            if event.involved_object.uid == meta.uid and (event.last_timestamp or "") >= changed
        }
    )


async def _events(api: Api, namespace: str, reason: str) -> list[_Event]:
    listing = await api.list(EVENTS, type=_Event, namespace=namespace, field_selector=f"reason={reason}")
    return listing.items
