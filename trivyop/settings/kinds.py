"""Kinds of setting values: how a text in an environment variable or ConfigMap becomes a typed value.

A kind knows how to parse a text, how to show a value again, what it allows (in words, for messages and for
the reference page), and what an empty environment variable means.

Promises: ``parse`` raises ``ValueError`` for a text outside of ``allowed``; ``parse(show(value)) == value``,
secrets apart.
Not here: the Kubernetes shapes written as JSON (``shapes.py``), and where settings come from (``load.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from trivyop.settings.durations import format_duration, parse_duration

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class SecretText:
    """A text that must not be shown: its ``repr`` and ``str`` are stars, ``reveal`` is the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "***" if self._text else "''"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One way to write a value. ``empty`` is called for a variable that is set to the empty text, or to one
    of ``blank``, which mean the same."""

    name: str
    allowed: str
    parse: Callable[[str], T]
    show: Callable[[T], str]
    empty: Callable[[], T] | None = None
    blank: frozenset[str] = frozenset()

    def is_blank(self, text: str) -> bool:
        return not text.strip() or text.strip() in self.blank


# --- texts -----------------------------------------------------------------------------------------------

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_LABEL_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def show_text(value: str) -> str:
    return value


TEXT: Kind[str] = Kind("text", "any text", str.strip, show_text, str)
MULTILINE: Kind[str] = Kind("text, several lines", "any text", lambda text: text, show_text, str)


def _parse_secret(text: str) -> SecretText:
    """Without the line end that ``echo`` puts behind a secret; Trivy passes over blanks around it."""
    return SecretText(text.strip())


SECRET: Kind[SecretText] = Kind("text", "any text", _parse_secret, repr, lambda: SecretText(""))


def matching(name: str, allowed: str, pattern: re.Pattern[str], max_length: int) -> Kind[str]:
    def parse(text: str) -> str:
        text = text.strip()
        if len(text) > max_length or not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not {allowed}")
        return text

    return Kind(name, allowed, parse, show_text, str)


DNS_LABEL = matching("name", "lower-case letters, digits and '-', at most 63 characters", _DNS_LABEL, 63)
OBJECT_NAME = matching(
    "name", "lower-case letters, digits, '-' and '.', at most 253 characters", _DNS_SUBDOMAIN, 253
)
FILE_NAME = matching(
    "file name", "a file name without directories", re.compile(r"[A-Za-z0-9._-]*[A-Za-z0-9_-]"), 255
)
ABSOLUTE_PATH = matching("path", "an absolute path", re.compile(r"/[^\x00\n]*"), 4096)
URL = matching("URL", "http://host[:port][/path] or https://...", re.compile(r"https?://[^\s/?#]+\S*"), 2048)
SECRET_URL: Kind[SecretText] = Kind(
    "URL", URL.allowed, lambda text: SecretText(URL.parse(text)), repr, lambda: SecretText("")
)
LISTEN_ADDRESS = matching(
    "address", "[host]:port, or 0 for off", re.compile(r"0|([^\s:]*|\[[0-9a-fA-F:]+\]):\d{1,5}"), 262
)


# --- numbers ---------------------------------------------------------------------------------------------

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def _parse_bool(text: str) -> bool:
    text = text.strip()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


BOOL: Kind[bool] = Kind(
    "bool", "true or false", _parse_bool, lambda value: "true" if value else "false", lambda: False
)


def integer(minimum: int = 0, maximum: int | None = None) -> Kind[int]:
    """A whole number; empty means 0 where 0 is allowed, and is refused elsewhere."""
    allowed = f"a whole number from {minimum}" + ("" if maximum is None else f" to {maximum}")

    def parse(text: str) -> int:
        number = int(text.strip()) if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text) else None
        if number is None or number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"{text!r} is not {allowed}")
        return number

    return Kind("number", allowed, parse, str, int if minimum <= 0 else None)


DURATION: Kind[float] = Kind(
    "duration", "a duration such as 90s, 5m or 1h30m", parse_duration, format_duration, float
)


def _show_optional_duration(value: float | None) -> str:
    return "" if value is None else format_duration(value)


def _none() -> None:
    return None


OPTIONAL_DURATION: Kind[float | None] = Kind(
    "duration", "a duration such as 24h, or empty for off", parse_duration, _show_optional_duration, _none
)


def duration(minimum_seconds: float) -> Kind[float]:
    """A duration that must not be shorter than ``minimum_seconds``; empty is refused."""
    allowed = f"a duration of at least {format_duration(minimum_seconds)}, such as 90s, 5m or 1h30m"

    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if seconds < minimum_seconds:
            raise ValueError(f"{text!r} is shorter than {format_duration(minimum_seconds)}")
        return seconds

    return Kind("duration", allowed, parse, format_duration)


_QUANTITY = re.compile(r"\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")


def _parse_quantity(text: str) -> str:
    text = text.strip()
    if not _QUANTITY.fullmatch(text):
        raise ValueError(f"{text!r} is not a Kubernetes quantity such as 500m, 1Gi or 0.5")
    return text


QUANTITY: Kind[str] = Kind(
    "quantity", "a Kubernetes quantity such as 500m, 500M or 1Gi", _parse_quantity, show_text, str
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUOTED = re.compile(r"[\"']|\[\s*[\"'\]]|- ")

# --- choices and lists -----------------------------------------------------------------------------------


def choice(values: type[E]) -> Kind[E]:
    """One of an enumeration's values, in any case of letters."""
    allowed = "one of " + ", ".join(values)
    by_lower = {value.lower(): value for value in values}

    def parse(text: str) -> E:
        value = by_lower.get(text.strip().lower())
        if value is None:
            raise ValueError(f"{text!r} is not {allowed}")
        return value

    return Kind("choice", allowed, parse, str)


