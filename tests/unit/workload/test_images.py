"""Image names are read as registry clients read them; digests as runtimes write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.errors import TerminalError
from trivyop.workload.images import (
    ContainerImage,
    ContainerKind,
    ImageKey,
    ImageName,
    ImageRefError,
    repo_digest,
)

DIGEST = "sha256:" + "14" * 32


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("nginx", "index.docker.io", "library/nginx", "latest", None),
        ("nginx:", "index.docker.io", "library/nginx", "latest", None),
        ("nginx:v1.3.4", "index.docker.io", "library/nginx", "v1.3.4", None),
        ("library/nginx:v.4.5.6", "index.docker.io", "library/nginx", "v.4.5.6", None),
        ("docker.io/library/alpine:v2", "index.docker.io", "library/alpine", "v2", None),
        ("docker.io/alpine", "index.docker.io", "library/alpine", "latest", None),
        ("quay.io/centos/centos", "quay.io", "centos/centos", "latest", None),
        ("my-private-repo.company.com/my-app:1.2.3", "my-private-repo.company.com", "my-app", "1.2.3", None),
        ("localhost/app", "localhost", "app", "latest", None),
        ("127.0.0.1:5000/shop/web:1.0", "127.0.0.1:5000", "shop/web", "1.0", None),
        ("[::1]:5000/shop/web", "[::1]:5000", "shop/web", "latest", None),
        ("team/app", "index.docker.io", "team/app", "latest", None),
        (f"quay.io/a/b@{DIGEST}", "quay.io", "a/b", None, DIGEST),
        (f"quay.io/a/b:some-tag@{DIGEST}", "quay.io", "a/b", "some-tag", DIGEST),
        (f"nginx@{DIGEST}", "index.docker.io", "library/nginx", None, DIGEST),
        (f"nginx:1.16@{DIGEST}", "index.docker.io", "library/nginx", "1.16", DIGEST),
    ],
)
def test_image_name_is_read(
    text: str, registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    assert ImageName.parse(text) == ImageName(registry, repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "/",
        "UPPER/case",
        "docker.io/Team/App",
        "a",
        "a b",
        "x@sha256:broken",
        f"@{DIGEST}",
        "nginx:a/b:c!",
    ],
)
def test_text_that_names_no_image_is_refused(text: str) -> None:
    """Only a change of the pod spec helps, so the error is terminal."""
    with pytest.raises(ImageRefError) as caught:
        ImageName.parse(text)

    assert isinstance(caught.value, TerminalError)


HOSTS = st.from_regex(r"[a-z0-9]{1,8}\.[a-z]{2,4}(:[0-9]{2,5})?", fullmatch=True)
PATHS = st.from_regex(r"[a-z0-9]{2,8}(/[a-z0-9._-]{1,8}){0,3}", fullmatch=True)
TAGS = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)


@given(HOSTS, PATHS, TAGS, st.booleans())
def test_what_is_shown_reads_back(host: str, path: str, tag: str | None, pinned: bool) -> None:
    name = ImageName.parse(f"{host}/{path}" + (f":{tag}" if tag else "") + (f"@{DIGEST}" if pinned else ""))

    assert ImageName.parse(str(name)) == name
    assert ImageName.parse(name.pinned(DIGEST)).digest == DIGEST


@pytest.mark.parametrize(
    ("image_id", "digest"),
    [
        (f"docker.io/library/nginx@{DIGEST}", DIGEST),
        (f"docker-pullable://nginx@{DIGEST}", DIGEST),
        (DIGEST, None),
        (f"docker://{DIGEST}", None),
        ("", None),
        ("nginx@sha256:short", None),
    ],
)
def test_digest_of_a_status_is_the_registrys_or_none(image_id: str, digest: str | None) -> None:
    assert repo_digest(image_id) == digest


def test_container_without_a_digest_has_no_key() -> None:
    """Nobody knows yet what runs, so nothing can be shared."""
    unknown = ContainerImage("web", ContainerKind.REGULAR, "nginx", None, "linux/amd64")
    known = ContainerImage("web", ContainerKind.REGULAR, "nginx", DIGEST, "linux/amd64")

    assert unknown.key is None
    assert known.key == ImageKey(DIGEST, "linux/amd64")


@pytest.mark.parametrize("text", ["registry.example.com/Team/App:1", "Nginx", f"team/App@{DIGEST}"])
def test_capitals_in_a_repository_are_named_as_what_is_wrong(text: str) -> None:
    with pytest.raises(ImageRefError, match=r"is not a repository: its letters must be lower case$"):
        ImageName.parse(text)


def test_capitals_are_not_blamed_where_something_else_is_wrong_too() -> None:
    with pytest.raises(ImageRefError, match=r"'Team/A p' is not a repository$"):
        ImageName.parse("registry.example.com/Team/A p")
