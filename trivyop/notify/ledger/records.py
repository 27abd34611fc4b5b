"""Records: what is recorded of one report for one endpoint, in some 40 bytes, and the store that holds them.

Reports of one image have the same findings, so the store holds a set of ids once, under its hash. Records and
sets are spread over a fixed number of pages by hash, so that one page stays small however many there are.

Promises: pure. ``unpack_record`` reads what ``pack_record`` wrote, in any later version, too. A set that no
record refers to any more stays until ``drop_unused``: until then, the stored ledger may still refer to it.
Not here: how the ledger is stored (``configmaps``, ``checkpoint``, ``journal``).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import IntFlag

import msgspec

from trivyop.notify.events import Subject

NO_CONTENT = bytes(8)
_UID_IS_NUMBER = 0x80
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RECORD_PAGES = 16
_SET_PAGES = 32
_SETS = "findings-"


class Mark(IntFlag):
    """What else is recorded of a report."""

    NONE = 0
    SENT = 1  # a message about it was sent, or may have been: its deletion is worth a message
    REFUSED = 2  # the last message was refused; it is sent again when the configuration changes
    UNSURE = 4  # a later message may have been sent, with findings that are not in the record


class Record(msgspec.Struct, frozen=True, gc=False):
    """What was sent to an endpoint about a report."""

    uid: str
    content: bytes = NO_CONTENT  # of what was last sent, or held back by a filter; none: nothing yet
    marks: Mark = Mark.NONE
    findings: bytes = b""  # the name of the set of ids

    def having(self, findings: bytes) -> Record:
        return Record(self.uid, self.content, self.marks, findings)


def content_of(content_hash: str) -> bytes:
    """What a record keeps of a content hash; 8 bytes are enough to see that one report has changed."""
    return hashlib.blake2b(content_hash.encode(), digest_size=8).digest()


def pack_record(record: Record) -> bytes:
    """Marks, the length of the findings' name, content, that name, and the uid, as a number if it is one."""
    marks, uid = int(record.marks), record.uid.encode()
    if _UUID.fullmatch(record.uid):
        marks, uid = marks | _UID_IS_NUMBER, uuid.UUID(record.uid).bytes
    return bytes((marks, len(record.findings))) + record.content + record.findings + uid


def unpack_record(packed: bytes) -> Record:
    """Raises ``ValueError`` for what is no record."""
    if len(packed) < 10 or len(packed) < 10 + packed[1]:
        raise ValueError("a record is cut short")
    end = 10 + packed[1]
    rest = packed[end:]
    uid = str(uuid.UUID(bytes=rest)) if packed[0] & _UID_IS_NUMBER else rest.decode()
    return Record(uid, packed[2:10], Mark(packed[0] & ~_UID_IS_NUMBER), packed[10:end])


class RecordStore:
    """The records of one endpoint, kept packed because there are many."""

    def __init__(self) -> None:
        self._records: dict[str, dict[Subject, bytes]] = {}  # by page
        self._sets: dict[bytes, bytes] = {}
        self._users: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._records.values()))

    def __iter__(self) -> Iterator[Subject]:
        """Iterate over all subjects; records must not change meanwhile."""
        for records in self._records.values():
            yield from records

    def get(self, subject: Subject) -> bytes | None:
        """The record, packed."""
        return self._records.get(page_of(subject), {}).get(subject)

    def put(self, subject: Subject, packed: bytes) -> None:
        """Store a packed record; raises ``ValueError`` for what is no record."""
        record = unpack_record(packed)
        records = self._records.setdefault(page_of(subject), {})
        before, records[subject] = records.get(subject), packed
        if record.findings:
            self._users[record.findings] += 1
        if before is not None:
            self._release(unpack_record(before))

    def remove(self, subject: Subject) -> bool:
        """Remove a record; whether there was one."""
        packed = self._records.get(page_of(subject), {}).pop(subject, None)
        if packed is not None:
            self._release(unpack_record(packed))
        return packed is not None

    def ids(self, name: bytes) -> bytes | None:
        """The set of that name; None if it is lost."""
        return self._sets.get(name)

    def keep(self, ids: bytes) -> tuple[bytes, bool]:
        """Store a set that a record will refer to; returns its name, and whether it is new."""
        name = hashlib.blake2b(ids, digest_size=8).digest()
        new = name not in self._sets
        self._sets[name] = ids
        return name, new

    def restore(self, sets: Mapping[bytes, bytes]) -> None:
        """Add stored sets; call ``drop_unused`` once all records are in."""
        self._sets.update(sets)

    def drop_unused(self) -> None:
        """Remove the sets that no record refers to."""
        self._sets = {name: ids for name, ids in self._sets.items() if name in self._users}

    def records_of(self, page: str) -> dict[Subject, bytes]:
        """The packed records of a page, as of now."""
        return dict(self._records.get(page, {}))

    def sets_of(self, page: str) -> dict[bytes, bytes]:
        """The sets of a page by name, as of now."""
        return {name: ids for name, ids in self._sets.items() if page_of_set(name) == page}

    def _release(self, record: Record) -> None:
        if record.findings:
            self._users[record.findings] -= 1
            if self._users[record.findings] <= 0:
                del self._users[record.findings]


def page_of(subject: Subject) -> str:
    """The page of a record."""
    hashed = hashlib.blake2b(f"{subject.resource.name} {subject.key}".encode(), digest_size=2).digest()
    return f"{int.from_bytes(hashed) % _RECORD_PAGES:02x}"


def page_of_set(name: bytes) -> str:
    """The page of a set of findings."""
    return f"{_SETS}{name[0] % _SET_PAGES:02x}"


def holds_sets(page: str) -> bool:
    """Whether a page is one of sets."""
    return page.startswith(_SETS)
