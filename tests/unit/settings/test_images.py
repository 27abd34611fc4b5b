"""Images in settings: Trivy's own, those of databases, mirrors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.settings import SettingsError, images, load_settings
from trivyop.settings.images import image_reference, tag_problem, tag_version

DIGEST = f"sha256:{'a' * 64}"
NAMESPACE = {"OPERATOR_NAMESPACE": "trivy-system"}


@pytest.mark.parametrize(
    ("repository", "tag", "image"),
    [
        ("ghcr.io/aquasecurity/trivy", "0.76.0", "ghcr.io/aquasecurity/trivy:0.76.0"),
        ("localhost:5000/trivy", f"0.76.0@{DIGEST}", f"localhost:5000/trivy:0.76.0@{DIGEST}"),
        ("trivy", DIGEST, f"trivy@{DIGEST}"),
        ("r.example.com/a/b__c/d-e.f", "v0.76.0-amd64", "r.example.com/a/b__c/d-e.f:v0.76.0-amd64"),
        ("[::1]:5000/trivy", f"sha512:{'b' * 128}", f"[::1]:5000/trivy@sha512:{'b' * 128}"),
    ],
)
def test_image_of_trivy(repository: str, tag: str, image: str) -> None:
    assert image_reference(images.REPOSITORY.parse(f" {repository} "), images.TAG.parse(f"{tag}\n")) == image


@pytest.mark.parametrize(
    "text",
    [
        "ghcr.io/aquasecurity/trivy:0.76.0",
        f"ghcr.io/aquasecurity/trivy@{DIGEST}",
        f"ghcr.io/aquasecurity/trivy:0.76.0@{DIGEST}",
        "trivy:latest",
    ],
)
def test_repository_with_a_tag_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(ValueError, match="belongs into the setting of the tag"):
        images.REPOSITORY.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://ghcr.io/trivy",
        "ghcr.io/Trivy",
        "ghcr.io//trivy",
        "/trivy",
        "trivy/",
        "a b",
        "",
        "ghcr.io/a_-b",
    ],
)
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an image name|belongs"):
        images.REPOSITORY.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "sha256:abc",
        f"0.76.0@sha256:{'a' * 32}",
        f"0.76.0@sha256:{'A' * 64}",
        f"0.76.0@{DIGEST}@{DIGEST}",
        f"{DIGEST}@{DIGEST}",
        f"@{DIGEST}",
        ":0.76.0",
        "0.76.0 0.75.0",
        "a" * 129,
    ],
)
def test_what_no_runtime_takes_for_a_tag_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an image tag"):
        images.TAG.parse(text)


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("0.76.0", (0, 76, 0)),
        ("v0.76.0", (0, 76, 0)),
        (f"0.76.0@{DIGEST}", (0, 76, 0)),
        ("0.50", (0, 50, 0)),
        ("0.50.1-arm64", (0, 50, 1)),
        ("0.50.1.company2", (0, 50, 1)),
        ("0.50.1_1", (0, 50, 1)),
        ("latest", None),
        ("canary", None),
        ("20260101", None),
        ("stable-0.50", None),
        (DIGEST, None),
    ],
)
def test_version_that_a_tag_names(tag: str, version: tuple[int, int, int] | None) -> None:
    assert tag_version(images.TAG.parse(tag)) == version


@pytest.mark.parametrize("tag", ["0.50.1", "v0.56.9", "0.9.0-arm64", f"0.50.1@{DIGEST}", "0.1", "0.0.1"])
def test_trivy_that_is_too_old_is_refused_at_the_start(tag: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(NAMESPACE, trivy_configmap={"trivy.tag": tag})

    (problem,) = caught.value.problems
    assert problem.key == "trivy.tag"
    assert "0.57.0" in str(problem)
    assert tag in str(problem) or DIGEST in tag


@pytest.mark.parametrize("tag", ["0.69.4", "0.69.5", "0.69.6", "v0.69.4", "0.69.5-amd64", f"0.69.6@{DIGEST}"])
def test_malicious_trivy_is_refused_with_the_reason(tag: str) -> None:
    with pytest.raises(SettingsError, match=r"trivy\.tag.*malicious \(CVE-2026-33634\)"):
        load_settings(NAMESPACE, trivy_configmap={"trivy.tag": tag})


@pytest.mark.parametrize(
    "tag", ["0.57.0", "0.62.1", "0.69.3", "0.70.0", "0.76.0", "1.0.0", "latest", "canary", DIGEST, "2026.1"]
)
def test_other_trivys_are_used(tag: str) -> None:
    assert tag_problem(tag) == ""
    assert load_settings(NAMESPACE, trivy_configmap={"trivy.tag": tag}).trivy.tag == tag


@given(st.tuples(*[st.integers(0, 200)] * 3))
def test_versions_are_compared_as_numbers(version: tuple[int, int, int]) -> None:
    good = version >= (0, 57, 0) and version not in {(0, 69, 4), (0, 69, 5), (0, 69, 6)}

    assert (tag_problem(".".join(map(str, version))) == "") is good


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.example.com/db:1, b.example.com/db:1", ("a.example.com/db:1", "b.example.com/db:1")),
        ("a.example.com/db,\n b.example.com/db,", ("a.example.com/db", "b.example.com/db")),
        ("a.example.com/db a.example.com/db", ("a.example.com/db",)),
        (f"a.example.com:5000/x/db@{DIGEST}", (f"a.example.com:5000/x/db@{DIGEST}",)),
    ],
)
def test_lists_of_images(text: str, found: tuple[str, ...]) -> None:
    assert images.IMAGES.parse(text) == found


@pytest.mark.parametrize(
    "text", [",", " , ", "https://a.example.com/db", "oci://a/b", "a.example.com/DB", "a/b,;c"]
)
def test_lists_that_name_no_images_are_refused(text: str) -> None:
    for key in ("trivy.dbRepository", "trivy.javaDbRepository"):
        with pytest.raises(SettingsError) as caught:
            load_settings(NAMESPACE, trivy_configmap={key: text})
        assert [problem.key for problem in caught.value.problems] == [key]


@pytest.mark.parametrize(
    "text", ["https://m.example.com", "a=b=c d", "m.example.com, n.example.com", "=m.example.com", "a=", ","]
)
def test_malformed_mirrors_are_refused_by_key(text: str) -> None:
    with pytest.raises(SettingsError, match=r"trivy\.registry\.mirror\.corp"):
        load_settings(NAMESPACE, trivy_configmap={"trivy.registry.mirror.corp": text})
