"""Authentication: who sends a request, by bearer token, client certificate, or nobody.

Service account tokens are JWTs signed by the server. One is valid as long as its ServiceAccount (and its Pod,
if it is bound to one) is there under the same uid, and not past its expiry.

Promises: a credential that is wrong is 401, never "anonymous".
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from trivyop.sandbox.apiserver import status

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Kinds

AUDIENCE = "https://kubernetes.default.svc"
ISSUER = AUDIENCE
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
ADMIN = User("admin", ("system:masters", AUTHENTICATED))


class Authenticator:
    """Knows the static tokens, and signs and verifies those of service accounts."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, kinds: Kinds) -> None:
        self._key = key
        self._kinds = kinds
        self.admin_token = secrets.token_urlsafe(24)
        self._static = {self.admin_token: ADMIN}

    def add_token(self, user: User) -> str:
        """Make a token for a user who is no service account."""
        token = secrets.token_urlsafe(24)
        groups = dict.fromkeys((*user.groups, AUTHENTICATED))
        self._static[token] = User(user.name, tuple(groups), user.uid, user.extra)
        return token

    def authenticate(self, authorization: str | None, certificate: Mapping[str, Any] | None) -> User:
        """Return the user; raises the 401 of a bad credential."""
        if certificate:
            return _of_certificate(certificate)
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return ANONYMOUS
        user = self.user_of(token.strip())
        if user is None:
            raise status.unauthorized()
        return user

    def user_of(self, token: str, audience: str = AUDIENCE) -> User | None:
        """Return whose token this is, if it is valid now."""
        if user := self._static.get(token):
            return user
        claims = self._verified(token)
        if claims is None or claims["exp"] < time.time() or audience not in claims["aud"]:
            return None
        return self._of_claims(claims)

    def issue(
        self,
        namespace: str,
        name: str,
        uid: str,
        *,
        seconds: int = 3600,
        audiences: tuple[str, ...] = (AUDIENCE,),
        pod: Mapping[str, str] | None = None,
    ) -> tuple[str, float]:
        """Sign a token for a service account; returns it and its expiry as a timestamp."""
        now = time.time()
        bound = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}
        claims = {
            "aud": list(audiences),
            "exp": int(now) + seconds,
            "iat": int(now),
            "nbf": int(now),
            "iss": ISSUER,
            "jti": secrets.token_hex(16),
            "kubernetes.io": bound | ({"pod": dict(pod)} if pod else {}),
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        signed = f"{_b64({'alg': 'ES256', 'typ': 'JWT'})}.{_b64(claims)}"
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}", now + seconds

    def _verified(self, token: str) -> dict[str, Any] | None:
        signed, _, signature = token.rpartition(".")
        try:
            raw = _unb64(signature)
            claims = orjson.loads(_unb64(signed.partition(".")[2]))
            encoded = utils.encode_dss_signature(
                int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
            )
            self._key.public_key().verify(encoded, signed.encode(), ec.ECDSA(hashes.SHA256()))
        except (ValueError, InvalidSignature):
            return None
        return claims

    def _of_claims(self, claims: Mapping[str, Any]) -> User | None:
        bound = claims["kubernetes.io"]
        namespace, account, pod = bound["namespace"], bound["serviceaccount"], bound.get("pod")
        extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims['jti']}",)}
        for plural, reference in (("serviceaccounts", account), ("pods", pod)):
            if reference is None:
                continue
            stored = self._kinds.get("", "v1", plural).bucket.get(namespace, reference["name"])
            if stored is None or stored.uid != reference["uid"]:
                return None
        if pod:
            extra["authentication.kubernetes.io/pod-name"] = (pod["name"],)
            extra["authentication.kubernetes.io/pod-uid"] = (pod["uid"],)
        return service_account(namespace, account["name"], account["uid"], extra)


def service_account(
    namespace: str, name: str, uid: str = "", extra: Mapping[str, tuple[str, ...]] | None = None
) -> User:
    """Return the user that a service account is."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid, extra or {})


def _of_certificate(certificate: Mapping[str, Any]) -> User:
    """Read the user off a verified certificate as ``ssl`` describes it: CN is the name, each O a group."""
    pairs = [pair for part in certificate["subject"] for pair in part]
    name = next((value for key, value in pairs if key == "commonName"), "")
    groups = [value for key, value in pairs if key == "organizationName"]
    return User(name, (*groups, AUTHENTICATED))


def _b64(claims: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
