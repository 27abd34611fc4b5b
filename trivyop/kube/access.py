"""Access: what it takes to speak to one API server, at one moment.

Promises: credentials show in no ``repr``.
Not here: how to come by it (``kube.config``, ``kube.kubeconfig``), the use of it (``kube.transport``).
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from trivyop.errors import TerminalError


class ConfigError(TerminalError):
    """There is no usable way to an API server in what we were given."""


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to speak to one API server, at this moment."""

    server: str  # "https://10.96.0.1:443", perhaps with a path; no slash at the end
    authorization: str | None = field(default=None, repr=False)  # value of the header
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    tls_server_name: str | None = None
    proxy: str | None = field(default=None, repr=False)  # its URL may hold a password
    namespace: str = "default"
    fresh_seconds: float | None = None  # to be read again after; None: when the server refuses it
    tls_identity: str = field(default="", repr=False)  # changes when the content of one of the files does

    @classmethod
    def of(cls, server: str, **rest: Any) -> Self:
        """Build an access and take note of what its files hold now."""
        access = cls(server.rstrip("/"), **rest)
        digest = hashlib.sha256()
        for path in (access.ca_file, access.cert_file, access.key_file):
            digest.update(Path(path).read_bytes() if path else b"-")
            digest.update(b"\0")
        object.__setattr__(access, "tls_identity", digest.hexdigest())
        return access

    def ssl_context(self) -> ssl.SSLContext | None:
        """A new TLS context for this access, None for plain HTTP. Reads the files."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        # Python 3.13 turned this on; CAs that kubeadm and others made lack the key identifiers it asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


Source = Callable[[], Awaitable[Access]]
