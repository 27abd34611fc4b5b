"""Proxies: which HTTP proxy the environment wants for a URL.

``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``, in either case, read as Go programs read them: an entry of
``NO_PROXY`` is a host, a domain with all below it, an address, or a network such as ``10.0.0.0/8``. Inside a
cluster the API server is an address, so networks are what people write there; the standard library, and with
it ``trust_env`` of HTTP clients, does not know them.

Promises: pure; loopback and ``localhost`` never go through a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from trivyop.errors import TerminalError


class ProxyError(TerminalError):
    """The proxy that is set cannot be used."""


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """URL of the proxy for ``url``, None for a direct connection."""
    parts = urlsplit(url)
    name = "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY"
    proxy = environ.get(name) or environ.get(name.lower()) or ""
    if not proxy or _goes_direct(parts.hostname or "", _port(url), environ):
        return None
    return checked_proxy(proxy)


def checked_proxy(proxy: str) -> str:
    """``proxy`` with a scheme; raises ``ProxyError`` if it is of a kind that we cannot speak."""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https"):
        raise ProxyError(f"proxy {parts.hostname}: {parts.scheme} is not supported, only http and https are")
    return proxy


def _goes_direct(host: str, port: int, environ: Mapping[str, str]) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    no_proxy = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    for entry in (part.strip().lower() for part in no_proxy.split(",")):
        if entry == "*" or (entry and _matches(entry, host.lower(), port)):
            return True
    return False


def _matches(entry: str, host: str, port: int) -> bool:
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ip_network(entry, strict=False)
        except ValueError:
            return False
    if _address(entry.strip("[]")) is not None:
        return address is not None and address == _address(entry.strip("[]"))
    pattern, colon, wanted_port = entry.rpartition(":")
    if not colon:
        pattern = entry
    elif wanted_port != str(port):
        return False
    if _address(pattern.strip("[]")) is not None:
        return address is not None and address == _address(pattern.strip("[]"))
    pattern = pattern.removeprefix("*")
    if pattern.startswith("."):  # only what is below it
        return host.endswith(pattern)
    return host == pattern or host.endswith(f".{pattern}")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
