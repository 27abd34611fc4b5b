"""Registry credentials: read from pull secrets, chosen for an image in a kubelet's order.

How an entry is decoded is in ``dockerauths.py``, what it is for in ``servers.py``; both say what a kubelet
does. Each login goes to Trivy as a Docker configuration of its own, for the image's registry only: Trivy's
own variables cannot hold a comma or a blank, and go to the registries of its databases, too.

Promises: pure; passwords never show in a ``repr``, an error or a log; one unreadable secret or entry is a
problem with a name and costs the others nothing.
Not here: fetching Secrets and ServiceAccounts; cloud registries that need no secret; what a user reads about
logins that failed (``logins.py``).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from trivyop.kube.resources import ObjectKey
from trivyop.scan.dockerauths import Login, UnreadableError, read_entries
from trivyop.scan.servers import Server
from trivyop.settings import SecretText, Settings
from trivyop.workload.images import DOCKER_HUB, ImageName

_SHOWN: Final = 100  # characters of what a Secret calls a server


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and password for what ``server`` stands for; ``origin`` is the Secret it came from."""

    server: Server
    username: str  # "" for a pull without a login
    password: SecretText
    origin: str = ""
    oddity: str = ""  # why a registry may refuse it: "its password ends in a line break"

    @property
    def login(self) -> Login:
        return Login(self.username, self.password)


@dataclass(frozen=True, slots=True)
class PullSecrets:
    """What a list of pull secrets holds, in their order, and what could not be read."""

    credentials: tuple[Credential, ...] = ()
    problems: tuple[str, ...] = ()


def read_pull_secrets(secrets: Iterable[Mapping[str, Any]]) -> PullSecrets:
    """Read Secret objects as the API server gives them."""
    credentials: list[Credential] = []
    problems: list[str] = []
    for secret in secrets:
        meta: Mapping[str, Any] = secret.get("metadata") or {}
        origin = str(ObjectKey(meta.get("namespace", ""), meta.get("name", "")))
        try:
            entries = read_entries(secret)
        except UnreadableError as error:
            problems.append(f"pull secret {origin}: {error}")
            continue
        if not entries:
            problems.append(f"pull secret {origin}: it has no entries")
        for entry in entries:
            server = Server.parse(entry.server)
            if server is None:
                problems.append(f"pull secret {origin}: entry {_shown(entry.server)!r} is not a server")
            elif entry.login is None:
                problems.append(f"pull secret {origin}: entry {_shown(str(server))!r}: {entry.problem}")
            else:
                user, password = entry.login.username, entry.login.password
                credentials.append(Credential(server, user, password, origin, entry.problem))
    return PullSecrets(tuple(credentials), tuple(problems))


def _shown(server: str) -> str:
    """A server for a message: without what may be a password in front of the host."""
    host = server.rpartition("@")[2]
    return host if len(host) <= _SHOWN else f"{host[:_SHOWN]}..."


def pick_credentials(image: ImageName, credentials: Iterable[Credential]) -> tuple[Credential, ...]:
    """Those that fit the image, in the order in which they are tried, each pair of user and password once."""
    known = tuple(credentials)
    fitting = [one for one in known if one.server.fits(image)]
    if not fitting and image.registry == DOCKER_HUB:
        fitting = [one for one in known if one.server.is_default]
    fitting.sort(key=lambda one: str(one.server), reverse=True)  # what is equal stays in its order
    chosen: dict[Login | None, Credential] = {}
    for credential in fitting:
        chosen.setdefault(credential.login if credential.username else None, credential)
    return tuple(chosen.values())


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


def docker_config(logins: Mapping[str, Login]) -> str:
    """A Docker client's configuration: ``logins`` by registry, or by registry and repository.

    Docker Hub goes by its old name there. A login without a user is none.
    """
    auths: dict[str, Any] = {}
    for place, login in logins.items():
        server = "https://index.docker.io/v1/" if place == DOCKER_HUB else place
        if login.username:
            pair = f"{login.username}:{login.password.reveal()}"
            auths[server] = {"auth": base64.b64encode(pair.encode()).decode()}
    return msgspec.json.encode({"auths": auths}).decode()
