"""Container paths, found in text and rewritten to the machine's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.kubelet.paths import PathMap, expand, nested

MAP = PathMap.of({"/tmp": "/pod/tmp", "/tmp/scan": "/pod/scan/", "/etc/trivy/trivy.yaml": "/pod/config/file"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/tmp", "/pod/tmp"),
        ("/tmp/a", "/pod/tmp/a"),
        ("/tmp/scan/a", "/pod/scan/a"),
        ("/tmp/scanner", "/pod/tmp/scanner"),
        ("trivy --output=/tmp/scan/r.json 2>/tmp/scan/log;cat </tmp/x", None),
        ("a:/tmp:/tmp/scan:b", "a:/pod/tmp:/pod/scan:b"),
        ("'/tmp' \"/tmp/scan\"", "'/pod/tmp' \"/pod/scan\""),
        ("$(cat /tmp/x)", "$(cat /pod/tmp/x)"),
        ("--config /etc/trivy/trivy.yaml", "--config /pod/config/file"),
    ],
)
def test_paths_under_mounts_are_rewritten(text: str, expected: str | None) -> None:
    if expected is None:
        expected = "trivy --output=/pod/scan/r.json 2>/pod/scan/log;cat </pod/tmp/x"
    assert MAP.rewrite(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "/tmpfs",
        "/tmp.bak",
        "/var/tmp",
        "a/tmp",
        "./tmp",
        "https://host/tmp/x",
        "~/tmp",
        "/etc/trivy",
        "https://tmp/x",
    ],
)
def test_what_only_looks_like_a_mount_stays(text: str) -> None:
    assert MAP.rewrite(text) == text


def test_target_is_not_searched_again() -> None:
    """The machine's own directories may well lie below a path that is mounted."""
    assert PathMap.of({"/tmp": "/tmp/root/tmp"}).rewrite("/tmp/x /tmp") == "/tmp/root/tmp/x /tmp/root/tmp"


@pytest.mark.parametrize("password", ["abc+/tmp/x==", "/tmp:secret", "/tmp/a b"])
def test_values_that_may_be_anything_are_left_alone_unless_they_are_one_path(password: str) -> None:
    assert MAP.rewrite_path(password) == password
    assert MAP.rewrite_path("/tmp/token") == "/pod/tmp/token"


@given(st.text(alphabet="/tmpscan .:=x", max_size=30))
def test_rewriting_adds_only_what_it_replaces(text: str) -> None:
    """Read backwards, the result is the text it came from."""
    assert MAP.rewrite(text).replace("/pod/scan", "/tmp/scan").replace("/pod/tmp", "/tmp") == text


def test_path_is_located_by_its_longest_mount() -> None:
    assert MAP.locate("/tmp/scan/a/b") == "/pod/scan/a/b"
    assert MAP.locate("/opt") is None


def test_references_are_expanded_as_the_api_says() -> None:
    assert expand("$(A)/$(B) $$(A) $A $(C)", {"A": "1", "B": "2"}) == "1/2 $(A) $A $(C)"


def test_nested_mounts_name_the_nearest_outer_one() -> None:
    assert nested(["/a", "/a/b/", "/a/b/c", "/ab"]) == [("/a/b", "/a"), ("/a/b/c", "/a/b")]
