"""Statuses as a server stores them when one is applied after the other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trivyop.audit.nodes import nodescan
from trivyop.audit.nodes.nodescan import NodeScanStatus
from trivyop.kube.applying import without_empty_maps
from trivyop.report.findings import Findings
from trivyop.sandbox.apiserver.objects import crd, writing
from trivyop.sandbox.apiserver.objects.kinds import Kind
from trivyop.sandbox.apiserver.objects.refusals import Refused
from trivyop.sandbox.apiserver.objects.writing import Write
from trivyop.scan import imagescan, state
from trivyop.scan.imagescan import Database, ImageScanStatus, ResultSource

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CRDS = Path(__file__).parents[3] / "manifests/crds"
Json = dict[str, Any]


def _kind(file: str) -> Kind:
    return crd.kinds_of(yaml.safe_load((CRDS / file).read_text()))[0]


IMAGE_SCAN, NODE_SCAN = _kind("trivyop.dev_imagescans.yaml"), _kind("trivyop.dev_nodescans.yaml")


def _write(subresource: str) -> Write:
    return Write(
        manager="trivyop",
        now="2026-01-01T12:00:00Z",
        uid="00000000-0000-4000-8000-000000000001",
        token=lambda: "aaaaa",
        namespace="trivy-system",
        name="x",
        subresource=subresource,
        force=True,
    )


def _applied(kind: Kind, live: Json | None, **parts: Any) -> Json:
    meta: Json = {"name": "x"} | ({"namespace": "trivy-system"} if kind.namespaced else {})
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **parts}
    subresource = "status" if "status" in parts else ""
    made = writing.patch(
        kind, live, orjson.dumps(body), "application/apply-patch+yaml", _write(subresource)
    ).obj
    return {**made, "metadata": {**made["metadata"], "resourceVersion": "1"}}


WORDS = st.sampled_from(["", "a", "b"])
STATUSES = st.builds(
    lambda version, family, name, database, digest: state.succeeded(
        ImageScanStatus(),
        source=ResultSource.SCAN,
        settings_hash="h",
        digest=digest,
        findings=Findings(
            artifact_name="x", scanner_version=version, os_family=family, os_name=name, vulnerabilities=()
        ),
        secrets=0,
        database=database,
        now=NOON,
    ),
    WORDS,
    WORDS,
    WORDS,
    st.none()
    | st.builds(
        Database, version=st.integers(0, 2), updated_at=st.sampled_from(["", "2026-01-01T00:00:00Z"])
    ),
    WORDS,
)


@given(st.lists(STATUSES | st.just(ImageScanStatus()), min_size=2, max_size=4))
def test_server_takes_any_status_after_any_other_and_keeps_it(statuses: list[ImageScanStatus]) -> None:
    live = _applied(IMAGE_SCAN, None, spec={"image": "x"})
    for status in statuses:
        live = _applied(IMAGE_SCAN, live, status=imagescan.to_document(status))

        assert msgspec.convert(live["status"], ImageScanStatus) == status


@given(st.lists(st.builds(NodeScanStatus, message=WORDS, node_type=WORDS), min_size=2, max_size=3))
def test_server_takes_any_node_status_after_any_other(statuses: list[NodeScanStatus]) -> None:
    live = _applied(NODE_SCAN, None)
    for status in statuses:
        live = _applied(NODE_SCAN, live, status=nodescan.to_document(status))

        assert msgspec.convert(live["status"], NodeScanStatus) == status


def test_scan_that_hangs_on_a_refused_status_gets_on() -> None:
    """What an older version applied and the server refused for ever is not sent again."""
    live = _applied(IMAGE_SCAN, None, spec={"image": "x"})
    live = _applied(IMAGE_SCAN, live, status={"phase": "Running", "os": {"family": "alpine"}})
    refused = {"status": {"phase": "Succeeded", "os": {}}}
    with pytest.raises(Refused, match="must be of type object"):
        _applied(IMAGE_SCAN, live, **refused)

    assert _applied(IMAGE_SCAN, live, **without_empty_maps(refused))["status"] == {"phase": "Succeeded"}
