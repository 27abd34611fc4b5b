"""Records of images' scans: the ImageScan objects, and what others than the scan itself write in them.

Not here: what a status says (`scan.state`), and when one is written (`jobsteps.py`, `outcomes.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from trivyop.controllers.informers import BY_DIGEST, Informers
from trivyop.controllers.records import Records
from trivyop.kube.client import Api
from trivyop.kube.resources import IMAGESCANS
from trivyop.kube.times import format_precise, time_or_none
from trivyop.scan.imagescan import ImageScan, ImageScanSpec, ImageScanStatus, to_document
from trivyop.workload.images import ImageKey

log = structlog.get_logger(__name__)

_FIELD_MANAGER_OF_REQUESTS = "trivyop-rescan"
_FIELD_MANAGER_OF_NAMES = "trivyop-names"  # our own spec does not hold them, and must not take them away


class ScanRecords:
    """The ImageScans of one namespace, by name."""

    def __init__(self, api: Api, informers: Informers, namespace: str, lost: Callable[[str], None]) -> None:
        """`lost` is called with the name of one that was gone before the informer observed what we wrote."""
        self._api = api
        self._informers = informers
        self._records = Records[ImageScan, ImageScanStatus](
            api,
            IMAGESCANS,
            ImageScan,
            informers.scans,
            namespace=namespace,
            to_document=to_document,
            lost=lost,
        )
        self.get = self._records.get
        self.status = self._records.status
        self.save = self._records.save
        self.delete = self._records.delete

    def names(self) -> list[str]:
        """All there are, as observed."""
        return [key.name for key in self._informers.scans.keys()]  # noqa: SIM118 - a lister, not a dict

    def image(self, name: str) -> ImageKey:
        """The image that is scanned; without a digest before the first result of a reference."""
        scan, status = self.get(name), self.status(name)
        digest = (scan.spec.digest if scan else "") or (status.digest if status else "")
        return ImageKey(digest, (scan.spec.platform or None) if scan else None)

    def is_alone(self, scan: ImageScan) -> bool:
        """Whether no other is of the same digest; never true without one."""
        same = self._informers.scans.by_index(BY_DIGEST, scan.spec.digest)
        return bool(scan.spec.digest) and all(one.metadata.name == scan.metadata.name for one in same)

    async def write_spec(self, name: str, spec: ImageScanSpec) -> ImageScan:
        """Create the object, or bring its spec up to date."""
        return await self._records.write(name, {"spec": to_document(spec)})

    async def ask_for_rescan(self, name: str, *, since: datetime) -> None:
        """Make the scan due, whatever its result says, unless it was tried `since`.

        That is kept in the object, so it outlives a restart; and so that of many requests at once only those
        count that no scan has answered, each tells when it arose.
        """
        status, there = self.status(name), self.get(name)
        tried = time_or_none(status.last_attempt) if status else None
        asked = time_or_none(there.spec.rescan_after) if there else None
        if any(moment is not None and moment >= since for moment in (tried, asked)):
            return
        patch = {"spec": {"rescanAfter": format_precise(since)}}
        log.info("rescan_requested", scan=name)
        await self._api.patch(
            IMAGESCANS, self._records.key(name), patch, field_manager=_FIELD_MANAGER_OF_REQUESTS
        )

    async def save_aliases(self, name: str, digests: tuple[str, ...]) -> None:
        """Write all other digests of the image."""
        patch = {"spec": {"alsoKnownAs": list(digests)}}
        log.info("image_renamed", scan=name, digests=list(digests))
        await self._api.patch(
            IMAGESCANS, self._records.key(name), patch, field_manager=_FIELD_MANAGER_OF_NAMES
        )
