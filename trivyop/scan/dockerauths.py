"""Logins in a pull secret, decoded as a kubelet decodes them.

The rules are those of Kubernetes 1.36 (``pkg/credentialprovider``: ``secrets/secrets.go``, ``config.go``),
which are Go's rules for JSON and base64 where it does not say otherwise:

- a Secret of type ``kubernetes.io/dockerconfigjson`` is read from its key ``.dockerconfigjson``, one of
  type ``kubernetes.io/dockercfg`` from ``.dockercfg``; any other type, the other key or an empty value:
  passed over
- names of fields are equal in any case (``Auths``), the last of two equal servers counts, ``null`` is as if
  nothing were there, fields of no meaning (``credHelpers``, ``identitytoken``) are passed over
- ``auth``, if it is there and not empty, counts more than ``username`` and ``password``; they are plain
  text
- ``auth`` is base64 of ``user:password`` in the standard alphabet, with padding or without; line breaks
  anywhere in it do not count, blanks do. The first colon divides: a password may hold colons, begin or end
  with blanks, be empty
- an entry without a user is a pull without a login (containerd, ``ParseAuth``)
- a field that is no string, or an ``auth`` that cannot be decoded: refused

Where this differs: a kubelet refuses every pull secret of a pod for one bad entry; here it costs that
entry. A kubelet hands on what is no UTF-8, which its call to the runtime cannot carry; here that is a bad
entry.

Promises: pure; any text gives entries or ``UnreadableError``; neither it nor a ``Problem`` quotes what may
be secret.
Not here: which server an entry is for (``servers.py``).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from trivyop.settings import SecretText

_CONFIG_JSON: Final = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson")
_CONFIG: Final = ("kubernetes.io/dockercfg", ".dockercfg")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_LINE_BREAKS: Final = str.maketrans("", "", "\r\n")
_FIELDS: Final = ("username", "password", "email", "auth")


@dataclass(frozen=True, slots=True)
class Login:
    """A user and password; without a user it is no login at all."""

    username: str
    password: SecretText


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a pull secret: a login, or why it has none."""

    server: str  # as it is written
    login: Login | None
    problem: str = ""  # "" if the login can be used as it is


class UnreadableError(ValueError):
    """The whole Secret cannot be read; the message never quotes it."""


class _Object(tuple[tuple[str, Any], ...]):
    """A JSON object as it is written: in order, with names that come twice."""

    __slots__ = ()


def read_entries(secret: Mapping[str, Any]) -> tuple[Entry, ...]:
    """The entries of a Secret object as the API server gives it, in their order.

    Raises ``UnreadableError`` if a kubelet finds no logins in it.
    """
    kind = secret.get("type") or "Opaque"
    data: Mapping[str, str] = secret.get("data") or {}
    for secret_type, key in (_CONFIG_JSON, _CONFIG):
        if kind != secret_type:
            continue
        if not data.get(key):
            raise UnreadableError(f"it has no {key}")
        document = _document(key, data[key])
        auths = document if key == _CONFIG[1] else _auths(document)
        return tuple(_entry(server, value) for server, value in dict(auths).items())
    raise UnreadableError(f"its type is {str(kind)[:100]}, not {_CONFIG_JSON[0]}")


def _document(key: str, encoded: str) -> _Object:
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8", "replace")
        document = json.loads(text, object_pairs_hook=_Object, parse_constant=_refuse)
    except (ValueError, RecursionError):  # the first is also an error of base64 or JSON
        raise UnreadableError(f"{key} is not JSON") from None
    if document is None:
        return _Object()
    if not isinstance(document, _Object):
        raise UnreadableError(f"{key} is not a JSON object")
    return document


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _auths(document: _Object) -> _Object:
    """The entries under ``auths``; of two such fields those of both."""
    found: list[tuple[str, Any]] = []
    for name, value in document:
        if name.lower() != "auths":
            continue
        if value is None:
            found = []
        elif isinstance(value, _Object):
            found += value
        else:
            raise UnreadableError("auths is not a JSON object")
    return _Object(found)


def _entry(server: str, value: object) -> Entry:
    server = _text(server)
    if value is None:
        value = _Object()
    if not isinstance(value, _Object):
        return Entry(server, None, "it is not a JSON object")
    fields: dict[str, str] = dict.fromkeys(_FIELDS, "")
    for name, field in value:
        if name.lower() not in fields or field is None:
            continue
        if not isinstance(field, str):
            return Entry(server, None, f"{name.lower()} is not a string")
        fields[name.lower()] = _text(field)
    try:
        user, password = (
            _decoded(fields["auth"]) if fields["auth"] else (fields["username"], fields["password"])
        )
    except ValueError as error:
        return Entry(server, None, str(error))
    return Entry(
        server,
        Login(user, SecretText(password)),
        _oddity(user, password, {name.lower() for name, _ in value}),
    )


def _decoded(auth: str) -> tuple[str, str]:
    """User and password of ``auth``; raises ``ValueError``, which says why not, and not what it is."""
    text = auth.translate(_LINE_BREAKS)
    if not text.endswith("="):
        text += "=" * (-len(text) % 4)
    if len(text) % 4 or not _BASE64.fullmatch(text):
        raise ValueError("auth is not base64")
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except binascii.Error:
        raise ValueError("auth is not base64") from None
    except UnicodeDecodeError:
        raise ValueError("auth holds something that is not UTF-8") from None
    if not colon:
        raise ValueError("auth has no ':' between user and password")
    return user, password


def _oddity(user: str, password: str, fields: Collection[str]) -> str:
    """What is odd about a login that a kubelet takes as it is, and that a registry may well refuse."""
    if not user:
        token = next((name for name in ("identitytoken", "registrytoken") if name in fields), "")
        return f"it has only {token}, which a kubelet does not use" if token else "it names no user"
    if not password:
        return "its password is empty"
    if password != password.rstrip("\r\n"):
        return "its password ends in a line break"
    return ""


def _text(text: str) -> str:
    """The text with half characters replaced, as Go does it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
