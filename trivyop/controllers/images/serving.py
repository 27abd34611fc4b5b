"""Serving: the steps of an image's scan that write reports: from a scan, from a match, from other reports.

Promises: reports are written before the status says so; a request stays pending until it was served.
Not here: which step it is (`scan.lifecycle`), Jobs (`jobsteps.py`), how reports are written (`delivery.py`).
"""

from __future__ import annotations

from msgspec import structs

from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.inputs import Gathered
from trivyop.controllers.images.outcomes import Outcomes
from trivyop.controllers.images.pending import PendingRequests
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.images.results import ScanResult
from trivyop.controllers.images.targets import Targets
from trivyop.errors import ConflictError
from trivyop.report.artifact import first_digest
from trivyop.scan.imagescan import ImageScanStatus, ResultSource
from trivyop.scan.lifecycle import Reason
from trivyop.trivy.failures import ScanError
from trivyop.workload.images import ImageKey


class Serving:
    """Writes the reports of scans, and has the outcome recorded."""

    def __init__(
        self,
        targets: Targets,
        delivery: Delivery,
        matcher: Matcher,
        pending: PendingRequests,
        outcomes: Outcomes,
    ) -> None:
        self._targets = targets
        self._delivery = delivery
        self._matcher = matcher
        self._pending = pending
        self.outcomes = outcomes

    async def deliver(self, at_hand: Gathered, status: ImageScanStatus, result: ScanResult) -> None:
        """Write what a Job found to all workloads that need it."""
        spec = at_hand.scan.spec
        digest = spec.digest or first_digest(result.findings.repo_digests) or ""
        image = ImageKey(digest, spec.platform or None)
        with self._pending.serving(at_hand.name):
            everybody = self._targets.of(at_hand.name)
            refused = await self._delivery.deliver(everybody, image, result, at_hand.settings_hash)
        await self.outcomes.succeeded(
            at_hand.scan,
            status,
            result,
            ResultSource.SCAN,
            digest=digest,
            settings_hash=at_hand.settings_hash,
            refused=refused,
            problem=result.problem or self._matcher.other_trivy(result.findings.scanner_version),
        )

    async def rematch(self, at_hand: Gathered, reason: Reason) -> None:
        """Match the stored bill of materials, and write what is found as `deliver` does."""
        scan, image, settings_hash = at_hand.scan, at_hand.image, at_hand.settings_hash
        bom = await self._delivery.read_bill_of_materials(image)
        if bom is None:
            raise ConflictError(f"the bill of materials of {scan.spec.image} is gone")
        status = structs.replace(at_hand.status, scan_reason=reason.value)
        try:
            result = await self._matcher.match(bom, at_hand.targets[0].variant)
        except ScanError as error:
            await self.outcomes.failed(scan, status, error.failure)
            return
        everybody = self._targets.of(at_hand.name)
        refused = await self._delivery.deliver_matched(everybody, image, result, settings_hash)
        await self.outcomes.succeeded(
            scan,
            status,
            result,
            ResultSource.REMATCH,
            digest=image.digest,
            settings_hash=settings_hash,
            refused=refused,
        )

    async def adopt(self, at_hand: Gathered) -> None:
        """Take over the history from the reports that are there."""
        found = self._delivery.adoptable(at_hand.image, at_hand.settings_hash, at_hand.scan.spec.namespace)
        if found is None:
            raise ConflictError(f"the reports to adopt for {at_hand.name} are gone")
        namespaces = {target.workload.key.namespace for target in self._targets.first_of(at_hand.name)}
        await self.outcomes.adopted(
            at_hand.scan,
            at_hand.status,
            found,
            digest=at_hand.image.digest,
            settings_hash=at_hand.settings_hash,
            refused=self._delivery.held_back(namespaces),
        )

    async def project(self, at_hand: Gathered) -> None:
        """Make the reports of pending requests from those of others."""
        namespace = at_hand.scan.spec.namespace
        with self._pending.serving(at_hand.name) as targets:
            refused = await self._delivery.project(targets, at_hand.image, at_hand.settings_hash, namespace)
        await self.outcomes.projected(at_hand.scan, at_hand.status, refused)
