"""Proxies are chosen as Go programs choose them, since that is what cluster people configure for."""

from __future__ import annotations

import pytest

from trivyop.kube.proxies import ProxyError, proxy_for

PROXY = "http://proxy.example.com:3128"


def choose(url: str, no_proxy: str = "", **more: str) -> str | None:
    return proxy_for(url, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy} | more)


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("https://10.96.0.1:443", "10.96.0.0/12"),
        ("https://10.96.0.1", "10.96.0.1"),
        ("https://10.96.0.1:443", "10.96.0.1:443"),
        ("https://[fd00::1]:6443", "fd00::/8"),
        ("https://[fd00::1]:6443", "fd00::1"),
        ("https://[fd00::1]:6443", "[fd00::1]:6443"),
        ("https://kubernetes.default.svc", ".svc"),
        ("https://kubernetes.default.svc", "svc"),
        ("https://kubernetes.default.svc", "*.svc"),
        ("https://API.example.com:6443", "x, api.example.com:6443 ,y"),
        ("https://anything", "*"),
        ("https://127.0.0.1:6443", ""),
        ("https://localhost:6443", ""),
    ],
)
def test_direct(url: str, no_proxy: str) -> None:
    assert choose(url, no_proxy) is None


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("https://10.96.0.1:443", "10.0.0.0/12"),
        ("https://10.96.0.1:443", "10.96.0.1:6443"),
        ("https://10.96.0.1:443", "10.96.0.0/99"),
        ("https://example.com", ".example.com"),
        ("https://myexample.com", "example.com"),
        ("https://api.example.com", ""),
    ],
)
def test_by_way_of_the_proxy(url: str, no_proxy: str) -> None:
    assert choose(url, no_proxy) == PROXY


def test_lower_case_names_and_plain_http_have_variables_of_their_own() -> None:
    assert proxy_for("http://a.example.com", {"https_proxy": PROXY}) is None
    assert proxy_for("http://a.example.com", {"http_proxy": "proxy:8080"}) == "http://proxy:8080"
    assert proxy_for("https://a.example.com", {"https_proxy": PROXY, "no_proxy": "example.com"}) is None


def test_proxy_of_a_kind_we_cannot_speak_is_refused_by_name() -> None:
    with pytest.raises(ProxyError, match="socks5") as refused:
        choose("https://a.example.com", HTTPS_PROXY="socks5://user:secret@proxy:1080")
    assert "secret" not in str(refused.value)
