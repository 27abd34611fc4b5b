"""Records: what is remembered of one report for one endpoint, and how it is written down in some 40 bytes.

Promises: ``unpack_record`` reads what ``pack_record`` wrote, in any later version, too.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from enum import IntFlag

import msgspec

NO_CONTENT = bytes(8)
_UID_IS_NUMBER = 0x80
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Mark(IntFlag):
    """What happened besides."""

    NONE = 0
    TOLD = 1  # a message about it was sent, or may have been: its deletion is news
    REFUSED = 2  # the last message was refused; it is tried again when the endpoint is configured anew
    UNSURE = 4  # a later message was sent, or may have been, with findings that the record does not tell of


class Record(msgspec.Struct, frozen=True, gc=False):
    """What an endpoint has heard of a report."""

    uid: str
    content: bytes = NO_CONTENT  # of what was told last, or held back by a filter; none: nothing yet
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
