"""Auth: who may pull what, by password or by token, as registries do it.

With ``Scheme.BASIC`` each request carries user and password. With ``Scheme.BEARER`` a client is sent to
the token endpoint, asks there for a scope, and gets a token that opens what the account may read; without
an account it gets one for the public repositories, like on the big public registries.

Promises: a repository below none of the prefixes is public. Passwords and tokens are never in a message.
Not here: pushing (the registry is read-only), token expiry.
Protocol: "Token Authentication" of the distribution project (distribution.github.io).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SERVICE = "sandbox-registry"


class Scheme(StrEnum):
    BASIC = "Basic"
    BEARER = "Bearer"


@dataclass(frozen=True, slots=True)
class Account:
    user: str
    password: str = field(repr=False)


@dataclass(slots=True)
class Auth:
    """The private part of a registry: repository prefix -> the account that may pull below it."""

    private: Mapping[str, Account]
    scheme: Scheme = Scheme.BEARER
    nodes_may_pull: bool = True  # nodes log in by themselves, like kubelets with a credential provider
    _tokens: dict[str, Account | None] = field(default_factory=dict[str, "Account | None"], repr=False)

    def owner(self, repository: str) -> Account | None:
        """The account one needs for ``repository``; ``None``: everybody may pull it."""
        prefixes = [prefix for prefix in self.private if repository.startswith(prefix)]
        return self.private[max(prefixes, key=len)] if prefixes else None

    def may_pull(self, repository: str, authorization: str | None) -> bool:
        """Whether a request with this Authorization header may read ``repository``."""
        owner = self.owner(repository)
        return owner is None or self._account(authorization) == owner

    def knows(self, authorization: str | None) -> bool:
        """Whether the header is one of ours: a known account, or a token given out here."""
        scheme, _, token = (authorization or "").partition(" ")
        if self.scheme is Scheme.BEARER:
            return scheme.lower() == "bearer" and token in self._tokens
        return self._account(authorization) is not None

    def token_for(self, authorization: str | None) -> str | None:
        """A token for the account in a Basic header, or for nobody; ``None`` when the login is wrong."""
        account = _login(authorization)
        if account is not None and account not in self.private.values():
            return None
        token = secrets.token_urlsafe(24)
        self._tokens[token] = account
        return token

    def challenge(self, base_url: str, repository: str | None) -> str:
        """The WWW-Authenticate header of a refusal."""
        if self.scheme is Scheme.BASIC:
            return f'Basic realm="{SERVICE}"'
        scope = f',scope="repository:{repository}:pull"' if repository else ""
        return f'Bearer realm="{base_url}/token",service="{SERVICE}"{scope}'

    def _account(self, authorization: str | None) -> Account | None:
        if self.scheme is Scheme.BEARER:
            scheme, _, token = (authorization or "").partition(" ")
            return self._tokens.get(token) if scheme.lower() == "bearer" else None
        account = _login(authorization)
        return account if account in self.private.values() else None


def _login(authorization: str | None) -> Account | None:
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return Account("", "")  # not a login of anybody: refused, rather than taken for no login
    return Account(user, password)
