from __future__ import annotations

import pytest

from trivyop.report.checkids import canonical, is_infra, reported


@pytest.mark.parametrize(
    ("spellings", "as_reported"),
    [
        (("KSV014", "KSV-0014", "AVD-KSV-0014", "avd-ksv-0014", "KSV0014"), "AVD-KSV-0014"),
        (("KCV0001", "KCV-0001", "AVD-KCV-0001"), "AVD-KCV-0001"),
        (("KSV0123", "KSV-0123", "KSV123"), "AVD-KSV-0123"),
        (("KSV-01010", "AVD-KSV-01010", "KSV01010"), "AVD-KSV-01010"),
        (("no-user-pods-in-system-namespace", "KSV-0037", "KSV037"), "AVD-KSV-0037"),
        (("KCV0135", "KCV-0035"), "AVD-KCV-0035"),
    ],
)
def test_all_spellings_are_one_check(spellings: tuple[str, ...], as_reported: str) -> None:
    assert len({canonical(one) for one in spellings}) == 1
    assert {reported(one) for one in spellings} == {as_reported}
    assert canonical(as_reported) == canonical(spellings[0])


def test_own_ids_stay_as_they_are() -> None:
    assert reported("Team-1") == "Team-1"
    assert canonical("Team-1") == canonical("TEAM-1")


def test_infra_checks_are_known_in_any_spelling() -> None:
    assert is_infra("KCV0001")
    assert is_infra("AVD-KCV-0001")
    assert not is_infra("AVD-KSV-0014")