def split_commas(text: str) -> tuple[str, ...]:
    """Items of a comma list, trimmed, empty ones left out."""
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def split_list(text: str, *, strict: bool = True) -> tuple[str, ...]:
    """Items of a list that may be written on several lines: a line break separates like a comma.

    An item with another control character, which no variable carries safely, is a ``ValueError``, and so is
    one in the quotes or brackets of JSON or YAML, which would count as a part of it; left out if not
    ``strict``.
    """
    items = split_commas(re.sub(r"[\r\n]+", ",", text))
    odd = [item for item in items if _CONTROL.search(item) or _QUOTED.match(item)]
    if odd and strict:
        if _CONTROL.search(odd[0]):
            raise ValueError(f"{odd[0]!r} has a control character")
        raise ValueError(f"{odd[0]!r} is not an item of a comma list, which has no quotes or brackets")
    return tuple(item for item in items if item not in odd)


def split_words(text: str) -> tuple[str, ...]:
    """Items that hold no blanks themselves, so that blanks separate like commas; at least one."""
    items = tuple(text.replace(",", " ").split())
    if not items:
        raise ValueError("there is nothing between the commas")
    return items


def show_list(values: Iterable[str]) -> str:
    return ",".join(values)


def no_items() -> tuple[Any, ...]:
    return ()


