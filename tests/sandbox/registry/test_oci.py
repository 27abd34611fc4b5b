from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.registry.oci import ARM64, INDEX, Image, gzip_stored
from trivyop.sandbox.registry.samples import numbered_images, sample_images, web_image


def test_the_same_files_give_the_same_digest_everywhere() -> None:
    """Written down, because documents and recorded reports name it: a change of bytes must be wanted."""
    image = Image.build({"etc/os-release": b'ID="none"\n'}, {"app/run": b"1"})
    assert image.digest == "sha256:a815793b52c1717046e7776a51d67b353497c1f7c5b6e496fbf0caa165ab30a5"


@given(st.binary(max_size=200_000) | st.integers(65_530, 65_540).map(bytes))
def test_stored_gzip_is_gzip(data: bytes) -> None:
    assert gzip.decompress(gzip_stored(data)) == data


@pytest.mark.parametrize("name", sorted(sample_images()))
def test_every_digest_a_manifest_names_is_there(name: str) -> None:
    image = sample_images()[name]
    for one in [image for _, image in image.platforms] or [image]:
        manifest = json.loads(one.manifest.data)
        named = {part["digest"]: part["size"] for part in [manifest["config"], *manifest["layers"]]}
        assert named == {blob.digest: len(blob.data) for blob in one.blobs}


def test_layers_have_files_and_the_folders_above_them() -> None:
    layer = web_image().blobs[2]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer.data))) as archive:
        names = archive.getnames()
        assert {"app", "app/node_modules/lodash", "app/node_modules/lodash/package.json"} <= set(names)
        assert names == sorted(names)


def test_an_index_needs_images_that_say_their_platform() -> None:
    with pytest.raises(ValueError, match="one platform each"):
        Image.index(Image.index())


def test_for_platform_is_the_image_a_node_would_run() -> None:
    arm = Image.build({"a": b""}, platform=ARM64)
    index = Image.index(Image.build({"a": b""}), arm)

    assert index.manifest.media_type == INDEX
    assert index.for_platform(ARM64) == arm
    assert index.for_platform("linux/s390x") is None
    assert arm.for_platform("linux/amd64") is None


def test_numbered_images_are_all_different() -> None:
    assert len({image.digest for image in numbered_images(60).values()}) == 60
