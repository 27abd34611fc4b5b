"""Selectors: which objects a list or a watch is about, by label or by field.

Promises: the grammar of Kubernetes, with its messages for what can not be parsed.
Not here: which fields a kind can be selected by (``fields``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from trivyop.sandbox.apiserver.objects.refusals import Refused, bad_request

_TOKEN = re.compile(r"\s*(==|!=|[=,()!<>]|[^\s=,()!<>]+)")
_COMMA, _CLOSE = ",", ")"
_SIGNS = ("", "=", "==", "!=", ",", "(", ")", "<", ">", "!")
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_BAD_KEY = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with"
    " an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/'"
    " (e.g. 'example.com/MyName')"
)
_BAD_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used"
    " for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on labels or fields."""

    key: str
    operator: str  # "=", "!=", "in", "notin", "exists", "!", ">", "<"
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Return whether ``labels`` satisfy this."""
        value = labels.get(self.key)
        match self.operator:
            case "=" | "in":
                return value in self.values
            case "!=" | "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                if value is None or not re.fullmatch(r"[-+]?\d+", value):
                    return False
                bound = int(self.values[0])
                return int(value) > bound if self.operator == ">" else int(value) < bound


Selector = tuple[Requirement, ...]


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Return whether all requirements hold."""
    return all(requirement.holds(labels) for requirement in selector)


def selector_of(label_selector: Mapping[str, Any]) -> Selector:
    """Read a ``LabelSelector`` as objects hold it."""
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
    labels: Mapping[str, str] = label_selector.get("matchLabels") or {}
    found = [Requirement(key, "=", (value,)) for key, value in labels.items()]
    found.extend(
        Requirement(term["key"], operators[term["operator"]], tuple(term.get("values") or ()))
        for term in label_selector.get("matchExpressions") or ()
    )
    return tuple(found)


def parse_labels(text: str) -> Selector:
    """Read a label selector; raises the 400 of one that is malformed."""
    if not text.strip():
        return ()
    return _LabelParser(_TOKEN.findall(text)).parse()


class _LabelParser:
    """Recursive descent over the tokens; an empty token is the end."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def parse(self) -> Selector:
        found: list[Requirement] = []
        while True:
            found.append(self._requirement())
            match self._next():
                case "":
                    return tuple(found)
                case ",":
                    if self._peek() == "":
                        raise bad_request("found '', expected: identifier after ','")
                case token:
                    raise bad_request(f"found '{token}', expected: ',' or 'end of string'")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._next()
            key = self._key()
            return Requirement(key, "!")
        if (token := self._peek()) in _SIGNS:
            raise bad_request(f"found '{token}', expected: !, identifier, or 'end of string'")
        key = self._key()
        match self._peek():
            case "" | ",":
                return Requirement(key, "exists")
            case "=" | "==" | "!=" as operator:
                self._next()
                return Requirement(key, "!=" if operator == "!=" else "=", (self._value(),))
            case "in" | "notin" as operator:
                self._next()
                return Requirement(key, operator, self._set())
            case "<" | ">" as operator:
                self._next()
                value = self._value()
                if not re.fullmatch(r"[-+]?\d+", value):
                    why = "for 'Gt', 'Lt' operators, the value must be an integer"
                    raise _malformed(f'values[0]: Invalid value: "{value}": {why}')
                return Requirement(key, operator, (value,))
            case token:
                raise _malformed(f"found '{token}', expected: in, notin, =, ==, !=, gt, lt")

    def _key(self) -> str:
        token = self._next()
        if token in _SIGNS:
            raise _malformed(f"found '{token}', expected: !, identifier, or 'end of string'")
        prefix, slash, name = token.rpartition("/")
        if (slash and not _DOMAIN.fullmatch(prefix)) or not _NAME.fullmatch(name):
            raise _malformed(f'<nil>: Invalid value: "{token}": {_BAD_KEY}')
        return token

    def _value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        return self._checked(self._next())

    def _set(self) -> tuple[str, ...]:
        if (token := self._next()) != "(":
            raise _malformed(f"found '{token}' expected: '('")
        values: list[str] = []
        while True:
            value = self._next()
            if value == _CLOSE:
                return tuple(sorted(values)) or ("",)
            if value == _COMMA:
                values.append("")
                continue
            if not value:
                raise _malformed("found '', expected: ',', ')' or identifier")
            values.append(self._checked(value))
            match self._next():
                case ")":
                    return tuple(sorted(values))
                case ",":
                    if self._peek() == ")":
                        values.append("")
                case other:
                    raise _malformed(f"found '{other}', expected: ',' or ')'")

    def _checked(self, value: str) -> str:
        if value and not _NAME.fullmatch(value):
            raise _malformed(f'values[0]: Invalid value: "{value}": {_BAD_VALUE}')
        return value


def _malformed(why: str) -> Refused:
    return bad_request(f"unable to parse requirement: {why}")


def parse_fields(text: str, supported: Collection[str], *, custom: bool = False) -> Selector:
    """Read a field selector; raises the 400 of one that is malformed or names an unknown field."""
    found: list[Requirement] = []
    for term in _split_terms(text):
        if not term:
            continue
        for operator in ("!=", "==", "="):
            key, sign, value = term.partition(operator)
            if sign:
                break
        else:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        if key not in supported:
            raise bad_request(_unknown_field(key, supported, custom=custom))
        found.append(Requirement(key, "!=" if operator == "!=" else "=", (_unescape(value),)))
    return tuple(found)


def _unknown_field(key: str, supported: Collection[str], *, custom: bool) -> str:
    if not custom and set(supported) == {"metadata.name", "metadata.namespace"}:  # none of its own
        return f'"{key}" is not a known field selector: only "metadata.name", "metadata.namespace"'
    return f"field label not supported: {key}"


def _split_terms(text: str) -> list[str]:
    return re.split(r"(?<!\\),", text)


def _unescape(value: str) -> str:
    return re.sub(r"\\([\\,=])", r"\1", value)
