"""What the collector printed: found, checked and kept, whatever stands around it."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.audit.nodes.info import (
    INFO_LIMIT_BYTES,
    LOG_LIMIT_BYTES,
    NodeInfoError,
    pack,
    read_info,
    unpack,
)
from trivyop.trivy.failures import FailureClass

GOLDEN = Path(__file__).parents[3] / "data" / "golden" / "node-info.json"
SMALL = (
    b'{"apiVersion":"v1","kind":"NodeInfo","type":"worker","info":{"a":{"values":[600,"root:root",true]}}}'
)


def test_document_of_a_real_collector_is_read_whole() -> None:
    golden = json.loads(GOLDEN.read_bytes())

    document = json.loads(read_info(GOLDEN.read_bytes()).document)

    assert document["info"] == golden["info"]
    assert (document["kind"], document["type"]) == (golden["kind"], golden["type"])


def test_time_of_the_document_makes_no_difference() -> None:
    later = GOLDEN.read_bytes().replace(b"2026-11-23T08:00:00Z", b"2027-01-01T00:00:00Z")

    assert pack(read_info(later)) == pack(read_info(GOLDEN.read_bytes()))


def test_complaints_before_and_after_the_document_do_not_matter() -> None:
    log = b"exit status 1: stat: no such file\n{ not JSON\n{}\n" + GOLDEN.read_bytes() + b"\nbye\n"

    assert read_info(log) == read_info(GOLDEN.read_bytes())


@pytest.mark.parametrize(
    ("log", "failure_class"),
    [
        (b"", FailureClass.PARSE),
        (b"panic: runtime error", FailureClass.PARSE),
        (b'{"kind":"NodeInfo"', FailureClass.PARSE),
        (b'{"kind":"NodeInfo"}', FailureClass.PARSE),
        (b'{"kind":"NodeInfo","type":"worker","info":{}}', FailureClass.PARSE),
        (b'{"kind":"NodeInfo","type":"worker","info":{"a":[1]}}', FailureClass.PARSE),
        (b'{"kind":"NodeInfo","type":1,"info":{"a":{"values":[]}}}', FailureClass.PARSE),
        (b'{"kind":"Other","type":"worker","info":{"a":{"values":[]}}}', FailureClass.PARSE),
        (SMALL.replace(b"root", b"r" * INFO_LIMIT_BYTES), FailureClass.TOO_LARGE),
        (b" " * LOG_LIMIT_BYTES + SMALL, FailureClass.TOO_LARGE),
        (b'{"a":\n' * 10_000, FailureClass.PARSE),
    ],
)
def test_anything_else_is_a_failure_with_a_class(log: bytes, failure_class: FailureClass) -> None:
    with pytest.raises(NodeInfoError) as error:
        read_info(log)

    assert error.value.failure_class is failure_class


@given(st.binary(max_size=300))
def test_no_log_is_more_than_that(log: bytes) -> None:
    with pytest.raises(NodeInfoError):
        read_info(log)


VALUES = st.lists(
    st.one_of(st.text(max_size=8), st.integers(-(2**31), 2**31), st.booleans(), st.none()), max_size=4
)
INFOS = st.dictionaries(st.text(max_size=8), VALUES, min_size=1, max_size=5)


@given(INFOS, st.sampled_from(["master", "worker"]))
def test_what_was_kept_is_what_was_read(values: dict[str, list[Any]], node_type: str) -> None:
    info = {key: {"values": found} for key, found in values.items()}
    read = read_info(json.dumps({"kind": "NodeInfo", "type": node_type, "info": info}).encode())

    assert unpack(pack(read)) == read
    assert read_info(read.document) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        base64.b64encode(b"not zlib").decode(),
        base64.b64encode(zlib.compress(b"{}")).decode(),
        base64.b64encode(zlib.compress(b"[" * 100_000)).decode(),
        base64.b64encode(zlib.compress(SMALL.replace(b"root", b"r" * INFO_LIMIT_BYTES))).decode(),
    ],
)
def test_what_we_did_not_write_is_not_read(text: str) -> None:
    assert unpack(text) is None
