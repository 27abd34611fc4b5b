"""Framing: how results travel inside a container's log, and how it is known that they arrived whole.

The scan pod's shell writes, and nothing but, after whatever else is in the log::

    trivyop/1 begin scan=<scan id> part=result.json encoding=gzip+base64
    H4sIAAAAAAAAA...           (base64 of gzip, 76 characters a line, the last line shorter)
    trivyop/1 end scan=<scan id> part=result.json bytes=18326 sha256=<hash of the uncompressed bytes>
    trivyop/1 done scan=<scan id> parts=1 exit=0 check=<hash of this line up to here>

The hash is of the uncompressed bytes because those are what gets parsed: it covers compression, encoding and
the way in between. When the exit code is not 0 the only part is ``failure.log``, the end of Trivy's errors.

Promises: what is handed out is what was sent, byte for byte, and complete; else ``FramingError`` says what is
wrong: a cut anywhere, lines of others in between, parts twice or mixed up, another scan's result. Memory does
not grow with the result, only the sinks do. What a hostile image can put into a log line before the first
header is at most 16 KiB of log tail.
Not here: reading logs, parsing results.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import tempfile
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final, Protocol

from trivyop.trivy.failures import CutShortError, FramingError

PROTOCOL: Final = "trivyop/1"
RESULT_PART: Final = "result.json"
BOM_PART: Final = "bom.cdx.json"
DATABASE_PART: Final = "database.json"
MATCH_PART: Final = "match.txt"
FAILURE_PART: Final = "failure.log"

_MAGIC = PROTOCOL.encode() + b" "
_BODY_LINE = 76  # what base64 writes without options, GNU's and busybox's
_MAX_FRAME_LINE = 512
_MAX_TAIL_LINES = 40
_MAX_TAIL_LINE = 400
_SPOOL_BYTES = 4 * 1024 * 1024  # above, a part goes to disk; moving more at once would take long

_CUT = "the node kept only the end of it"

_BEGIN = re.compile(r"trivyop/1 begin scan=(?P<scan>\S+) part=(?P<part>\S+) encoding=(?P<encoding>\S+)")
_END = re.compile(
    r"trivyop/1 end scan=(?P<scan>\S+) part=(?P<part>\S+) bytes=(?P<bytes>0|[1-9]\d{0,14}) "
    r"sha256=(?P<sha256>[0-9a-f]{64})"
)
_DONE = re.compile(
    r"(?P<checked>trivyop/1 done scan=(?P<scan>\S+) parts=(?P<parts>\d) exit=(?P<exit>0|[1-9]\d{0,2})) "
    r"check=(?P<check>[0-9a-f]{16})"
)
_PARTS_OF_SUCCESS = frozenset({RESULT_PART, BOM_PART, DATABASE_PART, MATCH_PART})


class Sink(Protocol):
    """Where a part's bytes go."""

    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Part:
    """A part that arrived whole."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Transmission:
    """A complete transmission. ``exit_code`` 0 has results, any other has ``failure.log``."""

    parts: dict[str, Part]
    exit_code: int
    log_tail: str  # lines around the frames, for people


class FrameReader:
    """Feed it a log in chunks of any size; it writes parts to the sinks that ``open_sink`` makes for them.

    A sink holds nothing to be trusted before ``finish`` has returned.
    """

    def __init__(self, scan_id: str, open_sink: Callable[[str], Sink], *, max_bytes: int) -> None:
        self._scan_id = scan_id
        self._open_sink = open_sink
        self._max_bytes = max_bytes
        self._line = b""  # begun, not ended
        self._skipping = False  # the rest of a foreign line too long to keep
        self._body: _Body | None = None
        self._parts: dict[str, Part] = {}
        self._exit_code: int | None = None
        self._tail: deque[str] = deque(maxlen=_MAX_TAIL_LINES)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the log; ``FramingError`` as soon as something is wrong."""
        lines = (self._line + chunk).split(b"\n")
        self._line = lines.pop()
        for line in lines:
            if self._skipping and _MAGIC not in line:
                self._skipping = False
            else:
                self._take(line)
        if len(self._line) > _MAX_FRAME_LINE:
            if self._body is not None or _MAGIC in self._line:
                raise FramingError(f"{self._where()}: a line of more than {_MAX_FRAME_LINE} characters")
            if not self._skipping:
                self._keep(self._line)
            self._skipping = True
            # The magic may be cut in two by the chunks; what could be its beginning stays.
            self._line = self._line[-len(_MAGIC) :]

    def finish(self) -> Transmission:
        """The log has ended: hand out what arrived, or raise ``CutShortError`` if it is not all there."""
        if self._exit_code is None:
            raise CutShortError(f"the log ends {self._where()}{self._told()}")
        if self._line and not self._skipping:
            if _MAGIC in self._line:
                raise FramingError("a frame after the last one")
            self._keep(self._line)
        return Transmission(self._parts, self._exit_code, self.log_tail)

    @property
    def empty(self) -> bool:
        """Whether nothing came at all."""
        return not (self._tail or self._parts or self._body or self._line)

    @property
    def log_tail(self) -> str:
        """The last lines that were no frames; good for messages, also when framing failed."""
        return "\n".join(self._tail)

    def _take(self, line: bytes) -> None:
        if _MAGIC in line:
            self._take_frame(line)
        elif self._body is not None:
            self._body.add(line)
        elif self._parts and self._exit_code is None:
            raise FramingError(f"{self._where()}: a foreign line")
        else:
            self._keep(line)

    def _take_frame(self, raw: bytes) -> None:
        if self._exit_code is not None:
            raise FramingError("a frame after the last one")
        try:
            line = raw.decode("ascii")
        except UnicodeDecodeError:
            raise FramingError(f"{self._where()}: a malformed frame line") from None
        if begin := _BEGIN.fullmatch(line):
            self._begin(begin)
        elif end := _END.fullmatch(line):
            self._end(end)
        elif done := _DONE.fullmatch(line):
            self._done(done)
        else:
            raise FramingError(f"{self._where()}: a malformed frame line")

    def _begin(self, frame: re.Match[str]) -> None:
        self._check_scan(frame)
        name = frame["part"]
        if self._body is not None:
            raise FramingError(f"{self._where()}: part {name!r} begins before the end")
        if name in self._parts:
            raise FramingError(f"part {name!r} comes twice")
        if frame["encoding"] != "gzip+base64":
            raise FramingError(f"part {name!r} has the unknown encoding {frame['encoding']!r}")
        self._body = _Body(name, self._open_sink(name), self._max_bytes)

    def _end(self, frame: re.Match[str]) -> None:
        self._check_scan(frame)
        body = self._body
        if body is None and not self._parts:
            raise FramingError(f"the log begins inside part {frame['part']!r}: {_CUT}")
        if body is None or body.name != frame["part"]:
            raise FramingError(f"{self._where()}: part {frame['part']!r} ends without a beginning")
        self._parts[body.name] = body.end(int(frame["bytes"]), frame["sha256"])
        self._body = None

    def _done(self, frame: re.Match[str]) -> None:
        self._check_scan(frame)
        if self._body is not None:
            raise FramingError(f"{self._where()}: the transmission ends before the part")
        if frame["check"] != _check(frame["checked"]):
            raise FramingError("the last frame line is damaged")
        if int(frame["parts"]) != len(self._parts):
            why = f": {_CUT}" if int(frame["parts"]) > len(self._parts) else ""
            raise FramingError(f"{frame['parts']} parts were sent and {len(self._parts)} arrived{why}")
        exit_code = int(frame["exit"])
        names = set(self._parts)
        if exit_code == 0 and not (names and names <= _PARTS_OF_SUCCESS):
            raise FramingError(f"exit code 0 with the parts {sorted(names)}")
        if exit_code != 0 and names != {FAILURE_PART}:
            raise FramingError(f"exit code {exit_code} with the parts {sorted(names)}")
        self._exit_code = exit_code

    def _check_scan(self, frame: re.Match[str]) -> None:
        if frame["scan"] != self._scan_id:
            raise FramingError(f"the result is of scan {frame['scan']!r}, not of {self._scan_id!r}")

    def _where(self) -> str:
        if self._body is not None:
            return f"inside part {self._body.name!r}"
        if self._exit_code is not None:
            return "after the last frame"
        if self._parts:
            return f"after part {next(reversed(self._parts))!r}"
        return "before the first part"

    def _told(self) -> str:
        said = self._tail[-1] if self._tail else ""
        return f"; its last line is {said!r}" if said else ""

    def _keep(self, line: bytes) -> None:
        text = line[:_MAX_TAIL_LINE].decode("utf-8", "replace").strip()
        if text:
            self._tail.append(text)


