"""Registry credentials: read from pull secrets, chosen for an image, best first.

A server in a pull secret may name a host, a host with the beginning of a path, or a wildcard. For an image,
longer paths come before shorter ones and exact hosts before wildcards; among equals the order of the secrets
counts. Trivy tries all of them.

Promises: pure; passwords never show in a ``repr``, an error or a log; one unreadable secret or entry is a
problem with a name and costs the others nothing.
Not here: fetching Secrets and ServiceAccounts; cloud registries that need no secret.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from trivyop.kube.resources import ObjectKey
from trivyop.settings import SecretText, Settings
from trivyop.workload.images import DOCKER_HUB, ImageName

_CONFIG_JSON = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson")
_CONFIG = ("kubernetes.io/dockercfg", ".dockercfg")
_DOCKER_HUB_NAMES = frozenset(
    {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
)
_API_PATHS = frozenset({"v1", "v2"})  # "https://index.docker.io/v1/" is how docker login writes Docker Hub


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and password for what ``server`` stands for; ``origin`` is the Secret it came from."""

    server: str  # "host[:port][/path]", as ``normalise_server`` writes it
    username: str
    password: SecretText
    origin: str = ""


@dataclass(frozen=True, slots=True)
class PullSecrets:
    """What a list of pull secrets holds, in their order, and what could not be read."""

    credentials: tuple[Credential, ...] = ()
    problems: tuple[str, ...] = ()


class _Auth(msgspec.Struct):
    username: str = ""
    password: str = ""
    auth: str = ""


class _DockerConfig(msgspec.Struct):
    auths: dict[str, _Auth] = {}


class _UnreadableError(ValueError):
    """Its message never quotes the secret."""


def read_pull_secrets(secrets: Iterable[Mapping[str, Any]]) -> PullSecrets:
    """Read Secret objects as the API server gives them. Secrets of other types are passed over."""
    credentials: list[Credential] = []
    problems: list[str] = []
    for secret in secrets:
        meta: Mapping[str, Any] = secret.get("metadata") or {}
        origin = str(ObjectKey(meta.get("namespace", ""), meta.get("name", "")))
        try:
            auths = _auths(secret)
        except _UnreadableError as error:
            problems.append(f"pull secret {origin}: {error}")
            continue
        for server, auth in auths.items():
            try:
                pair = _user_and_password(auth)
            except _UnreadableError as error:
                problems.append(f"pull secret {origin}: entry {server!r}: {error}")
                continue
            if pair is not None:
                credentials.append(
                    Credential(normalise_server(server), pair[0], SecretText(pair[1]), origin=origin)
                )
    return PullSecrets(tuple(credentials), tuple(problems))


def _auths(secret: Mapping[str, Any]) -> dict[str, _Auth]:
    data: Mapping[str, str] = secret.get("data") or {}
    for (secret_type, key), shape in ((_CONFIG_JSON, _DockerConfig), (_CONFIG, dict[str, _Auth])):
        if secret.get("type") == secret_type and key in data:
            try:
                decoded = msgspec.json.decode(base64.b64decode(data[key], validate=True), type=shape)
            except (binascii.Error, msgspec.MsgspecError, UnicodeDecodeError):
                raise _UnreadableError(f"{key} is malformed") from None
            return decoded.auths if isinstance(decoded, _DockerConfig) else decoded
    return {}


def _user_and_password(auth: _Auth) -> tuple[str, str] | None:
    if not auth.auth.strip():
        return (auth.username, auth.password) if auth.username or auth.password else None
    try:
        text = base64.b64decode(auth.auth.strip(), validate=True).decode()
    except ValueError:
        raise _UnreadableError("auth is no base64") from None
    user, colon, password = text.partition(":")
    if not colon:
        raise _UnreadableError("auth has no ':'")
    return user, password.rstrip("\x00")


def normalise_server(text: str) -> str:
    """``host[:port][/path]`` of a server as pull secrets write it; Docker Hub has one name."""
    server = text.strip().partition("://")[2] or text.strip()
    host, _, path = server.partition("/")
    if host.lower() in _DOCKER_HUB_NAMES:
        host = DOCKER_HUB
    path = path.strip("/")
    if path.split("/")[0] in _API_PATHS:
        path = ""
    return f"{host.lower()}/{path}".rstrip("/")


def pick_credentials(image: ImageName, credentials: Iterable[Credential]) -> tuple[Credential, ...]:
    """Those that fit the image, best first, each pair of user and password once."""
    fitting = [
        (fit, number, credential)
        for number, credential in enumerate(credentials)
        if (fit := _fit(image, credential.server)) is not None
    ]
    fitting.sort(key=lambda item: (item[0], item[1]))
    chosen: dict[tuple[str, SecretText], Credential] = {}
    for _, _, credential in fitting:
        chosen.setdefault((credential.username, credential.password), credential)
    return tuple(chosen.values())


def _fit(image: ImageName, server: str) -> tuple[int, int] | None:
    """How well a server fits, smaller is better; None if it does not."""
    host, _, path = server.partition("/")
    wildcard = host.startswith("*.")
    if wildcard:
        if not image.registry.lower().endswith(host[1:]):
            return None
    elif image.registry.lower() != host:
        return None
    if path and image.repository != path and not image.repository.startswith(f"{path}/"):
        return None
    return -len(path), int(wildcard)


def pull_secret_keys(
    settings: Settings,
    *,
    namespace: str,
    pull_secrets: Iterable[str],
    service_account_pull_secrets: Iterable[str],
) -> tuple[ObjectKey, ...]:
    """Which Secrets to read for a workload's images, in the order in which they count, none twice.

    With access to the namespaces of workloads: the pod's, its service account's, then those named in the
    settings for any namespace. Without: those named for the operator's own namespace.
    """
    named = settings.operator.private_registry_scan_secrets
    if not settings.operator.access_global_secrets:
        own = settings.operator.namespace
        return tuple(ObjectKey(own, name) for name in dict.fromkeys(named.get(own, ())))
    keys = [ObjectKey(namespace, name) for name in (*pull_secrets, *service_account_pull_secrets) if name]
    keys += [ObjectKey(where, name) for where in sorted(named) for name in named[where]]
    return tuple(dict.fromkeys(keys))


def join_credentials(credentials: Iterable[Credential]) -> tuple[str, str]:
    """User names and passwords as Trivy takes several of them: joined by commas, in the same order.

    Trivy knows no way to write a comma itself, so pairs that contain one are left out if there are others.
    """
    pairs = [(credential.username, credential.password.reveal()) for credential in credentials]
    clean = [pair for pair in pairs if "," not in pair[0] + pair[1]]
    usable = clean or pairs[:1]
    return ",".join(user for user, _ in usable), ",".join(password for _, password in usable)


def docker_config(registry: str, credential: Credential) -> str:
    """A Docker client's configuration with one login; Docker Hub goes by its old name there."""
    server = "https://index.docker.io/v1/" if registry == DOCKER_HUB else registry
    pair = f"{credential.username}:{credential.password.reveal()}"
    auth = base64.b64encode(pair.encode()).decode()
    return msgspec.json.encode({"auths": {server: {"auth": auth}}}).decode()
