"""Records: the ImageScan objects, read and written.

Their status is written by nobody else, so what we wrote last counts, not what the informer has told so far.

Promises: what is read here is never older than what was written here.
Not here: what a status says (`scan.state`), and when one is written (`imagescans.py`, `outcomes.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import structlog

from trivyop.controllers.ahead import Ahead
from trivyop.controllers.informers import BY_DIGEST, Informers
from trivyop.kube.client import Api
from trivyop.kube.resources import IMAGESCANS, ObjectKey
from trivyop.kube.times import format_precise, time_or_none
from trivyop.scan.imagescan import ImageScan, ImageScanSpec, ImageScanStatus, to_document
from trivyop.workload.images import ImageKey

log = structlog.get_logger(__name__)

_FIELD_MANAGER_OF_REQUESTS = "trivyop-rescan"
_FIELD_MANAGER_OF_NAMES = "trivyop-names"  # our own spec does not hold them, and must not take them away


class ScanRecords:
    """The ImageScans of one namespace, by name."""

    def __init__(self, api: Api, informers: Informers, namespace: str, lost: Callable[[str], None]) -> None:
        """`lost` is told of one that was gone before the informer told of what we wrote."""
        self._api = api
        self._informers = informers
        self._namespace = namespace
        self._statuses = Ahead[ImageScanStatus, ImageScan](
            informers.scans, lost=lambda key, _: lost(key.name), catches_up=_is_the_written
        )
        self._created = Ahead[ImageScan, ImageScan](informers.scans, lost=lambda key, _: lost(key.name))

    def names(self) -> list[str]:
        """All there are, as far as told."""
        return [key.name for key in self._informers.scans.keys()]  # noqa: SIM118 - a lister, not a dict

    def get(self, name: str) -> ImageScan | None:
        """The object; its status may be older than what `status` answers."""
        key = self._key(name)
        return self._informers.scans.get(key) or self._created.get(key)

    def status(self, name: str) -> ImageScanStatus | None:
        """The status as written last; None without an object."""
        known = self._statuses.get(self._key(name))
        scan = None if known else self.get(name)
        return known or (scan.status if scan else None)

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
        answer = await self._api.apply(IMAGESCANS, self._document(name, {"spec": to_document(spec)}))
        scan = msgspec.convert(answer, ImageScan)
        if self._informers.scans.get(self._key(name)) is None:
            self._created.put(self._key(name), scan)
        return scan

    async def save(self, name: str, status: ImageScanStatus) -> None:
        """Write the status, if it says anything new."""
        if status == self.status(name):
            return
        document = self._document(name, {"status": to_document(status)})
        await self._api.apply(IMAGESCANS, document, subresource="status")
        told = self._informers.scans.get(self._key(name))
        if told is None or told.status != status:  # the informer may have been faster than the answer
            self._statuses.put(self._key(name), status)

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
        await self._api.patch(IMAGESCANS, self._key(name), patch, field_manager=_FIELD_MANAGER_OF_REQUESTS)

    async def save_aliases(self, name: str, digests: tuple[str, ...]) -> None:
        """Write all other digests of the image."""
        patch = {"spec": {"alsoKnownAs": list(digests)}}
        log.info("image_renamed", scan=name, digests=list(digests))
        await self._api.patch(IMAGESCANS, self._key(name), patch, field_manager=_FIELD_MANAGER_OF_NAMES)

    async def delete(self, scan: ImageScan) -> None:
        """Delete the object; what belongs to it goes with it."""
        await self._api.delete(IMAGESCANS, scan.metadata.key, uid=scan.metadata.uid)
        self._statuses.pop(scan.metadata.key)
        self._created.pop(scan.metadata.key)

    def _key(self, name: str) -> ObjectKey:
        return ObjectKey(self._namespace, name)

    def _document(self, name: str, part: dict[str, Any]) -> dict[str, Any]:
        return {
            "apiVersion": IMAGESCANS.api_version,
            "kind": IMAGESCANS.kind,
            "metadata": {"name": name, "namespace": self._namespace},
            **part,
        }


def _is_the_written(written: ImageScanStatus, old: ImageScan | None, new: ImageScan | None) -> bool:
    replaced = old is not None and (new is None or new.metadata.uid != old.metadata.uid)
    return replaced or (new is not None and new.status == written)
