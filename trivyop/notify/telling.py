"""Telling: what one endpoint is to hear of one subject, and what is remembered once it has.

``prepare`` compares what there is with what the ledger says was told; the answer is an event with what is new
in it, or nothing. ``expect`` remembers that the endpoint may get it, ``told`` that it has it, ``refused``
that it does not want it; each returns the change of the ledger that is to be waited for before one goes on.

Promises: the same state is prepared once, also after a restart; what an endpoint's filter holds back is
remembered, so it is not looked at again; a deletion is prepared for what was told before, or may have been.
Not here: words (``notify.formats``), sending (``notify.channel``).
"""

from __future__ import annotations

from dataclasses import dataclass

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Change, Event, Subject, Verb
from trivyop.notify.findings import FindingsDiff, diff, pack, unpack
from trivyop.notify.ledger import Ledger
from trivyop.notify.lineages import Lineages
from trivyop.notify.listing import lineage
from trivyop.notify.records import Mark, Record, content_of
from trivyop.notify.source import Marker, Source, deletion


@dataclass(frozen=True, slots=True)
class Prepared:
    """Something to tell."""

    subject: Subject
    event: Event
    diff: FindingsDiff | None
    ids: bytes | None  # of the findings, to be remembered
    lineage: str = ""  # along which they are remembered, too; "": along none


