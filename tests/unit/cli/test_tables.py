from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.cli.tables import show_count, show_duration, show_table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    table = show_table(("NAME", "N"), [("a", "1"), ("longer", "22")])

    assert table == "NAME     N\na        1\nlonger   22"


def test_table_without_rows_is_its_header() -> None:
    assert show_table(("NAME", "AGE"), []) == "NAME   AGE"


@given(st.lists(st.tuples(*[st.text("ab ", max_size=5)] * 3), max_size=5))
def test_no_line_of_a_table_ends_in_blanks(rows: list[tuple[str, str, str]]) -> None:
    lines = show_table(("A", "B", "C"), rows).split("\n")

    assert len(lines) == len(rows) + 1
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (7260, "2h1m"),
        (36_000, "10h"),
        (36_060, "10h"),
        (172_799, "47h"),
        (172_800, "2d"),
    ],
)
def test_durations_are_shown_as_kubectl_shows_ages(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 scans"), (1, "1 scan"), (2, "2 scans")])
def test_one_is_not_many(count: int, shown: str) -> None:
    assert show_count(count, "scan") == shown
