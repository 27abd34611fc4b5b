"""ImageScans: names, and how they are written and read."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.scan.imagescan import (
    Database,
    ImageScan,
    ImageScanSpec,
    ImageScanStatus,
    Phase,
    Requester,
    ResultSource,
    Summary,
    image_scan_name,
    image_scan_name_by_reference,
    to_document,
)
from trivyop.workload.images import ImageName

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
VALID = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def test_name_shows_digest_and_platform() -> None:
    assert image_scan_name(DIGEST, "linux/arm64/v8") == (
        "sha256-0123456789abcdef0123456789abcdef-linux-arm64-v8"
    )
    assert image_scan_name(DIGEST, None) == "sha256-0123456789abcdef0123456789abcdef"


def test_name_by_reference_is_of_the_full_name() -> None:
    short = image_scan_name_by_reference(ImageName.parse("nginx"), "linux/amd64")

    assert short == image_scan_name_by_reference(
        ImageName.parse("docker.io/library/nginx:latest"), "linux/amd64"
    )
    assert short != image_scan_name_by_reference(ImageName.parse("nginx:1"), "linux/amd64")
    assert re.fullmatch(r"ref-[0-9a-f]{32}-linux-amd64", short)


def test_namespaces_and_variants_have_scans_of_their_own() -> None:
    names = {
        image_scan_name(DIGEST, "linux/amd64", namespace, variant=variant)
        for namespace in (None, "shop", "data")
        for variant in ("", "a")
    }

    assert len(names) == 6


@given(
    st.one_of(
        st.none(),
        st.text(max_size=60),
        st.from_regex(r"[a-z]{1,20}/[a-z0-9]{1,20}(/v[0-9])?", fullmatch=True),
    ),
    st.one_of(st.none(), st.text(max_size=63)),
    st.text(max_size=20),
)
def test_names_are_valid_object_names_and_label_values(
    platform: str | None, namespace: str | None, variant: str
) -> None:
    name = image_scan_name(DIGEST, platform, namespace, variant=variant)
    by_reference = image_scan_name_by_reference(
        ImageName.parse("nginx"), platform, namespace, variant=variant
    )

    assert VALID.fullmatch(name)
    assert VALID.fullmatch(by_reference)


@pytest.mark.parametrize("digest", ["", "nginx", "sha256:", "sha256:xyz", "sha256:abc"])
def test_what_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(ValueError, match="is not a digest"):
        image_scan_name(digest, None)


def test_spec_and_status_are_written_as_the_crd_spells_them() -> None:
    spec = ImageScanSpec(
        image="shop/web:1.0",
        digest=DIGEST,
        requested_by=(Requester(kind="Pod", namespace="shop", name="web", container="web"),),
        requesters=1,
    )
    status = ImageScanStatus(
        phase=Phase.SUCCEEDED,
        last_success="2026-11-23T09:00:00Z",
        source=ResultSource.SCAN,
        summary=Summary(critical_count=1),
        database=Database(version=2, updated_at="2026-11-23T06:00:00Z"),
    )

    assert to_document(spec) == {
        "image": "shop/web:1.0",
        "digest": DIGEST,
        "requestedBy": [{"kind": "Pod", "namespace": "shop", "name": "web", "container": "web"}],
        "requesters": 1,
    }
    assert to_document(status) == {
        "phase": "Succeeded",
        "lastSuccess": "2026-11-23T09:00:00Z",
        "source": "Scan",
        "summary": {
            "criticalCount": 1,
            "highCount": 0,
            "mediumCount": 0,
            "lowCount": 0,
            "unknownCount": 0,
            "secretCount": 0,
        },
        "database": {"version": 2, "updatedAt": "2026-11-23T06:00:00Z"},
    }


def test_object_is_read_as_the_api_sends_it() -> None:
    scan = msgspec.json.decode(
        json.dumps(
            {
                "apiVersion": "trivyop.dev/v1alpha1",
                "kind": "ImageScan",
                "metadata": {"name": "sha256-01", "namespace": "trivy-system", "managedFields": []},
                "spec": {"image": "nginx", "future": 1},
                "status": {
                    "phase": "Failed",
                    "reason": "auth",
                    "conditions": [{"type": "X", "status": "True"}],
                },
            }
        ),
        type=ImageScan,
    )

    assert (scan.key.name, scan.spec.image, scan.status.phase) == ("sha256-01", "nginx", Phase.FAILED)
    assert scan.status.conditions[0].type == "X"


def test_object_without_status_is_pending() -> None:
    scan = msgspec.json.decode(b'{"metadata": {"name": "a"}, "spec": {"image": "nginx"}}', type=ImageScan)

    assert scan.status.phase is Phase.PENDING
    assert to_document(scan.status) == {"phase": "Pending"}
