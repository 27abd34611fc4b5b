"""References: under which names an image can be had, for what each runtime reports."""

from __future__ import annotations

import pytest

from trivyop.scan.references import in_order, references
from trivyop.workload.images import any_digest, repo_digest, repo_reference

A, B = ("sha256:" + letter * 64 for letter in "ab")
HUB = "index.docker.io"


@pytest.mark.parametrize(
    ("image", "image_ids", "expected"),
    [
        # the ordinary case, for each runtime
        ("r.io/team/prod:1", [f"r.io/team/prod@{A}"], [f"r.io/team/prod@{A}"]),
        ("r.io/team/prod:1", [f"docker-pullable://r.io/team/prod@{A}"], [f"r.io/team/prod@{A}"]),
        ("nginx", [f"docker.io/library/nginx@{A}"], [f"{HUB}/library/nginx@{A}"]),
        ("nginx", [f"docker-pullable://nginx@{A}"], [f"{HUB}/library/nginx@{A}"]),
        # the workload names a digest: nothing else counts
        (f"r.io/team/prod:1@{B}", [f"r.io/team/dev@{A}"], [f"r.io/team/prod@{B}"]),
        # another repository of the same registry, whose login the workload has
        (
            "r.io/team/prod:1",
            [f"r.io/team/dev@{A}"],
            [f"r.io/team/dev@{A}", f"r.io/team/prod@{A}", "r.io/team/prod:1"],
        ),
        # another registry: a copy has the same digest as a rule
        (
            "mirror.io/nginx:1",
            [f"docker.io/library/nginx@{A}"],
            [f"mirror.io/nginx@{A}", f"{HUB}/library/nginx@{A}", "mirror.io/nginx:1"],
        ),
        # one node names it by the workload's own repository: that settles it
        ("r.io/team/prod:1", [f"r.io/team/dev@{A}", f"r.io/team/prod@{B}"], [f"r.io/team/prod@{B}"]),
        # a node's own word for something that it built or loaded
        ("r.io/team/prod:1", [f"docker://{A}"], ["r.io/team/prod:1"]),
        ("r.io/team/prod:1", [A], ["r.io/team/prod:1"]),
    ],
)
def test_references_in_order(image: str, image_ids: list[str], expected: list[str]) -> None:
    told = [found for image_id in image_ids if (found := repo_reference(image_id))]

    assert references(image, told) == expected


def test_first_choices_of_all_workloads_come_first_and_what_went_well_before_all() -> None:
    choices = [["dev@a", "prod@a", "prod:1"], ["copy@a"], ["dev@a"]]

    assert in_order(choices) == ["dev@a", "copy@a", "prod@a", "prod:1"]
    assert in_order(choices, "prod@a") == ["prod@a", "dev@a", "copy@a", "prod:1"]


@pytest.mark.parametrize(
    ("image_id", "of_repository", "any_"),
    [
        (f"r.io/a@{A}", A, A),
        (f"docker-pullable://r.io/a@{A}", A, A),
        (f"docker://{A}", None, A),
        (A, None, A),
        ("", None, None),
        ("r.io/a:1", None, None),
    ],
)
def test_digests_in_a_status(image_id: str, of_repository: str | None, any_: str | None) -> None:
    assert (repo_digest(image_id), any_digest(image_id)) == (of_repository, any_)
