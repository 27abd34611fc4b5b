from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.apiserver.objects import durations
from trivyop.sandbox.apiserver.objects.scalars import (
    canonical_micro_time,
    canonical_quantity,
    canonical_time,
    parse_quantity,
)

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "E-2"]
QUANTITIES = st.builds(
    "{}{}".format, st.decimals(-(10**6), 10**6, places=2, allow_nan=False), st.sampled_from(SUFFIXES)
)


@given(QUANTITIES)
def test_canonical_quantities_are_the_same_amount_and_stay_as_they_are(text: str) -> None:
    canonical = canonical_quantity(text)

    assert abs(parse_quantity(canonical) - parse_quantity(text)) < parse_quantity("1n")
    assert canonical_quantity(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1500Mi", "1500Mi"),
        ("0.5Gi", "512Mi"),
        ("1e3", "1e3"),
        ("2500", "2500"),
        ("2000", "2k"),
        ("0", "0"),
        ("-0.1", "-100m"),
    ],
)
def test_quantities_get_the_largest_suffix_that_leaves_a_whole_number(text: str, canonical: str) -> None:
    assert canonical_quantity(text) == canonical


def test_a_quantity_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        canonical_quantity("much")


def test_times_come_out_in_utc() -> None:
    assert canonical_time("2024-01-01T02:00:00+02:00") == "2024-01-01T00:00:00Z"
    assert canonical_time("2024-01-01T00:00:00.75Z") == "2024-01-01T00:00:00Z"
    assert canonical_micro_time("2024-01-01T02:00:00.500000+02:00") == "2024-01-01T00:00:00.500000Z"


@pytest.mark.parametrize(
    ("text", "rest", "wanted"),
    [("yesterday", "yesterday", "2006"), ("2024-1", "1", "01"), ("2024-01-01T00:00:02.5Z", ".5Z", ".000000")],
)
def test_a_bad_micro_time_says_what_go_stumbles_over(text: str, rest: str, wanted: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the message is what is tested
        canonical_micro_time(text)
    assert str(refused.value).endswith(f'cannot parse "{rest}" as "{wanted}"')


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (5400, "90m"),
        (11100, "3h5m"),
        (86400, "24h"),
        (4 * 86400 + 7200, "4d2h"),
        (90 * 86400, "90d"),
        (1057 * 86400, "2y327d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_durations_show_two_units_while_they_tell_something(seconds: int, text: str) -> None:
    assert durations.shown(seconds) == text
