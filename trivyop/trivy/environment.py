"""The environment of every Trivy that the operator runs itself.

Promises: pure. The environment is made from nothing: of the operator's own, passed in as ``inherited``, only
proxies, certificates and the path are kept.
Not here: what single uses add, such as credentials (``scan/localtrivy.py``, ``audit/command.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trivyop.settings import Settings
from trivyop.workload.images import ImageName

_INHERITED = (
    "PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)


def base_environment(settings: Settings, home: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """What Trivy needs to run with ``home`` as its home, and to get through proxies."""
    trivy = settings.trivy
    environment = {name: inherited[name] for name in _INHERITED if name in inherited}
    environment |= {"HOME": home, "TMPDIR": home, "TRIVY_DISABLE_TELEMETRY": "true"}
    for name, value in (("HTTP_PROXY", trivy.http_proxy), ("HTTPS_PROXY", trivy.https_proxy)):
        if value:
            environment[name] = value.reveal()
    if trivy.no_proxy:
        environment["NO_PROXY"] = trivy.no_proxy
    return environment


def registry_hosts(repositories: Sequence[str]) -> set[str]:
    """The registries of repositories, as settings name them."""
    return {ImageName.parse(repository).registry for repository in repositories}
