"""CloudEvents 1.0 over HTTP: one event a request, structured or binary.

Types are ``report.updated`` and ``report.deleted`` (the data is the whole report), ``finding.added`` and
``finding.resolved`` (the data is a batch of findings, and what they were found in), ``scan.failed``. They
have no prefix: ``source`` says that they are ours. Attributes beyond the standard's are ``kind`` and
``namespace`` of the report and ``severity``, the worst of the event, so that brokers can choose by them.

Batches hold at most ``MAX_FINDINGS`` findings and about ``BATCH_BYTES`` bytes; what intermediaries have to
let pass is 64 KiB. Of one report at most ``MAX_BATCHES`` are sent of a type, the worst first; the last says
how many are missing. All of them are in the report.

Promises: the same event gives the same ids. What a filter does not ask for is not in a batch either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from trivyop.kube.times import format_time
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Change, Event, ScanFailed, Verb
from trivyop.notify.filters import SCANS, EventType
from trivyop.notify.findings import FindingsDiff
from trivyop.notify.formats.about import About, made_at
from trivyop.notify.formats.message import Message, event_id
from trivyop.notify.formats.stored import unordered
from trivyop.notify.listing import FindingRef, order

STRUCTURED = "application/cloudevents+json"
MAX_FINDINGS = 100
MAX_BATCHES = 20
BATCH_BYTES = 48 * 1024
_MAX_TEXT = 300  # characters of a text of a finding

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_HEADER_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_NOT_IN_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # what CloudEvents' strings may not have

Attributes = dict[str, str]


class CloudEventsFormat:
    """One CloudEvent a request; ``binary`` puts the attributes into headers, and only data into the body."""

    needs_diff = True

    def __init__(self, *, binary: bool = False) -> None:
        self._message = _binary if binary else _structured

    def render(
        self, event: Event, diff: FindingsDiff | None, endpoint: Endpoint, now: datetime
    ) -> Sequence[Message]:
        events = _scan_failed(event, endpoint) if isinstance(event, ScanFailed) else ()
        if isinstance(event, Change):
            events = _of_change(event, diff, endpoint, now)
        return [self._message(attributes, data) for attributes, data in events]


def _scan_failed(failed: ScanFailed, endpoint: Endpoint) -> Iterator[tuple[Attributes, Any]]:
    namespace, name = failed.scan
    subject = f"imagescans/{namespace}/{name}"
    attributes = _attributes(failed, EventType.SCAN_FAILED, endpoint, subject, format_time(failed.at))
    data = {
        "image": failed.image,
        "digest": failed.digest,
        "platform": failed.platform,
        "reason": failed.reason,
        "message": failed.message,
        "attempts": failed.attempts,
        "workloads": failed.workloads,
    }
    yield {**attributes, "kind": SCANS, "namespace": namespace}, _without_empty(data)


def _of_change(
    change: Change, diff: FindingsDiff | None, endpoint: Endpoint, now: datetime
) -> Iterator[tuple[Attributes, Any]]:
    deleted = change.verb is Verb.DELETE
    made = made_at(change)
    time = made if _TIMESTAMP.fullmatch(made) and not deleted else format_time(now)
    subject = "/".join(filter(None, (change.resource.plural, *change.key)))
    about = {"kind": change.resource.kind, "namespace": change.key.namespace}

    def attributes(type_: EventType, found: Sequence[FindingRef], *parts: str) -> Attributes:
        worst = {"severity": min(found, key=order).severity.value} if found else {}
        own = _attributes(change, type_, endpoint, subject, time, *parts)
        return _without_empty({**own, **about, **worst})

    report_type = EventType.REPORT_DELETED if deleted else EventType.REPORT_UPDATED
    if endpoint.filter.wants(report_type):
        yield attributes(report_type, diff.present if diff else ()), unordered(change)
    if diff is None:
        return
    told_of: list[tuple[EventType, Sequence[FindingRef], frozenset[int]]] = []
    if not deleted:
        changed = frozenset(found.id for found in diff.changed)
        told_of.append((EventType.FINDING_ADDED, diff.news, changed))
    if not endpoint.filter.only_new:
        told_of.append((EventType.FINDING_RESOLVED, diff.resolved, frozenset()))
    for type_, findings, changed in told_of:
        wanted = sorted(filter(endpoint.filter.matches, findings), key=order)
        if wanted and endpoint.filter.wants(type_):
            batches = list(_batches(wanted, changed))
            for number, (found, rows) in enumerate(batches[:MAX_BATCHES], 1):
                data = _findings_data(change, rows, number, len(batches))
                missing = sum(len(more) for more, _ in batches[MAX_BATCHES:])
                if missing and number == MAX_BATCHES:
                    data["omitted"] = missing
                yield attributes(type_, found, str(number), *(one.identity for one in found)), data


def _batches(
    findings: Sequence[FindingRef], changed: frozenset[int]
) -> Iterator[tuple[list[FindingRef], list[Any]]]:
    found: list[FindingRef] = []
    rows: list[Any] = []
    size = 0
    for one in findings:
        row = _row(one, changed=one.id in changed)
        row_size = len(orjson.dumps(row))
        if found and (len(found) == MAX_FINDINGS or size + row_size > BATCH_BYTES):
            yield found, rows
            found, rows, size = [], [], 0
        found.append(one)
        rows.append(row)
        size += row_size
    yield found, rows


def _findings_data(change: Change, rows: Sequence[Any], number: int, count: int) -> dict[str, Any]:
    about = About.of(change)
    report = {
        "apiVersion": change.resource.api_version,
        "kind": change.resource.kind,
        "namespace": change.key.namespace,
        "name": change.key.name,
        "uid": change.uid,
    }
    resource = {"kind": about.kind, "namespace": about.namespace, "name": about.name}
    image = {
        "registry": about.registry,
        "repository": about.repository,
        "tag": about.tag,
        "digest": about.digest,
    }
    data: dict[str, Any] = {
        "report": _without_empty(report),
        "resource": _without_empty({**resource, "container": about.container}),
        "image": _without_empty(image),
        "batch": number,
        "batches": min(count, MAX_BATCHES),
        "findings": rows,
    }
    return data if data["image"] else {key: value for key, value in data.items() if key != "image"}


def _row(found: FindingRef, *, changed: bool) -> dict[str, Any]:
    texts = {
        "kind": found.kind or "",
        "name": found.name,
        "severity": found.severity.value,
        "package": found.package,
        "installedVersion": found.installed_version,
        "fixedVersion": found.fixed_version,
        "place": found.place,
        "title": found.title,
        "link": found.link,
    }
    row: dict[str, Any] = {"id": found.identity}
    row.update({key: text[:_MAX_TEXT] for key, text in texts.items() if text})
    row["fixable"] = found.fixable
    return {**row, "changed": True} if changed else row


def _attributes(
    event: Event, type_: EventType, endpoint: Endpoint, subject: str, time: str, *parts: str
) -> Attributes:
    cluster = quote(endpoint.cluster, safe="")
    return {
        "specversion": "1.0",
        "id": event_id(event, type_, *parts),
        "source": f"/trivyop/clusters/{cluster}" if cluster else "/trivyop",
        "type": type_.value,
        "subject": _NOT_IN_TEXT.sub("", subject),
        "time": time,
    }


def _structured(attributes: Attributes, data: Any) -> Message:
    body = orjson.dumps({**attributes, "datacontenttype": "application/json", "data": data})
    return Message(body, f"{STRUCTURED}; charset=utf-8", attributes["id"])


def _binary(attributes: Attributes, data: Any) -> Message:
    headers = {f"ce-{name}": quote(text, safe=_HEADER_SAFE) for name, text in attributes.items()}
    return Message(orjson.dumps(data), "application/json", attributes["id"], headers)


def _without_empty(texts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: text for key, text in texts.items() if text}
