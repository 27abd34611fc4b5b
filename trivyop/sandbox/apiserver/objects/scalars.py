"""Scalars: quantities and times in the one form in which the server writes them.

Promises: ``parse_quantity`` and the canonical form agree with the server's on every quantity a person would
write; amounts are exact. Times come out as UTC, to the second or to the microsecond.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from typing import Final

from trivyop.kube.times import format_precise, format_time

_QUANTITY: Final = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d+|Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E)?")
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BAD_QUANTITY: Final = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


@lru_cache(4096)
def parse_quantity(text: str) -> Fraction:
    """The amount, exactly; ``ValueError`` in the server's words."""
    return _split_quantity(text)[0]


@lru_cache(4096)
def canonical_quantity(text: str) -> str:
    """The same amount with the largest suffix that leaves a whole number, in the family it was written in."""
    amount, family = _split_quantity(text)
    if amount == 0:
        return "0"
    if family == "binary" and amount.denominator == 1 and abs(amount) >= 1024:
        whole, power = amount.numerator, 0
        while whole % 1024 == 0 and power < 6:
            whole, power = whole // 1024, power + 1
        return f"{whole}{'i'.join((['', 'K', 'M', 'G', 'T', 'P', 'E'][power], '')) if power else ''}"
    nano = -(-abs(amount) * 10**9 // 1)  # nothing is finer than nano, and nothing is lost: round up
    amount = Fraction(nano if amount > 0 else -nano, 10**9)
    power = 6
    while (amount / Fraction(1000) ** power).denominator != 1:
        power -= 1
    whole = (amount / Fraction(1000) ** power).numerator
    if family == "exponent":
        return f"{whole}e{power * 3}" if power else str(whole)
    return str(whole) + next(suffix for suffix, value in _DECIMAL.items() if value == power)


def _split_quantity(text: str) -> tuple[Fraction, str]:
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(_BAD_QUANTITY)
    sign, digits, suffix = found[1], found[2], found[3] or ""
    amount = Fraction(f"{sign}{digits.rstrip('.') or '0'}")
    if suffix in _BINARY:
        return amount * Fraction(1024) ** _BINARY[suffix], "binary"
    if suffix in _DECIMAL:
        return amount * Fraction(1000) ** _DECIMAL[suffix], "decimal"
    return amount * Fraction(10) ** int(suffix[1:]), "exponent"


@lru_cache(4096)
def canonical_time(text: str) -> str:
    """RFC 3339 in UTC, to the second; ``ValueError`` in Go's words."""
    if len(text) == 20 and text[-1] == "Z" and text[10] == "T":  # noqa: SIM102  # the usual case, cheaply
        if _TIME.fullmatch(text):
            return text
    return format_time(_moment(text, "2006-01-02T15:04:05Z07:00"))


@lru_cache(4096)
def canonical_micro_time(text: str) -> str:
    """RFC 3339 in UTC with exactly six decimals, which it must have been written with."""
    layout = "2006-01-02T15:04:05.000000Z07:00"
    moment = _moment(text, layout)
    decimals = _TIME.fullmatch(text)
    if decimals is None or len(decimals[3 + 4] or "") != 7:
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{text[19:]}" as ".000000"')
    return format_precise(moment)


def _moment(text: str, layout: str) -> datetime:
    found = _TIME.fullmatch(text)
    if found is None:
        rest, wanted = _unparsed(text)
        raise ValueError(f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{wanted}"')
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise ValueError(f'parsing time "{text}": day out of range') from None


_PIECES: Final = (
    (r"\d{4}", "2006"),
    ("-", "-"),
    (r"\d\d", "01"),
    ("-", "-"),
    (r"\d\d", "02"),
    ("T", "T"),
    (r"\d\d", "15"),
    (":", ":"),
    (r"\d\d", "04"),
    (":", ":"),
    (r"\d\d(?:\.\d+)?", "05"),
)


def _unparsed(text: str) -> tuple[str, str]:
    """What Go's parser stumbles over, and what it wanted there."""
    rest = text
    for pattern, wanted in _PIECES:
        found = re.match(pattern, rest)
        if found is None:
            return rest, wanted
        rest = rest[found.end() :]
    return rest, "Z07:00"
