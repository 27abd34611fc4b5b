"""Secrets: the texts that an endpoint refers to, and the access to it that is made of them.

Promises: a Secret is read once for all endpoints and keys that name it; what is missing is an
``EndpointError`` that names the endpoint, the key of its configuration, the Secret and its key, and never a
content.
Not here: when they are read again (``controllers.webhooks.notifications``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from trivyop.errors import TerminalError
from trivyop.kube.client import Api
from trivyop.kube.proxies import ProxyError, proxy_for
from trivyop.kube.resources import SECRETS, ObjectKey
from trivyop.notify.endpoint import Endpoint, SecretRef, Text
from trivyop.notify.signature import signing_keys
from trivyop.notify.tls import TlsError, build_context
from trivyop.notify.transport import Access
from trivyop.notify.validation import EndpointError, check_url


@dataclass(frozen=True, slots=True)
class Secret:
    """One Secret as it was read; ``problem`` says why it has nothing."""

    version: str = ""
    data: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    problem: str = ""


Secrets = Mapping[str, Secret]


def refs_of(endpoint: Endpoint) -> Iterator[SecretRef]:
    """All that an endpoint refers to."""
    tls = endpoint.tls
    texts = (endpoint.url, endpoint.bearer_token, endpoint.signature, tls.ca, tls.certificate, tls.key)
    for text in (*texts, *endpoint.headers.values()):
        if isinstance(text, SecretRef):
            yield text


async def read_secrets(api: Api, namespace: str, endpoints: Iterable[Endpoint]) -> dict[str, Secret]:
    """Read every Secret that is referred to; raises ``TransientError``."""
    names = sorted({ref.name for endpoint in endpoints for ref in refs_of(endpoint)})
    return {name: await _read(api, ObjectKey(namespace, name)) for name in names}


async def _read(api: Api, key: ObjectKey) -> Secret:
    try:
        there = await api.get_dict(SECRETS, key)
    except TerminalError as error:
        return Secret(problem=f"cannot be read: {error}")
    if there is None:
        return Secret(problem="does not exist")
    encoded: dict[str, str] = there.get("data") or {}
    data: dict[str, bytes] = {}
    for name, value in encoded.items():
        try:
            data[name] = base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            continue
    meta = there["metadata"]
    return Secret(f"{meta.get('uid', '')}@{meta.get('resourceVersion', '')}", data)


def build_access(
    endpoint: Endpoint, secrets: Secrets, environ: Mapping[str, str], *, now: datetime
) -> Access:
    """What it takes to reach the endpoint; raises ``EndpointError``."""
    texts = _Texts(endpoint, secrets)
    url = texts.one(endpoint.url, "url")
    check_url(url, endpoint=endpoint.name, key="url")
    headers = {name: texts.line(text, f"headers.{name}") for name, text in endpoint.headers.items()}
    if endpoint.bearer_token is not None:
        headers["Authorization"] = f"Bearer {texts.line(endpoint.bearer_token, 'bearerToken')}"
    keys: tuple[bytes, ...] = ()
    if endpoint.signature is not None:
        try:
            keys = signing_keys(texts.one(endpoint.signature, "signature"))
        except ValueError as error:
            raise EndpointError(endpoint.name, "signature", str(error)) from None
    tls = endpoint.tls
    try:
        context = build_context(
            texts.optional(tls.ca, "tls.ca"),
            texts.optional(tls.certificate, "tls.certificate"),
            texts.optional(tls.key, "tls.key"),
            now=now,
        )
    except TlsError as error:
        raise EndpointError(endpoint.name, f"tls.{error.part}", str(error)) from None
    try:
        proxy = proxy_for(url, environ)
    except ProxyError as error:
        raise EndpointError(endpoint.name, "", str(error)) from None
    return Access(
        endpoint=endpoint.name,
        url=url,
        headers=headers,
        signing_keys=keys,
        tls=context,
        server_name=tls.server_name,
        proxy=proxy,
        timeout_seconds=endpoint.timeout_seconds,
        secrets=_worth_hiding({*headers.values(), *_parts(url, headers.values()), *texts.seen}),
        fingerprint=_fingerprint(endpoint, secrets, url, headers),
    )


def _fingerprint(endpoint: Endpoint, secrets: Secrets, url: str, headers: Mapping[str, str]) -> str:
    """Another one whenever there is reason to hope that what was refused is taken now."""
    versions = [(ref.name, secrets[ref.name].version) for ref in refs_of(endpoint) if ref.name in secrets]
    parts = (_stable(endpoint), sorted(versions), url, sorted(headers.items()))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _stable(value: Any) -> str:
    """Like ``repr``, but the same in each process, where sets come in another order."""
    if is_dataclass(value):
        return f"({', '.join(f'{one.name}={_stable(getattr(value, one.name))}' for one in fields(value))})"
    if isinstance(value, frozenset):
        return repr(sorted(map(repr, cast("frozenset[object]", value))))
    return repr(value)


def _parts(url: str, headers: Iterable[str]) -> Iterator[str]:
    """What answers repeat without the rest: of the URL what follows the host, of headers the credentials."""
    target = urlsplit(url)
    for text in (target.path, f"{target.path}?{target.query}", target.query):
        yield text
        yield unquote(text)
    for text in headers:
        yield text.partition(" ")[2].strip()  # "Basic dXNlcg==" has its scheme in front


def _worth_hiding(texts: Iterable[str]) -> tuple[str, ...]:
    """Longest first; stars in the place of each "1" would hide a message, and no secret."""
    return tuple(sorted((text for text in texts if len(text) >= 6), key=len, reverse=True))


class _Texts:
    """Reads the texts of one endpoint."""

    def __init__(self, endpoint: Endpoint, secrets: Secrets) -> None:
        self.seen: set[str] = set()
        self._endpoint = endpoint
        self._secrets = secrets

    def one(self, text: Text, key: str) -> str:
        found = self._found(text, key) if isinstance(text, SecretRef) else text.reveal()
        found = found.strip()  # files that Secrets are made of end with a newline
        if not found:
            what = f"{text} " if isinstance(text, SecretRef) else ""
            raise EndpointError(self._endpoint.name, key, f"{what}is empty")
        self.seen.add(found)
        return found

    def line(self, text: Text, key: str) -> str:
        found = self.one(text, key)
        if not found.isprintable() or not found.isascii():
            raise EndpointError(self._endpoint.name, key, "has characters that a header cannot have")
        return found

    def optional(self, text: Text | None, key: str) -> str | None:
        return None if text is None else self.one(text, key)

    def _found(self, ref: SecretRef, key: str) -> str:
        secret = self._secrets.get(ref.name, Secret(problem="was not read"))
        if secret.problem:
            raise EndpointError(self._endpoint.name, key, f"Secret {ref.name} {secret.problem}")
        data = secret.data.get(ref.key)
        if data is None:
            raise EndpointError(self._endpoint.name, key, f"Secret {ref.name} has no key {ref.key!r}")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise EndpointError(self._endpoint.name, key, f"{ref} is not text") from None
