"""Endpoints: the receivers of events as people write them down, in YAML, and as the Go operator's settings.

A ConfigMap's key ``endpoints`` holds a list of mappings. What is secret is written as
``secretRef: {name: ..., key: ...}``, of a Secret in the operator's namespace.

Promises: strict, because a filter with a typo would send too much or nothing: what is not known is an error
that names the endpoint, the key and what is allowed. One bad endpoint does not harm the others. No message
shows a value that may be secret.
Not here: reading Secrets (``notify.secrets``).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import yaml

from trivyop.notify.endpoint import (
    DEFAULT_CONCURRENCY,
    DEFAULT_FORMAT,
    DEFAULT_TIMEOUT_SECONDS,
    Endpoint,
    SecretRef,
    Text,
    Tls,
)
from trivyop.notify.filters import Filter
from trivyop.notify.formats import FORMATS, DigestFormat
from trivyop.notify.validation import EndpointError, check_url
from trivyop.report import kinds
from trivyop.settings import Settings
from trivyop.settings.durations import format_duration, parse_duration
from trivyop.settings.kinds import SecretText

T = TypeVar("T")

DEFAULT_NAME = "default"
"""The endpoint that the Go operator's settings make."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")  # the ledger's ConfigMaps are named after it,
_RESERVED = ("-findings", "-journal")  # and some of another endpoint's end like that
_SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset(
    {"content-type", "content-length", "host", "transfer-encoding", "connection"}
    | {"webhook-id", "webhook-timestamp", "webhook-signature"}
)
_TIMEOUT = (1.0, 300.0)
_DIGEST = (10.0, 86_400.0)
_MAX_CONCURRENCY = 32
_MAX_ENDPOINTS = 50
_KEYS = (
    *("name", "url", "format", "deletes", "envelope", "headers", "bearerToken", "signature", "tls"),
    *("timeout", "concurrency", "digest", "cluster", "filter"),
)
_TLS_KEYS = ("ca", "certificate", "key", "serverName")


@dataclass(frozen=True, slots=True)
class Parsed:
    """The endpoints that can be used, and what is wrong with the others."""

    endpoints: tuple[Endpoint, ...] = ()
    problems: tuple[EndpointError, ...] = ()


def default_kinds() -> frozenset[str]:
    """What the Go operator sends, and so what its format is for unless a filter names kinds."""
    return frozenset(kind.resource.kind for kind in kinds.KINDS if kind.in_default_webhook)


def parse_endpoints(text: str) -> Parsed:
    """Read the YAML list of endpoints."""
    try:
        document: object = yaml.load(text, _Loader)  # noqa: S506 - it is a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        reason = f"is not YAML{where}: {getattr(error, 'problem', None) or 'cannot be read'}"
        return Parsed(problems=(EndpointError("*", "endpoints", reason),))
    except RecursionError:
        return Parsed(problems=(EndpointError("*", "endpoints", "is nested too deeply"),))
    if document is None:
        return Parsed()
    if not isinstance(document, list):
        return Parsed(problems=(EndpointError("*", "endpoints", "a list of endpoints is expected"),))
    found: dict[str, Endpoint] = {}
    problems: list[EndpointError] = []
    for n, one in enumerate(cast("list[object]", document)):
        try:
            if n >= _MAX_ENDPOINTS:
                raise EndpointError(f"#{n + 1}", "", f"there may be no more than {_MAX_ENDPOINTS} endpoints")  # noqa: TRY301
            endpoint = _endpoint(one, n)
            if endpoint.name in found:
                raise EndpointError(endpoint.name, "name", "there is another endpoint of that name")  # noqa: TRY301
            found[endpoint.name] = endpoint
        except EndpointError as error:
            problems.append(error)
    return Parsed(tuple(found.values()), tuple(problems))


