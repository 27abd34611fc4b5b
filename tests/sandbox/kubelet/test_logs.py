"""Container logs: what a reader gets, also while the container writes, also when the file was replaced."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import NOON, settle
from trivyop.sandbox.kubelet.logs import ContainerLog, LogQuery

LATER = NOON + timedelta(seconds=10)


async def read(log: ContainerLog, query: LogQuery | None = None) -> bytes:
    return b"".join([piece async for piece in log.read(query or LogQuery())])


def files_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.fixture
def log(tmp_path: Path) -> ContainerLog:
    return ContainerLog(tmp_path / "0.log")


async def test_lines_come_back_as_they_went_in(log: ContainerLog) -> None:
    log.write("stdout", b"one\ntwo", NOON)
    log.write("stderr", b"three\n", NOON)
    log.write("stdout", b" and a half\n", LATER)
    log.close(LATER)

    assert await read(log) == b"one\nthree\ntwo and a half\n"


async def test_last_line_without_an_end_gets_none(log: ContainerLog) -> None:
    """A frame's trailer may be the last thing a scan prints, without a newline."""
    log.write("stdout", b"one\nrest", NOON)
    log.close(NOON)

    assert await read(log) == b"one\nrest"


async def test_long_lines_come_back_whole(log: ContainerLog) -> None:
    line = b"x" * 100_000
    log.write("stdout", line + b"\nend\n", NOON)
    log.close(NOON)

    assert await read(log) == line + b"\nend\n"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LogQuery(tail_lines=2), b"b\nc\n"),
        (LogQuery(tail_lines=0), b""),
        (LogQuery(limit_bytes=3), b"a\nb"),
        (LogQuery(tail_lines=2, limit_bytes=1), b"b"),
        (LogQuery(since=LATER), b"c\n"),
        (LogQuery(stream="stderr"), b"b\n"),
        (LogQuery(timestamps=True, tail_lines=1), b"2026-01-02T12:00:10.000000000Z c\n"),
    ],
)
async def test_queries(log: ContainerLog, query: LogQuery, expected: bytes) -> None:
    log.write("stdout", b"a\n", NOON)
    log.write("stderr", b"b\n", NOON)
    log.write("stdout", b"c\n", LATER)
    log.close(LATER)

    assert await read(log, query) == expected


async def test_follower_gets_what_comes_and_ends_with_the_log(log: ContainerLog) -> None:
    log.write("stdout", b"a\n", NOON)
    follower = asyncio.create_task(read(log, LogQuery(follow=True)))
    await settle()

    log.write("stdout", b"b\n", NOON)
    await settle()
    assert not follower.done()
    log.write("stdout", b"c", NOON)
    log.close(NOON)

    assert await follower == b"a\nb\nc"


async def test_log_over_its_size_keeps_only_its_end(tmp_path: Path) -> None:
    """As a node does: who reads late gets the newest file, and no word of the loss."""
    log = ContainerLog(tmp_path / "0.log", max_bytes=1000)
    for n in range(100):
        log.write("stdout", b"line %d\n" % n, NOON)
    log.close(NOON)

    text = await read(log)

    assert text.endswith(b"line 98\nline 99\n")
    assert not text.startswith(b"line 0\n")
    assert log.path.stat().st_size <= 1000
    assert files_in(tmp_path) == ["0.log"]


async def test_follower_is_not_lost_when_the_file_is_replaced(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log", max_bytes=200)
    follower = asyncio.create_task(read(log, LogQuery(follow=True)))
    await settle()

    for n in range(20):
        log.write("stdout", b"line %d\n" % n, NOON)
        await settle()
    log.close(NOON)

    assert await follower == b"".join(b"line %d\n" % n for n in range(20))


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=40)), max_size=20))
def test_nothing_of_a_stream_is_lost_or_reordered(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, bytes]]
) -> None:
    log = ContainerLog(tmp_path_factory.mktemp("log") / "0.log")
    for stream, data in writes:
        log.write(stream, data, NOON)
    log.close(NOON)

    for stream in ("stdout", "stderr"):
        written = b"".join(data for name, data in writes if name == stream)
        assert asyncio.run(read(log, LogQuery(stream=stream))) == written


def test_tail_is_bounded_in_lines_and_bytes(log: ContainerLog) -> None:
    log.write("stdout", b"a\nbb\ncc\n", NOON)

    assert log.tail(2, 100) == "bb\ncc\n"
    assert log.tail(2, 4) == "\ncc\n"
    log.close(NOON)
