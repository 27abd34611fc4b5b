"""What an earlier life of the operator has left in a made-up cluster: reports, and ImageScans that succeeded.

Of each kind one report is written through the API server, so that it has defaults and managed fields; all
others are made of that one. Nothing is missing and nothing is due.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.cluster import ENVIRON, OPERATOR_NAMESPACE, MadeUpCluster
from tests.bench.made_up import MadeUpWorkload, Patterns, uid
from tests.bench.stub_node import PLATFORM
from tests.kinds import REPORT_KINDS
from trivyop.control.clock import SystemClock
from trivyop.controllers.selecting import build_options
from trivyop.kube.resources import (
    EXPOSEDSECRETREPORTS,
    IMAGESCANS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.kube.times import format_time
from trivyop.report import keys
from trivyop.report.names import report_names
from trivyop.report.sbom import build_sbom_report
from trivyop.report.secret import build_secret_report
from trivyop.report.vulnerability import build_vulnerability_report
from trivyop.scan.imagescan import (
    ImageScanSpec,
    ImageScanStatus,
    Phase,
    Requester,
    ResultSource,
    image_scan_name,
    to_document,
)
from trivyop.scan.trivy_json import parse_findings
from trivyop.settings import load_settings, settings_hash
from trivyop.workload.images import ContainerImage, ContainerKind
from trivyop.workload.objects import ReplicaSet
from trivyop.workload.resolve import Workload, pod_spec_of, spec_hash

_RECORDED = Path(__file__).parents[1] / "faults" / "recorded"
_CONTAINER = "app"


class History:
    """Makes reports and ImageScans."""

    def __init__(self, patterns: Patterns, reports: dict[Resource, dict[str, Any]]) -> None:
        self._patterns = patterns
        self._reports = reports
        self._hash = settings_hash(load_settings(ENVIRON))
        self._now = format_time(SystemClock().now())

    @classmethod
    async def make(cls, cluster: MadeUpCluster, patterns: Patterns) -> History:
        """Have the server store a report of each kind; they are gone again when this returns."""
        first = MadeUpWorkload(0, 0)
        decoded = msgspec.convert(first.replica_set(patterns.replica_set), ReplicaSet, strict=False)
        container = ContainerImage(_CONTAINER, ContainerKind.REGULAR, first.reference, first.digest, PLATFORM)
        workload = Workload(
            kind="ReplicaSet",
            api_version="apps/v1",
            key=ObjectKey(first.namespace, first.name),
            uid=first.uid,
            labels=first.labels,
            annotations={},
            containers=(container,),
            spec_hash=spec_hash(pod_spec_of(decoded)),
        )
        settings = load_settings(ENVIRON)
        options = replace(build_options(settings), settings_hash=settings_hash(settings))
        now = SystemClock().now()
        findings = parse_findings((_RECORDED / "result.json").read_bytes())
        bom = json.loads((_RECORDED / "bom.json").read_bytes())
        kept = ("bomFormat", "specVersion", "version", "components", "dependencies")
        sbom = {name: bom[name] for name in kept}
        built = {
            VULNERABILITYREPORTS: build_vulnerability_report(workload, container, findings, options, now=now),
            EXPOSEDSECRETREPORTS: build_secret_report(workload, container, findings, options, now=now),
            SBOMREPORTS: build_sbom_report(
                workload, container, sbom, options, scanner_version="0.76.0", now=now
            ),
        }
        stored: dict[Resource, dict[str, Any]] = {}
        for resource, report in built.items():
            stored[resource] = await cluster.api.apply(resource, report)
            bucket = cluster.served(resource).bucket
            there = bucket.get(first.namespace, report["metadata"]["name"])
            assert there is not None
            bucket.remove(there)
        return cls(patterns, stored)

    def fill(
        self, cluster: MadeUpCluster, workload: MadeUpWorkload, kinds: Collection[Resource] = REPORT_KINDS
    ) -> str:
        """Put the reports of a workload into the cluster; returns their name."""
        name = report_names("ReplicaSet", workload.name, (_CONTAINER,))[_CONTAINER]
        spec = msgspec.convert(workload.replica_set(self._patterns.replica_set), ReplicaSet, strict=False)
        for n, (resource, like) in enumerate(self._reports.items()):
            meta = like["metadata"]
            owner = {**meta["ownerReferences"][0], "name": workload.name, "uid": workload.uid}
            metadata = {
                **meta,
                "name": name,
                "namespace": workload.namespace,
                "uid": uid(resource.kind, workload.n),
                "ownerReferences": [owner],
                "labels": {
                    **meta["labels"],
                    keys.RESOURCE_NAME: workload.name,
                    keys.RESOURCE_NAMESPACE: workload.namespace,
                    keys.SPEC_HASH: spec_hash(pod_spec_of(spec)),
                },
                "annotations": {
                    **meta["annotations"],
                    keys.IMAGE_DIGEST: workload.digest,
                    keys.CONTENT_HASH: uid("content", workload.n, n),
                },
            }
            if resource in kinds:
                cluster.put(resource, {**like, "metadata": metadata})
        return name

    def scan(self, cluster: MadeUpCluster, workload: MadeUpWorkload) -> None:
        """Put the ImageScan of a workload's image into the cluster."""
        name = image_scan_name(workload.digest, PLATFORM)
        spec = ImageScanSpec(
            image=workload.reference,
            digest=workload.digest,
            platform=PLATFORM,
            requested_by=(
                Requester(
                    kind="ReplicaSet",
                    namespace=workload.namespace,
                    name=workload.name,
                    container=_CONTAINER,
                ),
            ),
            requesters=1,
        )
        status = ImageScanStatus(
            phase=Phase.SUCCEEDED,
            attempts=1,
            last_attempt=self._now,
            last_success=self._now,
            job="scan-vulnerabilityreport-0123456789-1",
            digest=workload.digest,
            settings_hash=self._hash,
            source=ResultSource.SCAN,
        )
        metadata = {
            "name": name,
            "namespace": OPERATOR_NAMESPACE,
            "uid": uid("ImageScan", workload.image),
            "creationTimestamp": self._now,
            "generation": 1,
        }
        body = {"metadata": metadata, "spec": to_document(spec), "status": to_document(status)}
        cluster.put(IMAGESCANS, body)
