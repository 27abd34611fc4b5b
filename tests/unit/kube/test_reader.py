"""What the version of a server tells."""

from __future__ import annotations

import pytest

from trivyop.kube.reader import is_at_least


@pytest.mark.parametrize(
    ("version", "is_so"),
    [
        ("v1.34.0", True),
        ("v1.36.0+trivyop-sandbox", True),
        ("v1.34.2-gke.1", True),
        ("1.40", True),
        ("v2.0.0", True),
        ("v1.33.9", False),
        ("v1.4.340", False),
        ("v1.3", False),
        ("", False),
        ("unknown", False),
        ("v1.34000000", False),
    ],
)
def test_minor_release_is_compared_as_numbers(version: str, *, is_so: bool) -> None:
    """Versions of vendors too; what is no version is taken for an old one."""
    assert is_at_least(version, (1, 34)) is is_so
