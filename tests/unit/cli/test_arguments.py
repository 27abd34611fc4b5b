"""How commands read their arguments."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from trivyop.cli.main import build_parser
from trivyop.cli.sandbox import parse_components
from trivyop.errors import TerminalError
from trivyop.sandbox.cluster import Component

ALL = tuple(Component)


def parse(*arguments: str) -> Namespace:
    return build_parser().parse_args(arguments)


def test_sandbox_starts_slowly_only_when_asked() -> None:
    assert not parse("sandbox").slow_start
    assert parse("sandbox", "--slow-start").slow_start


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("localhost:65535", ("localhost", 65535)), ("[::1]:80", ("::1", 80))],
)
def test_listen_takes_a_host_and_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse("sandbox", "--listen", text).listen == address


@pytest.mark.parametrize(
    "text", ["", "80", ":80", "host:", "host:x", "host:-1", "host:65536", "::1:80", "[]:80"]
)
def test_listen_refuses_what_is_no_address(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("sandbox", "--listen", text)

    assert f"{text!r} is not HOST:PORT" in capsys.readouterr().err


def test_components_are_all_by_default() -> None:
    assert parse_components(parse("sandbox").components, ALL) == set(Component)


def test_components_may_have_blanks_around_them() -> None:
    assert parse_components(" kubelet , registry", ALL) == {Component.KUBELET, Component.REGISTRY}


@pytest.mark.parametrize("text", ["", ",", "kubelt", "kubelet,etcd"])
def test_component_that_is_not_known_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(TerminalError, match="choose from apiserver, controllers, kubelet, registry"):
        parse_components(text, ALL)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "soon"])
def test_timeout_has_to_be_a_time(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("demo", f"--timeout={text}")

    assert f"{text!r} is not a number above 0" in capsys.readouterr().err


def test_defaults_are_those_that_help_tells(capsys: pytest.CaptureFixture[str]) -> None:
    """Help texts name defaults in words, which nothing else keeps true."""
    demo, sandbox = parse("demo"), parse("sandbox")
    assert (demo.kubeconfig, demo.timeout, demo.log_level) == (Path(".demo/kubeconfig"), 180, "error")
    assert (sandbox.kubeconfig, sandbox.node_name) == (Path("sandbox.kubeconfig"), "sandbox-node")
    assert (sandbox.listen, sandbox.log_level) == (("127.0.0.1", 0), "warning")

    for command in ("demo", "sandbox"):
        with pytest.raises(SystemExit):
            parse(command, "--help")
    shown = " ".join(capsys.readouterr().out.split())

    for default in (".demo/kubeconfig", "180", "error", "sandbox.kubeconfig", "127.0.0.1:0", "warning"):
        assert f"default: {default}" in shown