def _list_of(item: Kind[str], name: str) -> Kind[tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        return tuple(item.parse(part) for part in split_commas(text))

    return Kind(name, f"comma list; each item {item.allowed}", parse, show_list, no_items)


def choices(values: type[E], *, aliases: dict[str, E] | None = None) -> Kind[tuple[E, ...]]:
    """A comma list of an enumeration's values, in any case of letters, duplicates dropped."""
    inner = choice(values)
    lower_aliases = {key.lower(): value for key, value in (aliases or {}).items()}

    def parse_item(text: str) -> E:
        alias = lower_aliases.get(text.strip().lower())
        return alias if alias is not None else inner.parse(text)

    def parse(text: str) -> tuple[E, ...]:
        return tuple(dict.fromkeys(parse_item(part) for part in split_words(text)))

    return Kind("list", "comma list of " + ", ".join(values), parse, show_list, no_items)


TEXT_LIST: Kind[tuple[str, ...]] = Kind("list", "comma list", split_list, show_list, no_items)
NAMESPACES = _list_of(DNS_LABEL, "list of namespaces")


def _parse_globs(text: str) -> tuple[str, ...]:
    globs = split_commas(text)
    for glob in globs:
        check_glob(glob)
    return globs


_NAMESPACE_GLOB = re.compile(r"(?:[a-z0-9*?-]|\[[^\]]*\]|\\.)+")


def _parse_namespace_globs(text: str) -> tuple[str, ...]:
    globs = _parse_globs(text)
    odd = next((glob for glob in globs if not _NAMESPACE_GLOB.fullmatch(glob)), None)
    if odd is not None:
        raise ValueError(f"{odd!r} can match no namespace")
    return globs


_GLOB_CLASS = re.compile(r"\[(?:\^(?:\\.|[^\]\\])+|(?:\\.|[^\]\\^])(?:\\.|[^\]\\])*)\]")


def check_glob(glob: str) -> None:
    """Refuse what Go's path match calls a bad pattern: an open ``[``, an empty ``[]``, a last ``\\``."""
    position = 0
    while position < len(glob):
        char = glob[position]
        if char == "\\":
            position += 1
            if position >= len(glob):
                raise ValueError(f"glob {glob!r} ends in a backslash")
        elif char == "[":
            closing = _GLOB_CLASS.match(glob, position)
            if closing is None:
                raise ValueError(f"glob {glob!r} has an unclosed or empty [")
            position = closing.end() - 1
        position += 1


GLOBS: Kind[tuple[str, ...]] = Kind(
    "list of globs", "comma list of globs with *, ? and [...]", _parse_globs, show_list, no_items
)

NAMESPACE_GLOBS: Kind[tuple[str, ...]] = Kind(
    "list of globs",
    "comma list of names of namespaces, with *, ? and [...]",
    _parse_namespace_globs,
    show_list,
    no_items,
)


def check_label_key(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _DNS_SUBDOMAIN.fullmatch(prefix)):
        raise ValueError(f"{key!r} is not a label key: bad prefix before the '/'")
    if not _LABEL_NAME.fullmatch(name):
        raise ValueError(f"{key!r} is not a label key")
    return key


def check_label_value(value: str) -> str:
    if not _LABEL_VALUE.fullmatch(value):
        raise ValueError(f"{value!r} is not a label value")
    return value


def _parse_label_keys(text: str) -> tuple[str, ...]:
    return tuple(check_label_key(key) for key in split_commas(text))


LABEL_KEYS: Kind[tuple[str, ...]] = Kind(
    "list of label keys", "comma list of label keys", _parse_label_keys, show_list, no_items
)


def pairs(
    name: str, check_value: Callable[[str], str], check_key: Callable[[str], str] = check_label_key
) -> Kind[dict[str, str]]:
    """Names and values, as labels and annotations are written."""

    def parse(text: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for item in split_commas(text):
            key, equals, value = item.partition("=")
            if not equals:
                raise ValueError(f"{item!r} has no '='")
            found[check_key(key.strip())] = check_value(value.strip())
        return found

    def show(value: dict[str, str]) -> str:
        return ",".join(f"{key}={text}" for key, text in value.items())

    return Kind(name, "key=value,key2=value2", parse, show, dict)


def any_value(value: str) -> str:
    return value


LABELS = pairs("labels", check_label_value)
ANNOTATIONS = pairs("annotations", any_value)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


HEADER_NAME = matching("header name", "the name of an HTTP header", _HEADER_NAME, 256)


def _parse_headers(text: str) -> dict[str, SecretText]:
    headers: dict[str, SecretText] = {}
    for item in split_list(text):
        name, colon, value = item.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name.strip()):
            raise ValueError("an entry is not Name:value")
        headers[name.strip()] = SecretText(value.strip())
    return headers


HEADERS: Kind[dict[str, SecretText]] = Kind(
    "HTTP headers",
    "Name:value,Name2:value2",
    _parse_headers,
    lambda value: ",".join(f"{k}:***" for k in value),
    dict,
)
