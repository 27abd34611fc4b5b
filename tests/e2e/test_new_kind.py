"""A kind of report that exists in this test only: one row, one builder, and all else works."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import NAMESPACE, pod, reported, running_cluster, running_operator
from tests.e2e.test_prometheus import metrics_address, scrape
from tests.e2e.test_webhooks import configure_endpoints, receiving
from tests.series import labels_of, parse
from trivyop.cli.status_audits import read_audits
from trivyop.kube.resources import CRDS, PODS, ObjectKey, Resource
from trivyop.report import keys, kinds
from trivyop.report.artifact import image_annotations, image_fields
from trivyop.report.content import seal
from trivyop.report.families import IMAGE_SECRETS, Family
from trivyop.report.frame import frame, settings_annotation
from trivyop.report.kinds import About, ReportKind, Scanned
from trivyop.report.options import ReportOptions
from trivyop.report.plans import Rows
from trivyop.report.summary import SeverityCounts
from trivyop.workload.images import ContainerImage
from trivyop.workload.resolve import Workload

NOTES = Resource("aquasecurity.github.io", "v1alpha1", "notereports", "NoteReport")
METRIC = "trivyop_image_notes"


def build_note_report(
    workload: Workload, container: ContainerImage, scanned: Scanned, options: ReportOptions, now: datetime
) -> dict[str, Any]:
    """One check that fails in every image."""
    image = image_fields(container)
    check = {"checkID": "NOTE-1", "severity": "LOW", "success": False, "title": "An image"}
    body = {
        **image,
        "checks": [check],
        "summary": {"criticalCount": 0, "highCount": 0, "mediumCount": 0, "lowCount": 1},
        "updateTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    annotations = {
        **image_annotations(container, image),
        **settings_annotation(options),
        keys.SCANNED_AT: body["updateTimestamp"],
        keys.SUMMARY: str(SeverityCounts(low=1)),
    }
    report = frame(NOTES.kind, workload, container, options, name=None, annotations=annotations, body=body)
    return seal(report, options.budget_bytes)


ROW = ReportKind(
    resource=NOTES,
    about=About.CONTAINER,
    rows=Rows.CHECKS,
    enabled=lambda _settings: True,
    build=build_note_report,
    families=(Family(METRIC, "Notes on images.", IMAGE_SECRETS.labels),),
    in_status=True,
)


def definition() -> dict[str, Any]:
    names = {
        "plural": NOTES.plural,
        "singular": "notereport",
        "kind": NOTES.kind,
        "listKind": "NoteReportList",
    }
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": NOTES.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NOTES.name},
        "spec": {"group": NOTES.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def test_a_new_kind_is_one_row_and_one_builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reports are written, counted, sent and shown; they come back when deleted, and go with the pod."""
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, ROW))
    async with receiving() as receiver, running_cluster(tmp_path) as cluster:
        await cluster.api.create(CRDS, definition())
        await configure_endpoints(cluster, {"name": "archive", "url": receiver.url, "deletes": True})
        image = cluster.image("library/single:1")
        await cluster.create(pod("a", "shop", web=image), pod("b", "shop", web=image))
        environ = {"OPERATOR_METRICS_BIND_ADDRESS": "127.0.0.1:0"}
        async with running_operator(cluster, environ=environ) as operator:
            names = {"shop/Pod/a/web", "shop/Pod/b/web"}
            found = await cluster.until(lambda found: reported(found) == names, NOTES, what="written")
            assert {one["report"]["checks"][0]["checkID"] for one in found} == {"NOTE-1"}
            await receiver.until(lambda: ("update", NOTES.kind, "pod-b-web") in receiver.delivered)

            series = parse(await scrape(f"http://{await metrics_address(operator)}/metrics"))
            low = [one for one in labels_of(series, METRIC) if one["severity"] == "Low"]
            assert {one["resource_name"] for one in low} == {"a", "b"}
            tallies = (await read_audits(cluster.api, NAMESPACE)).tallies
            assert [(one.count, one.low) for one in tallies if one.kind == NOTES.kind] == [(2, 2)]

            uid = next(one["metadata"]["uid"] for one in found if one["metadata"]["name"] == "pod-a-web")
            await cluster.api.delete(NOTES, ObjectKey("shop", "pod-a-web"))
            await cluster.until(
                lambda found: (
                    reported(found) == names and uid not in {one["metadata"]["uid"] for one in found}
                ),
                NOTES,
                what="made again",
            )
            await cluster.api.delete(PODS, ObjectKey("shop", "b"), grace_seconds=0)
            await cluster.until(lambda found: reported(found) == {"shop/Pod/a/web"}, NOTES, what="collected")
            await receiver.until(lambda: ("delete", NOTES.kind, "pod-b-web") in receiver.delivered)
