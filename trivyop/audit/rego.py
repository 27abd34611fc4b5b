"""What a module of Rego says of itself, as far as it can be read without compiling it.

Words, names of rules and imports are found by splitting the text into tokens, so that comments and strings do
not count; metadata are read as Trivy reads them: the annotation before the package, or the rule
`__rego_metadata__` of old.

Promises: pure; never raises. A text that does not compile gives some answer, as the compiler will complain.
Not here: what follows from it (``packages.py``, ``effects.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, cast

import msgspec
import yaml

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)|(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<word>[A-Za-z_]\w*)|(?P<line>\n)"""
    r"""|(?P<number>\d[\w.]*)|(?P<sign>[^\s\w])"""
)
_PACKAGE = re.compile(r"^[ \t]*package[ \t]+(\S+)", re.MULTILINE)
_QUOTED = re.compile(r"\[\s*\"([^\"]*)\"\s*\]")
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([^\s#]+)(?:[ \t]+as[ \t]+(\w+))?", re.MULTILINE)
_COMMENT = re.compile(r"[ \t]*#(.*)")
_CLOSING: Final = frozenset(")]}")
_OPENING: Final = frozenset("([{")
# After these a statement goes on, also on the next line.
_GOES_ON: Final = frozenset(
    ("if", "contains", "in", "else", "as", "with", "some", "not", "every", "import", "package")
)
_NO_RULES: Final = frozenset(
    ("package", "import", "else", "with", "some", "not", "every", "if", "contains", "in", "as")
)
METADATA: Final = "__rego_metadata__"
INPUT: Final = "__rego_input__"


class Token(msgspec.Struct, frozen=True):
    """A part of a text; comments and blanks are none."""

    kind: str  # word, text, number, sign
    text: str
    start: int
    first: bool  # in its line


class Import(msgspec.Struct, frozen=True):
    """``import data.lib.labels as words``."""

    path: str  # "data.lib.labels"
    name: str  # by which the module speaks of it


class Package(msgspec.Struct, frozen=True):
    """Where the package is named."""

    path: str  # "trivyoperator.team", with dots only
    written: str  # as it stands there
    start: int
    end: int


def package_of(text: str) -> Package | None:
    """The module's package; None if it names none."""
    found = _PACKAGE.search(text)
    if found is None:
        return None
    return Package(dotted(found[1]), found[1], found.start(1), found.end(1))


def dotted(path: str) -> str:
    """A path with dots only: ``a["b"].c`` is ``a.b.c``."""
    return _QUOTED.sub(r".\1", path)


def tokens(text: str) -> Iterator[Token]:
    """All tokens of a text, in order."""
    first = True
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or ""
        if kind == "line":
            first = True
        elif kind != "comment":
            yield Token(kind, found[0], found.start(), first)
            first = False


@lru_cache(maxsize=256)
def rules_of(text: str) -> tuple[str, ...]:
    """Names of the rules that a module defines, in order, each once."""
    names: dict[str, None] = {}
    depth, before, default = 0, "", False
    for token in tokens(text):
        if token.kind == "sign" and token.text in _OPENING:
            depth += 1
        elif token.kind == "sign" and token.text in _CLOSING:
            depth = max(0, depth - 1)
        elif depth == 0 and token.kind == "word":
            begins = token.first and before not in _GOES_ON and not _is_operator(before)
            if begins and token.text == "default":
                default = True
            elif (begins or default) and token.text not in _NO_RULES:
                names[token.text] = None
                default = False
        before = token.text
    return tuple(names)


@lru_cache(maxsize=256)
def words_of(text: str) -> frozenset[str]:
    """Words that may stand for rules or variables: none that follow a dot."""
    found: set[str] = set()
    before = ""
    for token in tokens(text):
        if token.kind == "word" and before != ".":
            found.add(token.text)
        before = token.text
    return frozenset(found)


@lru_cache(maxsize=256)
def imports_of(text: str) -> tuple[Import, ...]:
    """What a module imports."""
    found: list[Import] = []
    for path, alias in _IMPORT.findall(text):
        whole = dotted(path)
        found.append(Import(whole, alias or whole.rpartition(".")[2]))
    return tuple(found)


def annotation_of(text: str) -> dict[str, Any] | None:
    """The annotation of the package: the comment that begins with METADATA right before it; None without one.

    An annotation that is no YAML is empty: the compiler complains of it.
    """
    package = package_of(text)
    if package is None:
        return None
    lines: list[str] = []
    for line in reversed(text[: package.start].split("\n")[:-1]):
        comment = _COMMENT.fullmatch(line.rstrip("\r"))
        if comment is None:
            return None
        if comment[1].strip() == "METADATA":
            break
        lines.append(comment[1])
    else:
        return None
    try:
        found: object = yaml.safe_load(
            "\n".join(line[1:] if line[:1] == " " else line for line in reversed(lines))
        )
    except (yaml.YAMLError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def object_of(text: str, rule: str) -> dict[str, Any] | None:
    """What a rule such as ``__rego_metadata__`` says, where it is written as plain data; else None."""
    found = re.search(rf"^{re.escape(rule)}\s*(?::=|=)\s*(?=\{{)", text, re.MULTILINE)
    if found is None:
        return None
    end = _end_of_object(text, found.end())
    plain = "".join("" if part.startswith("#") else part for part in _parts(text[found.end() : end]))
    try:
        value: object = yaml.safe_load(re.sub(r"\s+", " ", plain))
    except (yaml.YAMLError, ValueError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _is_operator(text: str) -> bool:
    return len(text) == 1 and text in "=<>!+-*/%&|,:.;"


def _end_of_object(text: str, start: int) -> int:
    depth = 0
    for token in tokens(text[start:]):
        if token.kind == "sign":
            depth += (token.text in _OPENING) - (token.text in _CLOSING)
            if depth == 0:
                return start + token.start + 1
    return len(text)


def _parts(text: str) -> Iterator[str]:
    """The text in pieces, each comment and each string by itself."""
    end = 0
    for found in _TOKEN.finditer(text):
        yield text[end : found.start()]
        yield found[0]
        end = found.end()
    yield text[end:]
