"""Change tracker: what endpoints may have to be notified of, read from the informers' stores.

The content hash of a report says whether it has changed; it is in an annotation. A report without one (of
another program) has to be read from the API to find out. A failed scan counts as a change once for each class
of failure, until a scan of the image succeeds. Documents are read from the API only when they are sent.

Promises: a report counts as deleted only where its kind can be watched, so that missing permissions and
changed namespaces delete nothing at the receivers.
Not here: who is notified (``notifications.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson

from trivyop.controllers.informers import Informers
from trivyop.controllers.lister import Lister
from trivyop.controllers.webhooks.tombstones import Tombstones
from trivyop.kube.client import Api
from trivyop.kube.resources import IMAGESCANS, ObjectKey, Resource
from trivyop.kube.times import time_or_none
from trivyop.notify.events import Change, Event, Marker, ScanFailed, Subject, Verb
from trivyop.report import keys
from trivyop.report.content import content_hash
from trivyop.report.stored import StoredReport
from trivyop.scan.imagescan import ImageScan, Phase

_BATCH = 500
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_VOLATILE = ("updateTimestamp",)


class ChangeTracker:
    """The present state of reports and scans; a ``notify.events.Source``."""

    def __init__(self, api: Api, informers: Informers, tombstones: Tombstones) -> None:
        self._api = api
        self._tombstones = tombstones
        self._reports: Mapping[Resource, Lister[StoredReport]] = informers.reports
        self._scans: Lister[ImageScan] = informers.scans

    @property
    def kinds(self) -> tuple[Resource, ...]:
        """The kinds of objects that endpoints can be notified of."""
        return (*self._reports, IMAGESCANS)

    @property
    def scopes(self) -> list[tuple[Resource, str]]:
        """The kinds of reports, each with every namespace that is watched on its own."""
        return [(resource, scope) for resource, lister in self._reports.items() for scope in lister.scopes]

    def listen(self, changed: Callable[[Subject, bool], None], compare: Callable[[], None]) -> None:
        """Call ``changed`` with what may have changed, and whether it is gone; ``compare`` after a gap."""
        for resource, lister in self._reports.items():
            lister.add_handler(_handler(resource, changed))
            lister.add_recovery_handler(compare)
        self._scans.add_handler(_handler(IMAGESCANS, changed))

    # the source

    def marker(self, subject: Subject) -> Marker | None:
        if subject.resource == IMAGESCANS:
            scan = self._scans.get(subject.key)
            if scan is None or scan.status.phase is not Phase.FAILED:
                return None
            return Marker(scan.metadata.uid, _failure(scan))
        lister = self._reports.get(subject.resource)
        report = None if lister is None else lister.get(subject.key)
        return None if report is None else Marker(report.uid, report.content_hash)

    def certain(self, subject: Subject) -> bool:
        if subject.resource == IMAGESCANS:
            scan = self._scans.get(subject.key)
            done = (Phase.SUCCEEDED, Phase.UNDELIVERED)
            return scan is None or scan.status.phase in done  # else it runs again
        lister = self._reports.get(subject.resource)
        if lister is None or lister.missing or not lister.synced:
            return False
        namespace = subject.key.namespace
        return lister.scope_of(namespace) in lister.scopes and lister.problem_in(namespace) is None

    def batches(self) -> Iterator[Sequence[Subject]]:
        for resource, lister in (*self._reports.items(), (IMAGESCANS, self._scans)):
            present: Iterator[ObjectKey] = iter(list(lister.keys()))
            while batch := list(islice(present, _BATCH)):
                yield [Subject(resource, key) for key in batch]

    async def read(self, subject: Subject) -> Event | None:
        resource, key = subject
        if resource == IMAGESCANS:
            scan = self._scans.get(key)
            return None if scan is None else _failed(scan)
        document = await self._api.get_dict(resource, key)
        if document is None:
            return None
        uid = document["metadata"].get("uid", "")
        return Change(Verb.UPDATE, resource, key, uid, hash_of(document), document)

    def tombstone(self, subject: Subject, endpoint: str) -> Change | None:
        return self._tombstones.get(subject, endpoint)

    def has_tombstone(self, subject: Subject, endpoint: str) -> bool:
        return self._tombstones.has(subject, endpoint)

    def settled(self, subject: Subject, endpoint: str) -> None:
        self._tombstones.settled(subject, endpoint)


def hash_of(document: Mapping[str, Any]) -> str:
    """The content hash of a report: that of its annotation, else computed."""
    meta: dict[str, Any] = document["metadata"]
    annotations: dict[str, str] = meta.get("annotations") or {}
    if known := annotations.get(keys.CONTENT_HASH):
        return known
    if isinstance(document.get("report"), dict):
        return content_hash({**document, "metadata": {**meta, "annotations": annotations}})
    content = {
        "labels": meta.get("labels"),
        "spec": document.get("spec"),
        "status": _stable(document.get("status")),
    }
    data = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _stable(status: Any) -> Any:
    if not isinstance(status, dict):
        return status
    return {key: value for key, value in status.items() if key not in _VOLATILE}  # pyright: ignore[reportUnknownVariableType]


def _failure(scan: ImageScan) -> str:
    """The same for the same class of failure, until a scan succeeds."""
    return f"{scan.status.reason} {scan.status.last_success}"


def _failed(scan: ImageScan) -> ScanFailed | None:
    status = scan.status
    if status.phase is not Phase.FAILED:
        return None
    return ScanFailed(
        scan=scan.key,
        uid=scan.metadata.uid,
        image=scan.spec.image,
        digest=scan.spec.digest or status.digest,
        platform=scan.spec.platform,
        reason=status.reason,
        message=status.message,
        attempts=status.attempts,
        workloads=tuple(f"{one.kind}/{one.namespace}/{one.name}" for one in scan.spec.requested_by),
        at=time_or_none(status.last_attempt) or _NEVER,
        content_hash=_failure(scan),
    )


def _handler(
    resource: Resource, changed: Callable[[Subject, bool], None]
) -> Callable[[ObjectKey, Any, Any], None]:
    def handler(key: ObjectKey, _: Any, new: Any) -> None:
        changed(Subject(resource, key), new is None)

    return handler
