"""Which namespaces an installation looks at."""

from __future__ import annotations

import pytest

from trivyop.workload.selection import InstallMode, Namespaces, Selection, parse_image_globs


@pytest.mark.parametrize(
    ("targets", "mode", "watched"),
    [
        ([], InstallMode.ALL_NAMESPACES, ("",)),
        (["trivy-system"], InstallMode.OWN_NAMESPACE, ("trivy-system",)),
        (["shop"], InstallMode.SINGLE_NAMESPACE, ("shop",)),
        (["shop", " data "], InstallMode.MULTI_NAMESPACE, ("data", "shop")),
        (["team-*"], InstallMode.MULTI_NAMESPACE, ("",)),
    ],
)
def test_install_mode_follows_from_targets(
    targets: list[str], mode: InstallMode, watched: tuple[str, ...]
) -> None:
    namespaces = Namespaces.parse("trivy-system", targets)

    assert (namespaces.mode, namespaces.watched) == (mode, watched)


def test_exclusion_counts_also_beside_targets() -> None:
    namespaces = Namespaces.parse("trivy-system", ["team-*"], ["*-test", ""])

    assert namespaces.includes("team-a")
    assert not namespaces.includes("team-test")
    assert not namespaces.includes("shop")


def test_cluster_scoped_objects_are_always_included() -> None:
    """The glob * would match their empty namespace as well."""
    assert Namespaces.parse("trivy-system", ["shop"], ["*"]).includes("")


def test_malformed_namespace_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Namespaces.parse("trivy-system", excluded=["kube-["])


def test_blank_patterns_are_ignored() -> None:
    """A trailing comma in a setting is no pattern."""
    assert [str(glob) for glob in parse_image_globs([" docker.io/*/* ", "", " "])] == ["docker.io/*/*"]


@pytest.mark.parametrize("image", ["nginx", "nginx:1", "docker.io/library/nginx", "library/nginx:1"])
@pytest.mark.parametrize("pattern", ["docker.io/*/nginx*", "index.docker.io/library/*"])
def test_image_is_excluded_by_its_full_name_however_it_is_written(image: str, pattern: str) -> None:
    selection = Selection(Namespaces.parse("trivy-system"), excluded_images=parse_image_globs([pattern]))

    assert selection.excludes_image(image)


@pytest.mark.parametrize("image", ["quay.io/a/nginx:1", "NOT:an:image"])
def test_other_images_are_not_excluded(image: str) -> None:
    selection = Selection(
        Namespaces.parse("trivy-system"), excluded_images=parse_image_globs(["docker.io/*/*"])
    )

    assert not selection.excludes_image(image)
