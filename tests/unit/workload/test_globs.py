"""Globs match what Go's ``path.Match`` matches, because settings were written for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.workload.globs import Glob


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", ""),
        ("*", ""),
        ("*", "nginx"),
        ("ngin?", "nginx"),
        ("*nx", "nxnx"),
        ("docker.io/*/*", "docker.io/library/alpine:3.10.2"),
        ("*/*/cos-nvidia-installer:fixed", "gcr.io/x/cos-nvidia-installer:fixed"),
        ("mcr.microsoft.com/*/*", "mcr.microsoft.com/oss/pause:3"),
        ("a*b?c*x", "abxbbxdbxebxczzx"),
        ("v[0-9]", "v7"),
        ("v[^0-9]", "vx"),
        ("[a-cx-z]", "y"),
        (r"a\*", "a*"),
        (r"[\]x\-]", "-"),
        (r"[\]x\-]", "]"),
        ("[a-ζ]*", "αβ"),
        ("a?", "a☺"),
        ("[^z-a]", "b"),
        ("**", "x"),
        ("[/]", "/"),
    ],
)
def test_pattern_matches(pattern: str, text: str) -> None:
    assert Glob.parse(pattern).matches(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", "a"),
        ("*", "a/b"),
        ("a?b", "a/b"),
        ("docker.io/*", "docker.io/library/alpine"),
        ("ngin", "nginx"),
        ("nginx", "ngin"),
        ("a*b?c*x", "abxbbxdbxebxczzy"),
        ("v[^0-9]", "v7"),
        (r"a\*", "ab"),
        ("[z-a]", "b"),
        ("*a", "a/"),
        ("[a]", ""),
    ],
)
def test_pattern_does_not_match(pattern: str, text: str) -> None:
    assert not Glob.parse(pattern).matches(text)


@pytest.mark.parametrize(
    "pattern", ["[", "a[", "[]", "[]a]", "[-]", "[a-]", "[-a]", "[a-b-c]", "[^", "[^bc", "\\", "a/b[", "[a\\"]
)
def test_malformed_pattern_is_refused(pattern: str) -> None:
    """Refused when settings are read, not silently matching nothing for ever."""
    with pytest.raises(ValueError, match="pattern"):
        Glob.parse(pattern)


@given(st.text(alphabet="ab/*?[]^\\-"))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        glob = Glob.parse(pattern)
    except ValueError as error:
        assert repr(pattern) in str(error)  # noqa: PT017 - most texts are patterns
    else:
        assert glob.matches("a/b") in (True, False)


@given(st.text(alphabet="ab/*?[]^\\-"))
def test_escaped_text_matches_itself_and_nothing_longer(text: str) -> None:
    glob = Glob.parse("".join(f"\\{char}" for char in text))

    assert glob.matches(text)
    assert not glob.matches(text + "a")
