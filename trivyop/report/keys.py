"""Keys: the exact text of every label and annotation that reports carry.

The first block is what dashboards, alerts and scripts of the Go trivy-operator select on; it must not change.
The second block is our own, under ``trivyop.dev/``.
"""

from __future__ import annotations

from typing import Final

from trivyop.workload import selection

# known to users

MANAGED_BY: Final = selection.MANAGED_BY  # what carries it is not scanned
MANAGED_BY_VALUE: Final = selection.MANAGED_BY_VALUE
RESOURCE_KIND: Final = "trivy-operator.resource.kind"
RESOURCE_NAME: Final = "trivy-operator.resource.name"  # a label; an annotation if no valid label value
RESOURCE_NAME_HASH: Final = "trivy-operator.resource.name-hash"  # the label in that case
RESOURCE_NAMESPACE: Final = "trivy-operator.resource.namespace"
CONTAINER_NAME: Final = "trivy-operator.container.name"
SPEC_HASH: Final = "resource-spec-hash"
POLICIES_HASH: Final = "plugin-config-hash"  # on reports of audits: which checks applied
IMAGE_ID: Final = "resource-image-id"  # on ClusterSbomReports
SBOM_TYPE: Final = "trivy-operator.aquasecurity.github.io/sbom-type"
REPORT_TTL: Final = "trivy-operator.aquasecurity.github.io/report-ttl"  # a Go duration: "24h0m0s"

# ours: annotations, so that watching metadata alone is enough

IMAGE_DIGEST: Final = "trivyop.dev/image-digest"  # the digest that runs and was scanned: "sha256:..."
PLATFORM: Final = "trivyop.dev/platform"  # "linux/arm64"; absent when no node reports it
IMAGE: Final = "trivyop.dev/image"  # the artifact in one text: "index.docker.io/library/nginx:1@sha256:..."
REFERENCE: Final = "trivyop.dev/image-reference"  # as the workload writes it: "nginx:1"
OS: Final = "trivyop.dev/os"  # "debian/12.4", "alpine/3.18.3/eosl"
SCANNED_AT: Final = "trivyop.dev/scanned-at"  # equals report.updateTimestamp
SETTINGS_HASH: Final = "trivyop.dev/settings-hash"  # of the settings that change what a scan finds
SUMMARY: Final = "trivyop.dev/summary"  # "c=1,h=2,m=0,l=0,u=0"; see ``summary.py``
FIXABLE: Final = "trivyop.dev/fixable"  # likewise, of the vulnerabilities that have a fix
OPERATOR: Final = "trivyop.dev/operator"  # on reports of audits: the namespace of the operator that wrote it
CORRECTED: Final = "trivyop.dev/corrected"  # findings that are plainly false: "windows: AVD-KSV-0001"
OMITTED: Final = "trivyop.dev/omitted"  # what the size budget left out: "links,descriptions,findings=12"
MATCHABLE: Final = (
    "trivyop.dev/matchable"  # on a kept bill of materials that says all that matching needs: "1"
)
MATCHABLE_VALUE: Final = "1"  # another one when matching takes what older documents do not have
CONTENT_HASH: Final = "trivyop.dev/content-hash"  # equal hashes: nothing to write
