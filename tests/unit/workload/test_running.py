"""Places: what reports of volumes and of further images are called by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trivyop.report.names import is_label_value, is_object_name, report_names
from trivyop.workload.running import place_of_another, place_of_volume

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
DIGESTS = st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@given(NAMES, NAMES, st.text(min_size=1), DIGESTS)
def test_places_are_label_values_and_no_two_are_alike(
    container: str, volume: str, image: str, digest: str | None
) -> None:
    """A container and a volume may have one name, and a name may be as long as a label value."""
    of_volume = place_of_volume(volume)
    places = [
        container,
        of_volume,
        place_of_another(container, image, digest),
        place_of_another(of_volume, image, digest),
    ]

    assert len(set(places)) == 4
    assert all(is_label_value(place) for place in places)
    names = report_names("Pod", "web", places)
    assert len(set(names.values())) == 4
    assert all(is_object_name(name) for name in names.values())


@given(NAMES, NAMES)
def test_long_names_of_volumes_stay_apart(one: str, other: str) -> None:
    long = "v" * 60
    places = {place_of_volume(f"{long}-{name}"[:63]) for name in (one[:2], other[:2])}
    assert len(places) == len({one[:2], other[:2]})
