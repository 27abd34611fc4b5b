"""Digests: which of them are certain to be of one image.

A runtime may call the image of a container by another digest while that runs, because another name of it was
pulled or removed (`scan.references`). What a container runs does not change before it restarts, so the new
digest is of the image that has a scan already. That is written into its ImageScan, so that it outlives a
restart. The digest of the image's configuration, which a runtime reports for an image without names, is in
the scan's result.

Promises: nothing is taken for equal by its name. Equal for one platform is not equal for another.
Not here: which digests pods have (`workload.running`).
"""

from __future__ import annotations

from trivyop.controllers.lister import Lister
from trivyop.scan.imagescan import ImageScan
from trivyop.workload.images import any_digest
from trivyop.workload.objects import ContainerStatus, Pod, PodStatus
from trivyop.workload.running import images_of

BY_DIGEST = "digest"
"""Index of reports and of ImageScans: from the digest of an image to those about it."""
BY_ALIAS = "alias"
"""Index of ImageScans: from any digest of the image but the one it is scanned by."""

_MAX_ALIASES = 20  # of one image; the oldest go


class KnownDigests:
    """The digests of one image, by any of them."""

    def __init__(self, scans: Lister[ImageScan]) -> None:
        self._lister = scans
        self._digests: dict[tuple[str, str], str] = {}  # (digest, platform) to the one that is scanned

    def same(self, digest: str, platform: str | None) -> str | None:
        """The digest that the image is scanned by, if `digest` is another one of it."""
        seen = self._digests.get((digest, platform or ""))
        if seen is not None:
            return seen
        for scan in self._lister.by_index(BY_ALIAS, digest):
            if scan.spec.platform == (platform or "") and scan.spec.digest != digest:
                return scan.spec.digest
        return None

    def observe(self, old: Pod, new: Pod, platform: str | None) -> list[str]:
        """Compare two states of a pod; returns the names of the scans whose image has one more digest."""
        if old.metadata.uid != new.metadata.uid or old.status is new.status:
            return []
        before = {one.name: one for one in _statuses(old.status)}
        images, names = ({one.place: one.image for one in images_of(pod.spec)} for pod in (old, new))
        found: list[str] = []
        for status in _statuses(new.status):
            known = before.get(status.name)
            as_before = names.get(status.name) == images.get(status.name)
            if known is not None and as_before and known.restart_count == status.restart_count:
                found += self._equal(any_digest(known.image_id), any_digest(status.image_id), platform)
        return found

    def _equal(self, before: str | None, now: str | None, platform: str | None) -> list[str]:
        if before is None or now is None or before == now:
            return []
        scanned = self.same(before, platform) or before
        if self.same(now, platform) == scanned or now == scanned:
            return []
        if self._scans(now, platform):
            return []  # it has a result of its own
        self._digests[now, platform or ""] = scanned
        return [scan.metadata.name for scan in self._scans(scanned, platform)]

    def unsaved(self, scan: ImageScan) -> tuple[str, ...] | None:
        """All other digests of a scan's image, if its object lacks one."""
        digest, platform = scan.spec.digest, scan.spec.platform
        if not digest:
            return None
        seen = [
            reported
            for (reported, of), scanned in self._digests.items()
            if (scanned, of) == (digest, platform)
        ]
        lacking = [reported for reported in seen if reported not in scan.spec.also_known_as]
        return (*scan.spec.also_known_as, *lacking)[-_MAX_ALIASES:] if lacking else None

    def _scans(self, digest: str, platform: str | None) -> list[ImageScan]:
        found = self._lister.by_index(BY_DIGEST, digest)
        return [scan for scan in found if scan.spec.platform == (platform or "")]


def aliases(scan: ImageScan) -> tuple[str, ...]:
    """Index function of ``BY_ALIAS``."""
    if not scan.spec.digest:
        return ()
    of_content = (scan.status.image_id,) if scan.status.image_id else ()
    return (*scan.spec.also_known_as, *of_content)


def _statuses(status: PodStatus) -> tuple[ContainerStatus, ...]:
    return (
        *status.container_statuses,
        *status.init_container_statuses,
        *status.ephemeral_container_statuses,
    )