class _Loader(yaml.SafeLoader):
    """Says in YAML's own way which value is none of its type; Python's words for it would quote the value."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # pyright: ignore[reportUnknownMemberType] - half typed
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            problem = f"this is not a value of type {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark) from None


def default_endpoint(settings: Settings) -> Endpoint | None:
    """The endpoint that the settings of the Go operator make, if they name a URL."""
    webhook = settings.webhook
    if not webhook.url:
        return None
    check_url(webhook.url.reveal(), endpoint=DEFAULT_NAME, key="OPERATOR_WEBHOOK_BROADCAST_URL")
    return Endpoint(
        name=DEFAULT_NAME,
        url=webhook.url,
        envelope=webhook.send_deleted_reports,
        deletes=webhook.send_deleted_reports,
        headers=dict(webhook.headers),
        timeout_seconds=webhook.timeout_seconds or DEFAULT_TIMEOUT_SECONDS,
        filter=Filter(kinds=default_kinds()),
    )


def _endpoint(document: object, n: int) -> Endpoint:
    nameless = f"#{n + 1}"
    if not isinstance(document, dict):
        raise EndpointError(nameless, "", f"a mapping is expected, with keys out of {', '.join(_KEYS)}")
    values = cast("dict[object, object]", document)
    name = values.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        allowed = "lower-case letters, digits and '-', at most 40 characters"
        raise EndpointError(nameless, "name", f"is missing, or is not {allowed}")
    if name.endswith(_RESERVED):
        reason = f"must not end in {' or '.join(_RESERVED)}: what is remembered of endpoints is named so"
        raise EndpointError(name, "name", reason)
    if name == DEFAULT_NAME:
        reason = f"{DEFAULT_NAME!r} is the endpoint of OPERATOR_WEBHOOK_BROADCAST_URL; take another name"
        raise EndpointError(name, "name", reason)
    return _Reader(name).endpoint(values)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the keys of one endpoint."""

    name: str

    def endpoint(self, values: dict[object, object]) -> Endpoint:
        self.known(values, "", _KEYS)
        format_name = self.format(values.get("format", DEFAULT_FORMAT))
        if "url" not in values:
            raise self.error("url", "is missing")
        deletes = self.flag(values, "deletes", format_name != DEFAULT_FORMAT)
        digests = isinstance(FORMATS.get(format_name), DigestFormat)
        if "digest" in values and not digests:
            raise self.error("digest", f"the format {format_name} sends each event on its own")
        if "envelope" in values and format_name != DEFAULT_FORMAT:
            raise self.error("envelope", f"is only for the format {DEFAULT_FORMAT}")
        wanted = Filter.parse(values.get("filter"), endpoint=self.name)
        if format_name == DEFAULT_FORMAT and not wanted.kinds:
            wanted = replace(wanted, kinds=default_kinds())
        return Endpoint(
            name=self.name,
            url=self.url(values["url"]),
            format=format_name,
            deletes=deletes,
            envelope=self.flag(values, "envelope", deletes),
            headers=self.headers(values.get("headers")),
            bearer_token=self.optional(values, "bearerToken"),
            signature=self.optional(values, "signature"),
            tls=self.tls(values.get("tls")),
            timeout_seconds=self.duration(values, "timeout", _TIMEOUT, DEFAULT_TIMEOUT_SECONDS),
            concurrency=self.concurrency(values.get("concurrency", DEFAULT_CONCURRENCY)),
            digest_seconds=self.duration(values, "digest", _DIGEST, None),
            cluster=self.text(values.get("cluster", ""), "cluster"),
            filter=wanted,
        )

    def error(self, key: str, reason: str) -> EndpointError:
        return EndpointError(self.name, key, reason)

    def known(self, values: dict[object, object], prefix: str, keys: Collection[str]) -> None:
        for key in values:
            if key not in keys:
                folded = {one.lower(): one for one in keys}
                near = difflib.get_close_matches(str(key).lower(), folded, n=1, cutoff=0.6)
                hint = f"; did you mean {folded[near[0]]}?" if near else ""
                raise self.error(f"{prefix}{key}", f"is not known{hint} (allowed: {', '.join(keys)})")

    def format(self, value: object) -> str:
        if not isinstance(value, str) or value not in FORMATS:
            raise self.error("format", f"{str(value)[:40]!r} is not known (allowed: {', '.join(FORMATS)})")
        return value

    def url(self, value: object) -> Text:
        url = self.secret(value, "url")
        if isinstance(url, SecretText):
            check_url(url.reveal(), endpoint=self.name, key="url")
        return url

    def headers(self, value: object) -> dict[str, Text]:
        headers: dict[str, Text] = {}
        if value is None:
            return headers
        for header, content in self.mapping(value, "headers").items():
            key = f"headers.{header}"
            if not isinstance(header, str) or not _HEADER_NAME.fullmatch(header):
                raise self.error(key, "is not the name of a header")
            if header.lower() in _OURS:
                raise self.error(key, "cannot be set, it is part of each request")
            text = self.secret(content, key)
            if isinstance(text, SecretText) and not text.reveal().isprintable():
                raise self.error(key, "has characters that a header cannot have")
            headers[header] = text
        return headers

    def tls(self, value: object) -> Tls:
        if value is None:
            return Tls()
        values = self.mapping(value, "tls")
        self.known(values, "tls.", _TLS_KEYS)
        tls = Tls(
            ca=self.optional(values, "ca", "tls."),
            certificate=self.optional(values, "certificate", "tls."),
            key=self.optional(values, "key", "tls."),
            server_name=self.text(values.get("serverName", ""), "tls.serverName"),
        )
        if tls.key is not None and tls.certificate is None:
            raise self.error("tls.key", "needs tls.certificate")
        if isinstance(tls.key, SecretText):
            raise self.error("tls.key", "must come from a Secret: secretRef: {name: ..., key: ...}")
        return tls

    def optional(self, values: dict[object, object], key: str, prefix: str = "") -> Text | None:
        value = values.get(key)
        return None if value is None else self.secret(value, f"{prefix}{key}")

    def secret(self, value: object, key: str) -> Text:
        """A text as it is, or the reference to one."""
        if isinstance(value, str):
            if not value.strip():
                raise self.error(key, "is empty")
            return SecretText(value)
        if not isinstance(value, dict) or set(cast("dict[object, object]", value)) != {"secretRef"}:
            raise self.error(key, "a text is expected, or secretRef: {name: ..., key: ...}")
        ref = self.mapping(cast("dict[object, object]", value)["secretRef"], f"{key}.secretRef")
        self.known(ref, f"{key}.secretRef.", ("name", "key"))
        name, of = ref.get("name"), ref.get("key")
        if not isinstance(name, str) or not _SECRET_NAME.fullmatch(name):
            raise self.error(f"{key}.secretRef.name", "is missing, or is not the name of a Secret")
        if not isinstance(of, str) or not _SECRET_KEY.fullmatch(of):
            raise self.error(f"{key}.secretRef.key", "is missing, or is not the key of a Secret")
        return SecretRef(name, of)

    def mapping(self, value: object, key: str) -> dict[object, object]:
        if not isinstance(value, dict):
            raise self.error(key, "a mapping is expected")
        return cast("dict[object, object]", value)

    def text(self, value: object, key: str) -> str:
        if not isinstance(value, str) or len(value) > 253 or not value.isprintable():
            raise self.error(key, "a text of one line is expected")
        return value

    def flag(self, values: dict[object, object], key: str, default: bool) -> bool:
        value = values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "true or false is expected")
        return value

    def duration(
        self, values: dict[object, object], key: str, between: tuple[float, float], default: T
    ) -> float | T:
        if key not in values:
            return default
        least, most = between
        allowed = f"a duration from {format_duration(least)} to {format_duration(most)} is expected"
        try:
            seconds = parse_duration(str(values[key]))
        except ValueError:
            raise self.error(key, f"{allowed}, such as 30s or 15m") from None
        if not least <= seconds <= most:
            raise self.error(key, allowed)
        return seconds

    def concurrency(self, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_CONCURRENCY:
            raise self.error("concurrency", f"a number from 1 to {_MAX_CONCURRENCY} is expected")
        return value
