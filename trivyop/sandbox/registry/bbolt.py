"""bbolt: writes a key-value file that Go programs open with go.etcd.io/bbolt, which Trivy's database is.

A file is pages of 4 KiB: two meta pages (the newer valid one counts), a free list (ours is empty), and for
each bucket a B+ tree of leaf and branch pages. A nested bucket is a value whose first 16 bytes name the root
page of its tree; a small one without buckets of its own is inline: page 0 named, the leaf right behind.

Promises: same content, same bytes; keys of any order in, sorted out; values of any size (a page that does
not hold an item overflows into the next ones).
Not here: reading, and changing a file in place.
Format: version 2, as in the sources of bbolt (internal/common: page.go, meta.go, bucket.go); little-endian,
as on every platform that Trivy runs on.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Bucket: TypeAlias = Mapping[str, "bytes | Bucket"]
"""A bucket: keys to values, or to buckets inside it."""

PAGE_SIZE = 4096
MAGIC, VERSION = 0xED0CDAED, 2

BRANCH, LEAF, META, FREELIST = 0x01, 0x02, 0x04, 0x10  # flags of a page
_BUCKET = 0x01  # flag of a leaf element whose value is a bucket

_PAGE = struct.Struct("<QHHI")  # id, flags, count, overflow (pages that follow)
_LEAF_ELEMENT = struct.Struct("<IIII")  # flags, offset of the key from here, key size, value size
_BRANCH_ELEMENT = struct.Struct("<IIQ")  # offset of the key from here, key size, page of the child
_BUCKET_HEADER = struct.Struct("<QQ")  # root page, sequence
_META = struct.Struct("<IIIIQQQQQ")  # magic, version, page size, flags, root bucket (2), free list, end, tx

_INLINE_MAX = PAGE_SIZE // 4
_FREELIST_ID, _FIRST_ID = 2, 3


@dataclass(frozen=True, slots=True)
class _Item:
    key: bytes
    value: bytes = b""
    flags: int = 0
    child: int = 0  # of a branch: the page below

    @property
    def size(self) -> int:
        return _LEAF_ELEMENT.size + len(self.key) + len(self.value)


@dataclass(slots=True)
class _File:
    pages: list[bytes] = field(default_factory=list[bytes])
    next_id: int = _FIRST_ID

    def add(self, flags: int, items: list[_Item]) -> int:
        body = _body(flags, items)
        count = -(-(_PAGE.size + len(body)) // PAGE_SIZE)
        page_id = self.next_id
        page = _PAGE.pack(page_id, flags, len(items), count - 1) + body
        self.pages.append(page.ljust(count * PAGE_SIZE, b"\0"))
        self.next_id += count
        return page_id


def write(root: Bucket) -> bytes:
    """The whole file, with the buckets of ``root`` at the top; top-level values are not possible in bbolt."""
    stray = [key for key, value in root.items() if isinstance(value, bytes)]
    if stray:
        raise ValueError(f"values outside of buckets: {', '.join(stray)}")
    file = _File()
    root_id = _write_tree(file, _items(file, root))
    freelist = _PAGE.pack(_FREELIST_ID, FREELIST, 0, 0).ljust(PAGE_SIZE, b"\0")
    metas = [_meta(number, root_id, file.next_id) for number in (0, 1)]
    return b"".join([*metas, freelist, *file.pages])


def fnv64a(data: bytes) -> int:
    """The 64-bit FNV-1a hash, the checksum of meta pages."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def _meta(number: int, root_id: int, end_id: int) -> bytes:
    # The transaction's parity is the page's number, by which bbolt alternates between the two.
    meta = _META.pack(MAGIC, VERSION, PAGE_SIZE, 0, root_id, 0, _FREELIST_ID, end_id, number)
    page = _PAGE.pack(number, META, 0, 0) + meta + struct.pack("<Q", fnv64a(meta))
    return page.ljust(PAGE_SIZE, b"\0")


def _items(file: _File, bucket: Bucket) -> list[_Item]:
    items: list[_Item] = []
    for key, value in sorted((key.encode(), value) for key, value in bucket.items()):
        if not key:
            raise ValueError("bbolt has no empty keys")
        if isinstance(value, bytes):
            items.append(_Item(key, value))
        else:
            items.append(_Item(key, _write_bucket(file, value), _BUCKET))
    return items


def _write_bucket(file: _File, bucket: Bucket) -> bytes:
    items = _items(file, bucket)
    size = _PAGE.size + sum(item.size for item in items)
    if size <= _INLINE_MAX and not any(item.flags for item in items):
        return _BUCKET_HEADER.pack(0, 0) + _PAGE.pack(0, LEAF, len(items), 0) + _body(LEAF, items)
    return _BUCKET_HEADER.pack(_write_tree(file, items), 0)


def _write_tree(file: _File, items: list[_Item]) -> int:
    """Write leaves, then branches over them until one page is over all; returns that page."""
    flags = LEAF
    while True:
        level = [_Item(page[0].key if page else b"", child=file.add(flags, page)) for page in _fill(items)]
        if len(level) == 1:
            return level[0].child
        flags, items = BRANCH, level


def _fill(items: list[_Item]) -> list[list[_Item]]:
    pages: list[list[_Item]] = [[]]
    used = _PAGE.size
    for item in items:
        if used + item.size > PAGE_SIZE and pages[-1]:
            pages.append([])
            used = _PAGE.size
        pages[-1].append(item)
        used += item.size
    return pages


def _body(flags: int, items: list[_Item]) -> bytes:
    elements, data = bytearray(), bytearray()
    table_size = len(items) * _LEAF_ELEMENT.size  # elements of both kinds are 16 bytes
    for item in items:
        offset = table_size - len(elements) + len(data)
        if flags == LEAF:
            elements += _LEAF_ELEMENT.pack(item.flags, offset, len(item.key), len(item.value))
        else:
            elements += _BRANCH_ELEMENT.pack(offset, len(item.key), item.child)
        data += item.key + item.value
    return bytes(elements + data)
