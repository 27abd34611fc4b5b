"""Logs: what a container writes, kept in a file of bounded size and read back as a kubelet reads it.

Each record of the file is "<time> <stream> <F or P> <text>": P marks a part of a line that goes on in the
next record, as lines longer than 16 KiB are cut. When the file reaches its size limit a new one replaces
it, and readers that come later see only that: a log can lose its beginning, in the middle of a line too.

Promises: a reader that follows gets every byte written while it reads, and ends when the log is closed.
Not here: rotation by age, compression, more than one old file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Self

MAX_BYTES = 10 * 1024 * 1024
_MAX_RECORD = 16 * 1024
_TIME = "%Y-%m-%dT%H:%M:%S.%f000Z"  # nanoseconds, as readers expect them


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What a reader asks for."""

    follow: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    timestamps: bool = False
    since: datetime | None = None
    stream: str = ""  # "stdout" or "stderr"; empty for both


class ContainerLog:
    """The log of one run of one container."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("wb", buffering=0)
        self._size = 0
        self._generation = 0
        self._pending: dict[str, bytearray] = {}
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._closed

    def write(self, stream: str, data: bytes, now: datetime) -> None:
        """Take in what the container wrote to ``stream``; an unfinished line waits for its end."""
        pending = self._pending.setdefault(stream, bytearray())
        pending += data
        stamp = now.strftime(_TIME).encode()
        records: list[bytes] = []
        size = 0
        start = 0
        while start < len(pending):
            end = pending.find(b"\n", start, start + _MAX_RECORD)
            if end >= 0:
                record = b"%s %s F %s\n" % (stamp, stream.encode(), bytes(pending[start:end]))
                start = end + 1
            elif len(pending) - start >= _MAX_RECORD:
                record = b"%s %s P %s\n" % (
                    stamp,
                    stream.encode(),
                    bytes(pending[start : start + _MAX_RECORD]),
                )
                start += _MAX_RECORD
            else:
                break
            if self._size + size + len(record) > self._max_bytes and self._size + size > 0:
                self._put(records)
                self._rotate()
                records, size = [], 0
            records.append(record)
            size += len(record)
        del pending[:start]
        self._put(records)

    def close(self, now: datetime) -> None:
        """The container has ended: write out unfinished lines, let followers end."""
        if self._closed:
            return
        for stream, pending in self._pending.items():
            if pending:
                stamp = now.strftime(_TIME).encode()
                self._put([b"%s %s P %s\n" % (stamp, stream.encode(), bytes(pending))])
        self._pending.clear()
        self._closed = True
        self._file.close()
        self._wake()

    def tail(self, max_lines: int, max_bytes: int) -> str:
        """The last lines as plain text, as a termination message falls back to them."""
        lines = deque(_lines(LogQuery(), self.path.read_bytes()), maxlen=max_lines)
        return b"".join(lines)[-max_bytes:].decode("utf-8", "replace")

    async def read(self, query: LogQuery) -> AsyncIterator[bytes]:
        """What the query asks for, in pieces."""
        left = query.limit_bytes
        with _Cursor(self.path) as cursor:
            generation = self._generation
            pieces = _lines(query, cursor.take())
            if query.tail_lines is not None:
                pieces = iter(deque(pieces, maxlen=query.tail_lines))
            while True:
                for piece in pieces:
                    if left is not None:
                        piece = piece[:left]  # noqa: PLW2901 - the limit may fall into it
                        left -= len(piece)
                    if piece:
                        yield piece
                    if left == 0:
                        return
                if not query.follow:
                    return
                closed, changed = self._closed, self._changed
                data = cursor.take()
                if not data and generation != self._generation:
                    generation = self._generation
                    cursor.open()
                elif not data and closed:
                    return
                elif not data:
                    await changed.wait()
                pieces = _lines(query, data)

    def _put(self, records: list[bytes]) -> None:
        if records:
            data = b"".join(records)
            self._file.write(data)
            self._size += len(data)
            self._wake()

    def _rotate(self) -> None:
        self._file.close()
        self.path.unlink()  # readers that have it open keep it
        self._file = self.path.open("wb", buffering=0)
        self._size = 0
        self._generation += 1

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _Cursor:
    """A place in a log file. Writers write whole records, so what is there ends with one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def open(self) -> None:
        """Go on at the start of the file that is there now."""
        self._file.close()
        self._file = self._path.open("rb")

    def take(self) -> bytes:
        """What was added since the last call."""
        return self._file.read()


def _lines(query: LogQuery, records: bytes) -> Iterator[bytes]:
    """The text of the records, a piece a line; a last line whose end is not there comes as it is."""
    since = query.since.strftime(_TIME).encode() if query.since else b""
    wanted = query.stream.encode()
    line: list[bytes] = []
    start = 0
    while (end := records.find(b"\n", start)) >= 0:
        stamp, stream, flag, text = records[start:end].split(b" ", 3)
        start = end + 1
        if stamp < since or (wanted and stream != wanted):
            continue
        if query.timestamps and not line:
            line.append(stamp + b" ")
        line.append(text)
        if flag == b"F":
            yield b"".join((*line, b"\n"))
            line.clear()
    if line:
        yield b"".join(line)
