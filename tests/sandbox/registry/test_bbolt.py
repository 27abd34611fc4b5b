"""The file is read back by a reader written from the format; that Trivy reads it is in test_scanning.py."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivyop.sandbox.registry import bbolt

KEYS = st.text(min_size=1, max_size=40)
VALUES = st.binary(max_size=300) | st.just(b"v" * 9000)
BUCKETS = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=60),
    lambda inner: st.dictionaries(KEYS, VALUES | inner, max_size=5),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, BUCKETS, max_size=4))
def test_what_was_written_is_read_back(root: dict[str, Any]) -> None:
    assert read(bbolt.write(root)) == root


def test_many_keys_make_branches_over_branches() -> None:
    """A leaf holds some thirty of these and a branch page a hundred leaves, so there are three levels."""
    root = {"big": {f"key-{number:06}-{'x' * 20}": b"v" * 90 for number in range(20_000)}}

    written = bbolt.write(root)

    assert read(written) == root
    assert depth_of(written) >= 3


def test_a_value_larger_than_a_page_overflows_into_the_next_ones() -> None:
    root = {"bucket": {"large": bytes(range(256)) * 100, "small": b"1"}}
    assert read(bbolt.write(root)) == root


def test_both_meta_pages_are_valid_and_bear_their_own_numbers() -> None:
    """bbolt refuses a file in which neither has the right checksum, and prefers the later transaction."""
    written = bbolt.write({"bucket": {"key": b"value"}})

    for number in (0, 1):
        page = written[number * bbolt.PAGE_SIZE :]
        meta = page[16:72]
        assert struct.unpack_from("<QH", page) == (number, bbolt.META)
        assert struct.unpack_from("<II", meta) == (bbolt.MAGIC, bbolt.VERSION)
        assert struct.unpack_from("<Q", page, 72)[0] == bbolt.fnv64a(meta)
        assert struct.unpack_from("<Q", meta, 48)[0] == number


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0xCBF29CE484222325), (b"a", 0xAF63DC4C8601EC8C), (b"foobar", 0x85944171F73967E8)],
)
def test_the_checksum_is_fnv_1a(data: bytes, expected: int) -> None:
    """The test vectors of its authors."""
    assert bbolt.fnv64a(data) == expected


@pytest.mark.parametrize("root", [{"key": b"value"}, {"bucket": {"": b"value"}}])
def test_what_bbolt_cannot_hold_is_refused(root: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"outside of buckets|empty keys"):
        bbolt.write(root)


def read(file: bytes) -> dict[str, Any]:
    """The content, checking on the way that pages are where and what they say."""
    root, end = struct.unpack_from("<Q", file, 16 + 16)[0], struct.unpack_from("<Q", file, 16 + 40)[0]
    assert len(file) == end * bbolt.PAGE_SIZE
    return read_page(file, file[root * bbolt.PAGE_SIZE :], root)


def read_page(file: bytes, page: bytes, page_id: int) -> dict[str, Any]:
    own_id, flags, count, overflow = struct.unpack_from("<QHHI", page)
    assert own_id == page_id
    found: dict[str, Any] = {}
    for index in range(count):
        start = 16 + 16 * index
        if flags == bbolt.BRANCH:
            offset, size, child = struct.unpack_from("<IIQ", page, start)
            below = read_page(file, file[child * bbolt.PAGE_SIZE :], child)
            assert next(iter(below)) == page[start + offset :][:size].decode()
            found.update(below)
            continue
        assert flags == bbolt.LEAF
        kind, offset, key_size, value_size = struct.unpack_from("<IIII", page, start)
        key = page[start + offset :][:key_size].decode()
        value = page[start + offset + key_size :][:value_size]
        assert start + offset + key_size + value_size <= (1 + overflow) * bbolt.PAGE_SIZE
        found[key] = value if kind == 0 else read_bucket(file, value)
    assert list(found) == sorted(found, key=str.encode)
    return found


def read_bucket(file: bytes, header: bytes) -> dict[str, Any]:
    (root,) = struct.unpack_from("<Q", header)
    return read_page(file, header[16:] if root == 0 else file[root * bbolt.PAGE_SIZE :], root)


def depth_of(file: bytes) -> int:
    """Levels of the only bucket's tree; its header is the last thing in the root page's first item."""
    (root,) = struct.unpack_from("<Q", file, 32)
    page = file[root * bbolt.PAGE_SIZE :]
    _, offset, key_size, _ = struct.unpack_from("<IIII", page, 16)
    (child,) = struct.unpack_from("<Q", page, 16 + offset + key_size)
    levels = 1
    while struct.unpack_from("<H", file, child * bbolt.PAGE_SIZE + 8)[0] == bbolt.BRANCH:
        (child,) = struct.unpack_from("<Q", file, child * bbolt.PAGE_SIZE + 24)
        levels += 1
    return levels