class Telling:
    """What one endpoint hears; ``fingerprint`` stands for how it is configured now."""

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
        self._announced: dict[Subject, int] = {}  # with that change; nothing of them was sent yet
        self._lineages = Lineages()

    def wants(self, subject: Subject) -> bool:
        """Whether the endpoint can want to hear of it at all."""
        kinds = self._endpoint.filter.kinds
        return not kinds or subject.resource.kind in kinds

    def is_due(self, subject: Subject) -> bool:
        """Whether there seems to be something to tell, as far as can be said without reading it."""
        marker = self._source.marker(subject)
        record = self._ledger.get(subject)
        if marker is None:
            gone = self._endpoint.deletes and self._source.has_departed(subject, self._endpoint.name)
            return (gone or record is not None) and self._source.certain(subject)
        return record is None or not self._is_told(record, marker)

    def announce(self, subject: Subject) -> None:
        """Remember that the endpoint may be told of it, ahead of time, so that few have to be waited for."""
        marker = self._source.marker(subject)
        if self._tells_deletions(subject) and self._ledger.get(subject) is None and marker is not None:
            self._announced[subject] = self._ledger.put(subject, Record(marker.uid, marks=Mark.TOLD))

    async def prepare(self, subject: Subject) -> Prepared | None:
        """What to tell now; None if there is nothing. Raises what reading it raises."""
        record = self._ledger.get(subject)
        marker = self._source.marker(subject)
        if marker is None:
            return self._prepare_deletion(subject, record) if self._source.certain(subject) else None
        gone = self._source.departed(subject, self._endpoint.name)
        if gone is not None and gone.uid != marker.uid:  # else the news that it is gone is yet to come
            self._source.settled(subject, self._endpoint.name)  # another one is there: no news any more
        if record is not None and self._is_told(record, marker):
            return None
        event = await self._source.read(subject)
        if event is None:
            return None
        if record is not None and self._is_told(record, Marker(event.uid, event.content_hash)):
            if record.uid != event.uid:
                self._ledger.put(subject, Record(event.uid, record.content, record.marks, record.findings))
            return None
        line = self._lineage(event)
        found = self._diff(record, event, line)
        prepared = Prepared(subject, event, found, pack(found.ids) if found is not None else None, line)
        if not self._endpoint.filter.accepts(event, found, unsure=_is_unsure(record)):
            self.held_back(prepared)
            return None
        return prepared

    def _prepare_deletion(self, subject: Subject, record: Record | None) -> Prepared | None:
        change = self._source.departed(subject, self._endpoint.name)
        if change is None and record is not None and self._endpoint.deletes:
            change = deletion(subject, record.uid)
        unheard = record is not None and Mark.TOLD not in record.marks
        if change is None or unheard or not self._tells_deletions(subject):
            self._forget(subject)
            return None
        found = self._diff(record, change)
        if not self._endpoint.filter.accepts(change, found, unsure=_is_unsure(record)):
            self._forget(subject)
            return None
        return Prepared(subject, change, found, None)

    def expect(self, prepared: Prepared) -> int:
        """Remember that the endpoint may have heard of it; returns the change to wait for before it is sent.

        Otherwise a deletion that nobody saw could go unnoticed; or a filter could hold back that something is
        no longer true, not knowing that it had been told.
        """
        subject, event = prepared.subject, prepared.event
        change = self._announced.pop(subject, 0)
        if not isinstance(event, Change) or event.verb is Verb.DELETE:
            return change
        record = self._ledger.get(subject) or Record(event.uid)
        marks = record.marks
        if self._tells_deletions(subject):
            marks |= Mark.TOLD
        if not self._endpoint.filter.shows(unpack(self._ledger.findings(record) or b"")):
            marks |= Mark.UNSURE
        if marks == record.marks and (record.uid == event.uid or not self._endpoint.deletes):
            return change
        return self._ledger.put(subject, Record(event.uid, record.content, marks, record.findings))

    def told(self, prepared: Prepared) -> int:
        """Remember that the endpoint has it."""
        event = prepared.event
        if _is_deletion(event):
            return self._forget(prepared.subject)
        self._follow(prepared)
        record = Record(event.uid, content_of(event.content_hash), Mark.TOLD)
        return self._ledger.put(prepared.subject, record, prepared.ids)

    def refused(self, prepared: Prepared) -> int:
        """Remember that the endpoint does not want it, as it is configured now."""
        event = prepared.event
        if _is_deletion(event):
            return self._forget(prepared.subject)
        before = self._ledger.get(prepared.subject)
        content = content_of(self._refusal(event.content_hash))
        findings, marks = b"", Mark.TOLD | Mark.REFUSED
        if before is not None:  # a later try tells of the same news
            findings, marks = before.findings, marks | (before.marks & Mark.UNSURE)
        record = Record(event.uid, content, marks, findings)
        return self._ledger.put(prepared.subject, record)

    def held_back(self, prepared: Prepared) -> None:
        """Remember that there is nothing in it that the endpoint wants to hear."""
        event, subject = prepared.event, prepared.subject
        if _is_deletion(event):
            self._forget(subject)
            return
        before = self._ledger.get(subject)
        heard = before is not None and Mark.TOLD in before.marks and subject not in self._announced
        self._announced.pop(subject, None)
        marks = Mark.TOLD if heard else Mark.NONE
        self._ledger.put(subject, Record(event.uid, content_of(event.content_hash), marks), prepared.ids)
        self._follow(prepared)

    def _forget(self, subject: Subject) -> int:
        self._announced.pop(subject, None)
        self._source.settled(subject, self._endpoint.name)
        return self._ledger.remove(subject)

    def _is_told(self, record: Record, marker: Marker) -> bool:
        if not marker.content_hash:
            return False
        known = marker.content_hash
        if Mark.REFUSED in record.marks:
            known = self._refusal(known)
        return record.content == content_of(known)

    def _refusal(self, content_hash: str) -> str:
        return f"{content_hash} refused by {self.fingerprint}"

    def _lineage(self, event: Event) -> str:
        """What it is about, if it does not matter which revision of that has a finding."""
        if not isinstance(event, Change) or not self._by_workload:
            return ""
        return lineage(event.object or {})

    def _follow(self, prepared: Prepared) -> None:
        if prepared.lineage and prepared.ids is not None:
            self._lineages.put(prepared.lineage, prepared.ids)

    def _diff(self, record: Record | None, event: Event, line: str = "") -> FindingsDiff | None:
        if not self._needs_diff or not isinstance(event, Change):
            return None
        known = None if record is None else self._ledger.findings(record)
        if known is None and line:
            known = self._lineages.get(line)
        document = event.object or {}
        return diff(None if known is None else unpack(known), document, deleted=event.verb is Verb.DELETE)

    def _tells_deletions(self, subject: Subject) -> bool:
        reports = subject.resource.group == "aquasecurity.github.io"  # of scans, only failures are told
        return self._endpoint.deletes and reports


def _is_deletion(event: Event) -> bool:
    return isinstance(event, Change) and event.verb is Verb.DELETE


def _is_unsure(record: Record | None) -> bool:
    return record is not None and Mark.UNSURE in record.marks
