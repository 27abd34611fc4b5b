"""Memory: the records of one endpoint, and the sets of findings that they speak of.

Reports of one image have the same findings, so a set of ids is kept once, under its hash. Records and sets
are spread over a fixed number of pages by hash, so that one page stays small however many there are.

Promises: pure. A set that no record speaks of any more stays until ``drop_unused``: until then, what is
written down may say that a record does.
Not here: how it is written down (``notify.ledger``).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping

from trivyop.notify.events import Subject
from trivyop.notify.records import Record, unpack_record

_RECORD_PAGES = 16
_SET_PAGES = 32
_SETS = "findings-"


class Memory:
    """What is remembered; records are kept packed, because there are many."""

    def __init__(self) -> None:
        self._records: dict[str, dict[Subject, bytes]] = {}  # by page
        self._sets: dict[bytes, bytes] = {}
        self._users: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._records.values()))

    def __iter__(self) -> Iterator[Subject]:
        """Go through all of them; they are not to be changed meanwhile."""
        for records in self._records.values():
            yield from records

    def get(self, subject: Subject) -> bytes | None:
        """The record, packed."""
        return self._records.get(page_of(subject), {}).get(subject)

    def put(self, subject: Subject, packed: bytes) -> None:
        """Take it in; raises ``ValueError`` for what is no record."""
        record = unpack_record(packed)
        records = self._records.setdefault(page_of(subject), {})
        before, records[subject] = records.get(subject), packed
        if record.findings:
            self._users[record.findings] += 1
        if before is not None:
            self._release(unpack_record(before))

    def remove(self, subject: Subject) -> bool:
        """Forget it; whether there was anything to forget."""
        packed = self._records.get(page_of(subject), {}).pop(subject, None)
        if packed is not None:
            self._release(unpack_record(packed))
        return packed is not None

    def ids(self, name: bytes) -> bytes | None:
        """The set of that name; None if it is lost."""
        return self._sets.get(name)

    def keep(self, ids: bytes) -> tuple[bytes, bool]:
        """Take a set in, for a record that is to speak of it; returns its name, and whether it is new."""
        name = hashlib.blake2b(ids, digest_size=8).digest()
        new = name not in self._sets
        self._sets[name] = ids
        return name, new

    def restore(self, sets: Mapping[bytes, bytes]) -> None:
        """Take in sets as they were written down; ``drop_unused`` once all records are in."""
        self._sets.update(sets)

    def drop_unused(self) -> None:
        """Forget the sets that no record speaks of."""
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
