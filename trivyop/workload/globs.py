"""Globs: shell patterns as Go's ``path.Match`` reads them, because users' settings were written for it.

``*`` is any run of characters but "/", ``?`` any one but "/", ``[a-z]`` and ``[^a-z]`` a character (not) of a
class, ``\\`` takes the next character literally. The pattern must match the whole text.

Where Go's matcher is greedy ours is too: a ``*`` stops at the first place where what follows fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class _Class:
    """One character out of ranges (or, negated, out of none of them); "?" is everything but "/"."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def matches(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


_ANY_CHARACTER = _Class((("/", "/"),), negated=True)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A run of single characters; ``after_star`` when anything may come before it."""

    after_star: bool
    items: tuple[_Class, ...]

    def matches_at(self, text: str, start: int) -> bool:
        if start + len(self.items) > len(text):
            return False
        return all(item.matches(text[start + offset]) for offset, item in enumerate(self.items))


@dataclass(frozen=True, slots=True)
class Glob:
    """One parsed pattern."""

    pattern: str
    _chunks: tuple[_Chunk, ...]

    @classmethod
    def parse(cls, pattern: str) -> Self:
        """Read a pattern; raises ``ValueError`` for a malformed one, wherever the mistake is."""
        chunks: list[_Chunk] = []
        position = 0
        while position < len(pattern):
            after_star = False
            while position < len(pattern) and pattern[position] == "*":
                after_star = True
                position += 1
            items: list[_Class] = []
            while position < len(pattern) and pattern[position] != "*":
                item, position = _parse_item(pattern, position)
                items.append(item)
            chunks.append(_Chunk(after_star, tuple(items)))
        return cls(pattern, tuple(chunks))

    def matches(self, text: str) -> bool:
        """Whether the pattern fits all of ``text``."""
        position = 0
        for number, chunk in enumerate(self._chunks):
            last = number == len(self._chunks) - 1
            if chunk.after_star and not chunk.items:  # a trailing star
                return "/" not in text[position:]
            start = _find(chunk, text, position, to_the_end=last)
            if start is None:
                return False
            position = start + len(chunk.items)
        return position == len(text)

    @property
    def is_pattern(self) -> bool:
        """Whether it can match more than its own text."""
        return any(char in self.pattern for char in "*?[\\")

    def __str__(self) -> str:
        return self.pattern


def _find(chunk: _Chunk, text: str, position: int, *, to_the_end: bool) -> int | None:
    """First place where the chunk fits; the last chunk has to end where the text ends."""
    while True:
        ends_well = not to_the_end or position + len(chunk.items) == len(text)
        if ends_well and chunk.matches_at(text, position):
            return position
        if not chunk.after_star or position >= len(text) or text[position] == "/":
            return None
        position += 1


def _parse_item(pattern: str, position: int) -> tuple[_Class, int]:
    match pattern[position]:
        case "?":
            return _ANY_CHARACTER, position + 1
        case "[":
            return _parse_class(pattern, position + 1)
        case "\\":
            if position + 1 == len(pattern):
                raise ValueError(f"pattern {pattern!r} ends in the middle of an escape")
            char = pattern[position + 1]
            return _Class(((char, char),), negated=False), position + 2
        case char:
            return _Class(((char, char),), negated=False), position + 1


def _parse_class(pattern: str, position: int) -> tuple[_Class, int]:
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", position)):
        low, position = _parse_class_char(pattern, position)
        high = low
        if pattern[position] == "-":
            high, position = _parse_class_char(pattern, position + 1)
        ranges.append((low, high))
    return _Class(tuple(ranges), negated), position + 1


def _parse_class_char(pattern: str, position: int) -> tuple[str, int]:
    """One character of a class; there is always another one after it, at least the closing bracket."""
    if position < len(pattern) and pattern[position] in "-]":
        raise ValueError(f"pattern {pattern!r} has a misplaced {pattern[position]!r} in a class")
    if position < len(pattern) and pattern[position] == "\\":
        position += 1
    if position + 1 >= len(pattern):
        raise ValueError(f"pattern {pattern!r} has a class without end")
    return pattern[position], position + 1