class _Body:
    """One part on its way in: base64 lines to gzip to bytes, counted and hashed."""

    def __init__(self, name: str, sink: Sink, max_bytes: int) -> None:
        self.name = name
        self._sink = sink
        self._max_bytes = max_bytes
        self._gzip = zlib.decompressobj(wbits=31)
        self._hash = hashlib.sha256()
        self._size = 0
        self._short_line_seen = False

    def add(self, line: bytes) -> None:
        if self._short_line_seen or not line or len(line) > _BODY_LINE:
            raise FramingError(f"inside part {self.name!r}: a foreign line")
        self._short_line_seen = len(line) < _BODY_LINE or line.endswith(b"=")
        try:
            packed = binascii.a2b_base64(line, strict_mode=True)
        except binascii.Error:
            raise FramingError(f"inside part {self.name!r}: a line that is no base64") from None
        if self._gzip.eof:
            raise FramingError(f"inside part {self.name!r}: bytes after the end of the compressed data")
        try:
            data = self._gzip.decompress(packed)  # 57 bytes at most become 59 kB at most
        except zlib.error:
            raise FramingError(f"inside part {self.name!r}: damaged compressed data") from None
        if self._gzip.unused_data:
            raise FramingError(f"inside part {self.name!r}: bytes after the end of the compressed data")
        self._size += len(data)
        if self._size > self._max_bytes:
            raise FramingError(f"part {self.name!r} is larger than {self._max_bytes} bytes")
        self._hash.update(data)
        self._sink.write(data)

    def end(self, size: int, sha256: str) -> Part:
        if not self._gzip.eof:
            raise FramingError(f"part {self.name!r} is cut: its compressed data does not end")
        if size != self._size:
            raise FramingError(f"part {self.name!r}: {size} bytes were sent and {self._size} arrived")
        if sha256 != self._hash.hexdigest():
            raise FramingError(f"part {self.name!r} has another hash than what was sent")
        return Part(self.name, size, sha256)


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def spooled_sink(_name: str = "") -> IO[bytes]:
    """A sink that stays in memory while small and goes to disk when large; the caller closes it."""
    return tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)


# POSIX sh, for dash, bash and busybox alike. Expects $scan; $1 is the part's name, $2 its file.
EMIT_FUNCTIONS: Final = """\
emit() {
  printf 'trivyop/1 begin scan=%s part=%s encoding=gzip+base64\\n' "$scan" "$1"
  gzip -c <"$2" | base64
  printf 'trivyop/1 end scan=%s part=%s bytes=%s sha256=%s\\n' \\
    "$scan" "$1" "$(wc -c <"$2" | tr -d ' ')" "$(sha256sum <"$2" | cut -c1-64)"
}
emit_done() {
  last="trivyop/1 done scan=$scan parts=$1 exit=$2"
  printf '%s check=%s\\n' "$last" "$(printf '%s' "$last" | sha256sum | cut -c1-16)"
}
"""
