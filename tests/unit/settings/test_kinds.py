"""How texts become values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.settings import SETTINGS, Setting, TargetKind, kinds
from trivyop.settings.durations import format_duration, parse_duration
from trivyop.settings.kinds import SecretText, check_glob


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("24h0m0s", 86400),
        ("1.5s", 1.5),
        (".5m", 30),
        ("300ms", 0.3),
        ("10us", 0.00001),
        ("10µs", 0.00001),
        ("0", 0),
        ("0s", 0),
        ("+5s", 5),
        (" 5s ", 5),
        ("1m1m", 120),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "5x", "s", "-5m", "5 m", "1h 30m", "5m30", "1d", "\uff11s", "9999999999h"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (86400, "24h0m0s"),
        (300, "5m0s"),
        (90, "1m30s"),
        (1.5, "1.5s"),
        (0.3, "300ms"),
        (3661.25, "1h1m1.25s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    """The annotation with a report's age limit is read by people's scripts."""
    assert format_duration(seconds) == text


@given(st.integers(0, 10**15))
def test_a_written_duration_reads_the_same(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    if seconds <= 9_000_000_000:
        assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True", " true "])
def test_true_is_written_in_many_ways(text: str) -> None:
    assert kinds.BOOL.parse(text) is True


@pytest.mark.parametrize("text", ["yes", "on", "tRUE", "2", ""])
def test_other_words_are_no_truth_values(text: str) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        kinds.BOOL.parse(text)


def test_commas_separate_and_blanks_do_not_matter() -> None:
    assert kinds.NAMESPACES.parse(" shop , data,,") == ("shop", "data")


@pytest.mark.parametrize("text", ["Shop", "a b", "a/b", "-a", "a" * 64])
def test_what_is_no_namespace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not lower-case"):
        kinds.NAMESPACES.parse(text)


@pytest.mark.parametrize("glob", ["kube-*", "team-?", "[a-c]*", "[^x]*", r"a\*b", r"[\]]", "*"])
def test_globs_are_accepted(glob: str) -> None:
    assert kinds.GLOBS.parse(glob) == (glob,)


@pytest.mark.parametrize("glob", ["[", "[]", "a[", "[^]", "a\\", "[a\\"])
def test_malformed_globs_are_refused(glob: str) -> None:
    """The Go operator takes a namespace with a malformed glob as not excluded, and says nothing."""
    with pytest.raises(ValueError, match="glob"):
        check_glob(glob)


@pytest.mark.parametrize("text", ["500m", "1Gi", "0.5", "500M", "1e3", "100Ki", "2"])
def test_quantities_are_accepted(text: str) -> None:
    assert kinds.QUANTITY.parse(text) == text


@pytest.mark.parametrize("text", ["500 m", "1GB", "lots", "-1", "1gi", ""])
def test_other_quantities_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        kinds.QUANTITY.parse(text)


def test_labels_are_pairs() -> None:
    """One comma at the end is nothing to stumble over."""
    assert kinds.LABELS.parse("team=platform, example.com/tier=a,empty=,") == {
        "team": "platform",
        "example.com/tier": "a",
        "empty": "",
    }


@pytest.mark.parametrize("text", ["team", "=x", "a b=c", "a=b c", "a/b/c=d", "a=" + "x" * 64])
def test_malformed_labels_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"label|="):
        kinds.LABELS.parse(text)


def test_annotations_may_hold_what_labels_may_not() -> None:
    assert kinds.ANNOTATIONS.parse("a=b c/d=e") == {"a": "b c/d=e"}


def test_headers_do_not_show_their_values() -> None:
    headers = kinds.HEADERS.parse("Authorization:Bearer x:y, X-Team:a")

    assert headers["Authorization"].reveal() == "Bearer x:y"
    assert "Bearer" not in repr(headers)


def test_kinds_of_workload_are_read_in_any_case() -> None:
    kind = kinds.choices(TargetKind)

    assert kind.parse("pod, replicaset,Pod") == (TargetKind.POD, TargetKind.REPLICASET)
    with pytest.raises(ValueError, match="'deployment' is not one of Pod"):
        kind.parse("deployment")


def test_secrets_hide_everywhere() -> None:
    secret = SecretText("hunter2")

    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {secret!s}"
    assert secret == SecretText("hunter2")
    assert secret.reveal() == "hunter2"


@pytest.mark.parametrize(
    "declared", [one for one in SETTINGS if not one.secret and not one.family], ids=lambda d: d.key
)
def test_every_default_reads_as_itself(declared: Setting) -> None:
    """What the reference page shows as the default can be copied into a ConfigMap."""
    text = declared.kind.show(declared.default)
    if text:
        assert declared.kind.parse(text) == declared.default
