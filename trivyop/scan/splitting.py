"""Splitting: a JSON document too large for memory, taken apart as it is read.

Nearly all of such a document is in a few long arrays. Their elements are handed out one by one, as text, and
what is left is the same document with those arrays empty, small enough to be decoded as a whole. So a large
document is read by the same decoders as a small one.

Promises: elements and rest together are the whole document; a document that is cut or not JSON is a
``SplitError``, at the latest when it ends. Memory does not grow with the document, and between two reads
other threads have their turn.
Not here: what elements mean. That each is good JSON in the eyes of its decoder, is for that to check.
"""

from __future__ import annotations

import codecs
import json
import re
import time
from collections.abc import Callable
from typing import IO, Final, TypeAlias

Pattern: TypeAlias = tuple[str | None, ...]
"""Where the long arrays are: keys on the way from the root; None for any key, and for any index."""

Path: TypeAlias = tuple[str | int, ...]
"""Where one of them is."""

Take: TypeAlias = Callable[[Path, str], None]
"""Gets the path of an array and the text of one of its elements."""

WHOLE_BYTES: Final = 4 * 1024 * 1024  # up to this size, decoding all at once holds up nobody
MAX_PIECE: Final = 16 * 1024 * 1024  # characters of one element, and of the rest
_READ_BYTES = 256 * 1024
_CUT_NUMBER = 3  # "1e+5" may be cut to "1e+", which then is taken for "1"

_BLANK = re.compile(r"[ \t\n\r]*")
# It accepts more than JSON (NaN, control characters); what it is asked is only where a value ends.
_VALUE = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)


class SplitError(ValueError):
    """The document is cut, is no JSON, or has an element beyond all measure."""


def bytes_in(file: IO[bytes]) -> int:
    """Bytes in the file; the next read begins at the beginning."""
    size = file.seek(0, 2)
    file.seek(0)
    return size


def split(file: IO[bytes], pattern: Pattern, take: Take) -> str:
    """Hand out the elements of all arrays at ``pattern``; returns the document without them."""
    return _Splitter(file, take).split(pattern)


class _Splitter:
    def __init__(self, file: IO[bytes], take: Take) -> None:
        self._file = file
        self._take = take
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""  # read, with what is left of it from `_at` on
        self._at = 0
        self._read = 0  # bytes
        self._rest: list[str] = []
        self._rest_size = 0

    def split(self, pattern: Pattern) -> str:
        self._value(pattern, ())
        if self._next():
            raise self._error("there is more after the end of the document")
        return "".join(self._rest)

    def _value(self, pattern: Pattern, path: Path) -> None:
        opening = self._next()
        if not pattern and opening == "[":
            self._array(lambda _: self._take(path, self._whole()))
        elif pattern and opening == "{":
            self._object(pattern, path)
        elif pattern and pattern[0] is None and opening == "[":
            self._array(lambda index: self._value(pattern[1:], (*path, index)), copy_commas=True)
        else:
            self._copy(self._whole())

    def _object(self, pattern: Pattern, path: Path) -> None:
        seen: set[str] = set()
        self._punctuation("{")
        while self._next() != "}":
            if seen:
                self._punctuation(",")
                self._next()
            text = self._whole()
            key = json.loads(text, strict=False) if text.startswith('"') else None
            if not isinstance(key, str) or key in seen:
                raise self._error(f"{text[:40]} as a key")
            seen.add(key)
            self._copy(text)
            self._next()
            self._punctuation(":")
            if pattern[0] in (None, key):
                self._value(pattern[1:], (*path, key))
            else:
                self._next()
                self._copy(self._whole())
        self._punctuation("}")

    def _array(self, element: Callable[[int], None], *, copy_commas: bool = False) -> None:
        index = 0
        self._punctuation("[")
        while self._next() != "]":
            if index:
                self._punctuation(",", copy=copy_commas)
                self._next()
            element(index)
            index += 1
        self._punctuation("]")

    def _next(self) -> str:
        """The first character of what comes next; "" at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _punctuation(self, expected: str, *, copy: bool = True) -> None:
        if self._text[self._at : self._at + 1] != expected:
            raise self._error(f"no {expected!r}")
        self._at += 1
        if copy:
            self._copy(expected)

    def _whole(self) -> str:
        """The text of the value that comes next, whatever is in it."""
        while True:
            try:
                _, end = _VALUE.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._error("values within values without end") from None
            except json.JSONDecodeError as error:
                if self._more():
                    continue
                raise self._error(error.msg) from None
            if len(self._text) - end < _CUT_NUMBER and self._text[self._at] not in '{["' and self._more():
                continue
            text = self._text[self._at : end]
            self._at = end
            return text

    def _more(self) -> bool:
        """Read on; False at the end. What has been taken from the text is let go."""
        left = len(self._text) - self._at
        if left > MAX_PIECE:
            raise self._error(f"a value of more than {MAX_PIECE} characters")
        time.sleep(0)  # lets go of the interpreter
        data = self._file.read(max(_READ_BYTES, left))  # twice as much each time, or it would take for ever
        self._read += len(data)
        try:
            text = self._decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise self._error(str(error)) from None
        if data:
            self._text = self._text[self._at :] + text
            self._at = 0
        return bool(data)

    def _copy(self, text: str) -> None:
        self._rest_size += len(text)
        if self._rest_size > MAX_PIECE:
            raise self._error(f"more than {MAX_PIECE} characters beside the long arrays")
        self._rest.append(text)

    def _error(self, what: str) -> SplitError:
        return SplitError(f"{what}, within the first {self._read} bytes")
