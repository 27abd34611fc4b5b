"""Deduplication: what one endpoint still has to receive about a subject, given what the ledger recorded.

``prepare`` compares the present state with the ledger and returns an event with what is new in it, or None.
Before a message leaves, ``expect`` records that the endpoint may receive it; afterwards ``delivered`` or
``refused`` records the outcome. Each returns the change of the ledger that the caller waits for.

Findings are also compared along workloads: a rollout makes a report of its own, of which nothing was sent
yet, but compared with the report of the previous revision (its *baseline*) it has few new findings or none.

Promises: the same state is prepared once, also after a restart. What a filter holds back is recorded, so it
is not read again. A deletion is prepared only if the report was sent before, or may have been.
Not here: the content of messages (``notify.formats``), sending (``notify.channel``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Change, Event, Marker, Source, Subject, Verb, deletion
from trivyop.notify.findings import FindingsDiff, diff, pack, unpack
from trivyop.notify.ledger.ledger import Ledger
from trivyop.notify.ledger.records import Mark, Record, content_of
from trivyop.notify.listing import baseline_key

MAX_BASELINE_BYTES: Final = 8_000_000  # 10,000 containers with 130 findings each
_ENTRY_BYTES = 200  # about: the name, and the room in the table


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event that is to be sent."""

    subject: Subject
    event: Event
    diff: FindingsDiff | None
    ids: bytes | None  # of the findings, to be recorded
    baseline: str = ""  # the key under which they become a baseline, too; "": under none


