"""Configuration: which API server, trusted how, and who we are to it.

A ``ClusterConfig`` knows how to come by its ``Access`` and comes by it again: when it is about to expire
(tokens inside a cluster rotate hourly, exec plugins say when), and when the server says that it does not know
us.

Promises: one renewal at a time, however many requests ask for one; a renewal that fails leaves the old access
in place. Credentials show in no ``repr`` and in no message.
Not here: kubeconfig files and their plugins (``kube.kubeconfig``), the use of it all (``kube.transport``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import structlog

from trivyop.control.clock import Clock, SystemClock
from trivyop.errors import TransientError
from trivyop.kube.access import Access, ConfigError, Source
from trivyop.kube.proxies import proxy_for

log = structlog.get_logger(__name__)

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# For a process that has no file system of its own to mount it in, as under the sandbox's node agent.
SERVICE_ACCOUNT_VARIABLE = "TRIVYOP_SERVICEACCOUNT_DIR"

_TOKEN_FILE_SECONDS = 60.0  # how long a token read from a file is taken to be the file's; kubelets rewrite it
_RETRY_SECONDS = 10.0  # after a renewal that failed, while the old access may still do
_SPARED_SECONDS = 1.0  # for which a source that failed is not asked again by all who wait for it


class ClusterConfig:
    """The way to one cluster; ``access`` is always what to use now."""

    def __init__(self, source: Source, access: Access, clock: Clock | None = None) -> None:
        self._source = source
        self._access = access
        self._clock = clock or SystemClock()
        self._lock = asyncio.Lock()
        self._failing = False
        self._spared_until = 0.0
        self._due = self._next_due(access)

    @classmethod
    async def load(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
    ) -> Self:
        """Find the cluster: the given kubeconfig, else $KUBECONFIG, else in-cluster, else ~/.kube/config.

        Raises ``ConfigError`` if there is none, or it cannot be used.
        """
        paths = kubeconfig or environ.get("KUBECONFIG")
        if not paths and context is None and environ.get("KUBERNETES_SERVICE_HOST"):
            return await cls.in_cluster(environ=environ, clock=clock)
        # It imports a generated client of 37 MB, which a process inside a cluster has no use for.
        from trivyop.kube.kubeconfig import file_source  # noqa: PLC0415

        paths = paths or f"{environ.get('HOME', '')}/.kube/config"
        source = file_source(paths, context, environ)
        return cls(source, await source(), clock)

    @classmethod
    async def from_kubeconfig_dict(
        cls,
        kubeconfig: dict[str, Any],
        context: str | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
    ) -> Self:
        """Use a kubeconfig document; paths in it are relative to the working directory."""
        from trivyop.kube.kubeconfig import dict_source  # noqa: PLC0415 - as in load

        source = dict_source(kubeconfig, context, environ)
        return cls(source, await source(), clock)

    @classmethod
    async def in_cluster(
        cls,
        directory: Path | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
    ) -> Self:
        """Use the service account that the kubelet mounts into each pod."""

        async def source() -> Access:
            moved = environ.get(SERVICE_ACCOUNT_VARIABLE)
            return _service_account(directory or (Path(moved) if moved else SERVICE_ACCOUNT_DIR), environ)

        return cls(source, await source(), clock)

    @property
    def server(self) -> str:
        return self._access.server

    @property
    def namespace(self) -> str:
        """The namespace of the context, or of the pod that we run in."""
        return self._access.namespace

    async def access(self) -> Access:
        """What to use now, renewed first if it is time."""
        if self._due is not None and self._clock.monotonic() >= self._due:
            seen = self._access
            try:
                await self.renew(seen)
            except TransientError as error:
                if not self._failing:
                    log.warning("credentials_not_renewed", error=str(error))
                self._failing = True
                self._due = self._clock.monotonic() + _RETRY_SECONDS
        return self._access

    async def renew(self, refused: Access) -> bool:
        """Come by access again; says whether it now differs from the one that was ``refused``.

        Raises ``TransientError`` if that fails, for the cause may be a file that is being rewritten.
        """
        async with self._lock:
            if self._access is refused:
                if self._clock.monotonic() < self._spared_until:
                    raise TransientError("renew credentials: that has just failed")
                try:
                    self._access = await self._source()
                except ConfigError as error:
                    self._spared_until = self._clock.monotonic() + _SPARED_SECONDS
                    raise TransientError(f"renew credentials: {error}") from error
                self._due = self._next_due(self._access)
                if self._failing:
                    log.info("credentials_renewed")
                self._failing = False
        return self._access != refused

    def _next_due(self, access: Access) -> float | None:
        return None if access.fresh_seconds is None else self._clock.monotonic() + access.fresh_seconds


def _service_account(directory: Path, environ: Mapping[str, str]) -> Access:
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ConfigError("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    namespace_file = directory / "namespace"
    try:
        token = (directory / "token").read_text().strip()
        if not token:
            raise ConfigError(f"the service account token in {directory} is empty")
        return Access.of(
            server,
            authorization=f"Bearer {token}",
            ca_file=str(directory / "ca.crt"),
            proxy=proxy_for(server, environ),
            namespace=namespace_file.read_text().strip() if namespace_file.exists() else "default",
            fresh_seconds=_TOKEN_FILE_SECONDS,
        )
    except OSError as error:
        raise ConfigError(f"read the service account: {error}") from error
