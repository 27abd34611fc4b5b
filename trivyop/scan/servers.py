"""Servers in pull secrets: what images an entry is for, by the rules of a kubelet.

The rules are those of Kubernetes 1.36 (``pkg/credentialprovider/keyring.go``, and Go's ``net/url``):

- ``https://`` or ``http://`` in front is left out, and so are a user, a query and a fragment; what is then
  no host with a port and a path is for nothing
- ``/v1/`` and ``/v2/`` at the beginning of the path do not count (``/v1`` without the second slash does)
- the host is compared label by label; a label may hold ``*``, also in its middle, which never stands for a
  dot
- the port is compared as it is written: none is not 443
- the path is the beginning of the repository, letter by letter: ``host/team`` is also for
  ``host/teams/app``
- all entries that fit are tried, in the reverse order of their text: so longer paths before shorter ones,
  and exact hosts before ``*`` in the same place. Entries of one text are tried in the order of the Secrets
- Docker Hub is ``docker.io``; only if no entry fits that, those of ``index.docker.io`` (without a path) are
  tried

Where this differs: hosts are equal in any case (a kubelet compares letters, DNS does not); ``[a-z]`` in a
label is a class of letters, as it was for kubelets until 1.35; what is for Docker Hub is not sent to
``localhost``.

Promises: pure; any text is a ``Server`` or None.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self
from urllib.parse import unquote_to_bytes

from trivyop.workload.images import DOCKER_HUB, ImageName

_HUB_HOST: Final = "docker.io"
_HUB_DEFAULT: Final = "index.docker.io"  # what `docker login` writes, as https://index.docker.io/v1/
_SCHEMES: Final = ("https://", "http://")
_API_PATHS: Final = ("/v1/", "/v2/")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_HOST: Final = re.compile(r"[A-Za-z0-9\-_.~!$&'()*+,;=:\[\]<>\"\x80-\U0010ffff]*")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CLASS: Final = re.compile(r"\[(\^?)((?:[^\]\-\\](?:-[^\]\-\\])?)+)\]")


@dataclass(frozen=True, slots=True)
class Server:
    """What an entry of a pull secret is for."""

    host: str  # in lower case, without port; each label may be a pattern
    port: str
    path: str  # "" or "/team/app"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read it as a kubelet does; None if that leaves nothing."""
        place = _split(next((text[len(one) :] for one in _SCHEMES if text.startswith(one)), text))
        if place is None:
            return None
        host, path = place
        if path.startswith(_API_PATHS):
            path = path[3:]
        place = _split(host + (path if path != "/" else ""))  # a kubelet reads its own result once more
        if place is None or not place[0]:
            return None
        host, port = _host_and_port(place[0])
        return cls(host.lower(), port, place[1])

    @property
    def is_default(self) -> bool:
        """Whether it is what ``docker login`` without a server writes."""
        return (self.host, self.port, self.path) == (_HUB_DEFAULT, "", "")

    def fits(self, image: ImageName) -> bool:
        """Whether it is for the image, by host, port and path."""
        registry = _HUB_HOST if image.registry == DOCKER_HUB else image.registry.lower()
        host, port = _host_and_port(registry)
        if port != self.port or not f"/{image.repository}".startswith(self.path):
            return False
        if host == self.host:
            return True
        labels, patterns = host.split("."), self.host.split(".")
        return len(labels) == len(patterns) and all(
            (pattern := _pattern(text)) is not None and pattern.fullmatch(label) is not None
            for text, label in zip(patterns, labels, strict=True)
        )

    def __str__(self) -> str:
        if not self.port:
            return f"{self.host}{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.path}"


def _split(text: str) -> tuple[str, str] | None:
    """Host with port, and path, of a URL without its scheme; None if Go takes it for no URL."""
    if _CONTROL.search(text):
        return None
    text, _, fragment = text.partition("#")
    text = text.partition("?")[0]
    authority, slash, path = text.partition("/")
    host = authority.rpartition("@")[2]
    if not _is_host(host) or _BAD_ESCAPE.search(path) or _BAD_ESCAPE.search(fragment):
        return None
    decoded = unquote_to_bytes(path).decode("utf-8", "replace")
    return host, slash + decoded


def _is_host(host: str) -> bool:
    if not _HOST.fullmatch(host):
        return False
    if host.startswith("["):
        address, bracket, port = host.rpartition("]")
        return bool(bracket) and _is_address(address[1:]) and re.fullmatch(r"(?::[0-9]*)?", port) is not None
    return re.fullmatch(r"[^:]*(?::[0-9]*)?", host) is not None


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _host_and_port(text: str) -> tuple[str, str]:
    """As Go splits them: what cannot be divided is a host."""
    if text.startswith("["):
        host, _, port = text.partition("]")
        return (host[1:], port[1:]) if port.startswith(":") else (text, "")
    host, _, port = text.partition(":")
    return host, port


@lru_cache(maxsize=1024)
def _pattern(label: str) -> re.Pattern[str] | None:
    """A label as Go's ``filepath.Match`` reads it; None for what it calls malformed."""
    found: list[str] = []
    at = 0
    while at < len(label):
        if label[at] == "*":
            found.append(".*")
        elif label[at] == "[":
            match = _CLASS.match(label, at)
            if match is None:
                return None
            found.append(f"[{match[1]}{_ranges(match[2])}]")
            at = match.end() - 1
        else:
            found.append(re.escape(label[at]))
        at += 1
    try:
        return re.compile("".join(found), re.DOTALL)
    except re.error:  # a range from a later letter to an earlier one
        return None


def _ranges(text: str) -> str:
    """The inside of a class for Python: letters are escaped, the dash of a range is not."""
    found = re.findall(r"(.)(?:-(.))?", text, re.DOTALL)
    return "".join(re.escape(low) + (f"-{re.escape(high)}" if high else "") for low, high in found)