class Deduplicator:
    """Decides for one endpoint; ``fingerprint`` stands for its present configuration."""

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        source: Source,
        *,
        needs_diff: bool,
        by_workload: bool = False,
    ) -> None:
        """With ``by_workload`` a finding is new if no earlier revision of the workload had it."""
        self.fingerprint = ""
        self._endpoint = endpoint
        self._ledger = ledger
        self._source = source
        self._needs_diff = needs_diff or endpoint.filter.needs_diff
        self._by_workload = by_workload or endpoint.filter.only_new
        self._announced: dict[Subject, int] = {}  # with the change that recorded it; nothing was sent yet
        self._baselines = Baselines()

    def wants(self, subject: Subject) -> bool:
        """Whether the endpoint wants this kind at all."""
        kinds = self._endpoint.filter.kinds
        return not kinds or subject.resource.kind in kinds

    def is_due(self, subject: Subject) -> bool:
        """Whether there may be something to send, decided without reading the object."""
        marker = self._source.marker(subject)
        record = self._ledger.get(subject)
        if marker is None:
            gone = self._endpoint.deletes and self._source.has_tombstone(subject, self._endpoint.name)
            return (gone or record is not None) and self._source.certain(subject)
        return record is None or not self._is_delivered(record, marker)

    def announce(self, subject: Subject) -> None:
        """Record ahead of time that the endpoint may receive it, so that senders seldom have to wait."""
        marker = self._source.marker(subject)
        if self._sends_deletions(subject) and self._ledger.get(subject) is None and marker is not None:
            self._announced[subject] = self._ledger.put(subject, Record(marker.uid, marks=Mark.SENT))

    async def prepare(self, subject: Subject) -> Prepared | None:
        """What to send now, or None. Raises what reading the object raises."""
        record = self._ledger.get(subject)
        marker = self._source.marker(subject)
        if marker is None:
            return self._prepare_deletion(subject, record) if self._source.certain(subject) else None
        gone = self._source.tombstone(subject, self._endpoint.name)
        if gone is not None and gone.uid != marker.uid:  # else the informer has yet to notice the deletion
            self._source.settled(subject, self._endpoint.name)  # another object has replaced it
        if record is not None and self._is_delivered(record, marker):
            return None
        event = await self._source.read(subject)
        if event is None:
            return None
        if record is not None and self._is_delivered(record, Marker(event.uid, event.content_hash)):
            if record.uid != event.uid:
                self._ledger.put(subject, Record(event.uid, record.content, record.marks, record.findings))
            return None
        baseline = self._baseline_key(event)
        found = self._diff(record, event, baseline)
        prepared = Prepared(subject, event, found, pack(found.ids) if found is not None else None, baseline)
        if not self._endpoint.filter.accepts(event, found, unsure=_is_unsure(record)):
            self.held_back(prepared)
            return None
        return prepared

    def _prepare_deletion(self, subject: Subject, record: Record | None) -> Prepared | None:
        change = self._source.tombstone(subject, self._endpoint.name)
        if change is None and record is not None and self._endpoint.deletes:
            change = deletion(subject, record.uid)
        unsent = record is not None and Mark.SENT not in record.marks
        if change is None or unsent or not self._sends_deletions(subject):
            self._forget(subject)
            return None
        found = self._diff(record, change)
        if not self._endpoint.filter.accepts(change, found, unsure=_is_unsure(record)):
            self._forget(subject)
            return None
        return Prepared(subject, change, found, None)

    def expect(self, prepared: Prepared) -> int:
        """Record that the endpoint may receive it; returns the change to wait for before it is sent.

        Without that record a deletion that the watch missed could go unnoticed, or a filter could hold back
        a correction, because it would not know that the endpoint had received the earlier state.
        """
        subject, event = prepared.subject, prepared.event
        change = self._announced.pop(subject, 0)
        if not isinstance(event, Change) or event.verb is Verb.DELETE:
            return change
        record = self._ledger.get(subject) or Record(event.uid)
        marks = record.marks
        if self._sends_deletions(subject):
            marks |= Mark.SENT
        if not self._endpoint.filter.shows(unpack(self._ledger.findings(record) or b"")):
            marks |= Mark.UNSURE
        if marks == record.marks and (record.uid == event.uid or not self._endpoint.deletes):
            return change
        return self._ledger.put(subject, Record(event.uid, record.content, marks, record.findings))

    def delivered(self, prepared: Prepared) -> int:
        """Record that the endpoint has received it."""
        event = prepared.event
        if _is_deletion(event):
            return self._forget(prepared.subject)
        self._keep_baseline(prepared)
        record = Record(event.uid, content_of(event.content_hash), Mark.SENT)
        return self._ledger.put(prepared.subject, record, prepared.ids)

    def refused(self, prepared: Prepared) -> int:
        """Record that the endpoint refuses it, as it is configured now."""
        event = prepared.event
        if _is_deletion(event):
            return self._forget(prepared.subject)
        before = self._ledger.get(prepared.subject)
        content = content_of(self._refusal(event.content_hash))
        findings, marks = b"", Mark.SENT | Mark.REFUSED
        if before is not None:  # a later try compares with the same findings
            findings, marks = before.findings, marks | (before.marks & Mark.UNSURE)
        record = Record(event.uid, content, marks, findings)
        return self._ledger.put(prepared.subject, record)

    def held_back(self, prepared: Prepared) -> None:
        """Record that it contains nothing that the endpoint wants."""
        event, subject = prepared.event, prepared.subject
        if _is_deletion(event):
            self._forget(subject)
            return
        before = self._ledger.get(subject)
        sent = before is not None and Mark.SENT in before.marks and subject not in self._announced
        self._announced.pop(subject, None)
        marks = Mark.SENT if sent else Mark.NONE
        self._ledger.put(subject, Record(event.uid, content_of(event.content_hash), marks), prepared.ids)
        self._keep_baseline(prepared)

    def _forget(self, subject: Subject) -> int:
        self._announced.pop(subject, None)
        self._source.settled(subject, self._endpoint.name)
        return self._ledger.remove(subject)

    def _is_delivered(self, record: Record, marker: Marker) -> bool:
        if not marker.content_hash:
            return False
        known = marker.content_hash
        if Mark.REFUSED in record.marks:
            known = self._refusal(known)
        return record.content == content_of(known)

    def _refusal(self, content_hash: str) -> str:
        return f"{content_hash} refused by {self.fingerprint}"

    def _baseline_key(self, event: Event) -> str:
        """The key of its baseline; "" if it is not compared along workloads."""
        if not isinstance(event, Change) or not self._by_workload:
            return ""
        return baseline_key(event.object or {})

    def _keep_baseline(self, prepared: Prepared) -> None:
        if prepared.baseline and prepared.ids is not None:
            self._baselines.put(prepared.baseline, prepared.ids)

    def _diff(self, record: Record | None, event: Event, baseline: str = "") -> FindingsDiff | None:
        if not self._needs_diff or not isinstance(event, Change):
            return None
        known = None if record is None else self._ledger.findings(record)
        if known is None and baseline:
            known = self._baselines.get(baseline)
        document = event.object or {}
        return diff(None if known is None else unpack(known), document, deleted=event.verb is Verb.DELETE)

    def _sends_deletions(self, subject: Subject) -> bool:
        reports = subject.resource.group == "aquasecurity.github.io"  # of scans only failures are sent
        return self._endpoint.deletes and reports


def _is_deletion(event: Event) -> bool:
    return isinstance(event, Change) and event.verb is Verb.DELETE


def _is_unsure(record: Record | None) -> bool:
    return record is not None and Mark.UNSURE in record.marks


class Baselines:
    """The ids of findings last sent for each workload, by ``listing.baseline_key``, in memory only.

    Takes at most about ``max_bytes``; the oldest entry goes first. Losing an entry, as at a restart,
    costs a repetition: the next rollout is sent as if it were a new workload.
    """

    def __init__(self, max_bytes: int = MAX_BASELINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._ids: dict[str, bytes] = {}  # the oldest first

    def get(self, key: str) -> bytes | None:
        """The packed ids that were sent last; None if there are none."""
        return self._ids.get(key)

    def put(self, key: str, ids: bytes) -> None:
        """Make ``ids`` the baseline of that workload."""
        self._forget(key)
        self._ids[key] = ids
        self._size += len(ids) + _ENTRY_BYTES
        while self._size > self._max_bytes:
            self._forget(next(iter(self._ids)))

    def _forget(self, key: str) -> None:
        ids = self._ids.pop(key, None)
        if ids is not None:
            self._size -= len(ids) + _ENTRY_BYTES
