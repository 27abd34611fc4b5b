"""Endpoint: where events are sent, and how, as it was configured; a frozen value.

Texts that may be secret are either given or named by a reference; ``notify.secrets`` reads what they name.
Not here: how an endpoint is written down (``notify.endpoints``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trivyop.notify.filters import Filter
from trivyop.settings.kinds import SecretText

DEFAULT_FORMAT = "trivy-operator"
DEFAULT_TIMEOUT_SECONDS = 30.0
DEFAULT_CONCURRENCY = 4


@dataclass(frozen=True, slots=True, order=True)
class SecretRef:
    """One key of a Secret in the operator's namespace."""

    name: str
    key: str

    def __str__(self) -> str:
        return f"key {self.key!r} of Secret {self.name}"


Text = SecretText | SecretRef
"""A text that must not be shown: given, or where it is to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What TLS needs beyond the usual authorities; PEM texts."""

    ca: Text | None = None  # in the place of the usual authorities
    certificate: Text | None = None  # with ``key``, who we are
    key: Text | None = None
    server_name: str = ""  # what the certificate has to be for; "" is the host of the URL


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One receiver of events."""

    name: str  # a DNS label
    url: Text
    format: str = DEFAULT_FORMAT
    envelope: bool = False  # of the format "trivy-operator": {"verb": ..., "operatorObject": ...}
    deletes: bool = False  # whether deletions of reports are sent
    headers: dict[str, Text] = field(default_factory=dict[str, Text])
    bearer_token: Text | None = None
    signature: Text | None = None  # the key of the HMAC
    tls: Tls = field(default_factory=Tls)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    concurrency: int = DEFAULT_CONCURRENCY  # requests at the same time
    digest_seconds: float | None = None  # how often a digest is sent; only for formats that make one
    cluster: str = ""  # what this cluster is called, for receivers of several
    filter: Filter = field(default_factory=Filter)
