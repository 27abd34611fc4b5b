"""Digests: a container keeps its image until it restarts, whatever the image is called meanwhile."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from trivyop.controllers.digests import KnownDigests, aliases
from trivyop.controllers.lister import Lister
from trivyop.kube.objects import ObjectMeta
from trivyop.kube.resources import IMAGESCANS
from trivyop.scan.imagescan import ImageScan, ImageScanSpec, ImageScanStatus
from trivyop.workload.objects import Pod

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
AMD64 = "linux/amd64"


def state(image_id: str, *, restarts: int = 0, uid: str = "u", image: str = "team/prod:1") -> Pod:
    status: dict[str, Any] = {"name": "web", "imageID": image_id, "restartCount": restarts}
    return msgspec.convert(
        {
            "metadata": {"name": "web", "namespace": "shop", "uid": uid},
            "spec": {"containers": [{"name": "web", "image": image}]},
            "status": {"containerStatuses": [status]},
        },
        Pod,
    )


@pytest.fixture
def digests() -> KnownDigests:
    return KnownDigests(Lister[ImageScan](IMAGESCANS, {}))


@pytest.mark.parametrize("now", [f"team/aaa@{B}", f"docker-pullable://team/prod@{B}", B, f"docker://{B}"])
def test_another_digest_of_a_container_that_goes_on_is_of_the_same_image(
    digests: KnownDigests, now: str
) -> None:
    digests.observe(state(f"team/dev@{A}"), state(now), AMD64)

    assert digests.same(B, AMD64) == A
    assert digests.same(B, "linux/arm64") is None
    assert digests.same(A, AMD64) is None, "it is what is scanned"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (state(f"team/dev@{A}"), state(f"team/dev@{B}", restarts=1)),
        (state(f"team/dev@{A}"), state(f"team/dev@{B}", uid="another")),
        (state(f"team/dev@{A}"), state(f"team/dev@{B}", image="team/prod:2")),
        (state(""), state(f"team/dev@{B}")),
        (state(f"team/dev@{A}"), state("")),
    ],
    ids=["restarted", "another pod", "another image", "just started", "stopped"],
)
def test_another_container_may_have_another_image(digests: KnownDigests, old: Pod, new: Pod) -> None:
    digests.observe(old, new, AMD64)

    assert digests.same(B, AMD64) is None


def test_digests_of_one_image_lead_to_the_first(digests: KnownDigests) -> None:
    """And back to it: that is no cycle."""
    names = [f"team/dev@{A}", f"team/aaa@{B}", f"team/abc@{C}", f"team/dev@{A}", f"team/aaa@{B}"]
    for before, now in pairwise(names):
        digests.observe(state(before), state(now), AMD64)

    assert [digests.same(digest, AMD64) for digest in (A, B, C)] == [None, A, A]


def test_digests_that_were_seen_are_written_once(digests: KnownDigests) -> None:
    digests.observe(state(f"team/dev@{A}"), state(f"team/aaa@{B}"), AMD64)
    meta = ObjectMeta(name="a", namespace="trivy-system")
    scan = ImageScan(metadata=meta, spec=ImageScanSpec(image="team/prod:1", digest=A, platform=AMD64))
    saved = msgspec.structs.replace(scan, spec=msgspec.structs.replace(scan.spec, also_known_as=(B,)))

    assert digests.unsaved(scan) == (B,)
    assert digests.unsaved(saved) is None
    by_content = msgspec.structs.replace(saved, status=ImageScanStatus(image_id=C))
    assert aliases(by_content) == (B, C)
