"""Stored reports: the little of each report in the cluster that is kept in memory.

Made from metadata alone (labels and annotations), whatever wrote the report: one of the Go operator has no
digest and no hashes, so it counts as due, and stays until ours replaces it under the same name.

Texts that many reports share are one object in memory; a report takes about 1 KB with its key.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence

import msgspec

from trivyop.kube.objects import Object, controller_of
from trivyop.kube.resources import ObjectKey
from trivyop.report import keys
from trivyop.report.budget import usable_for_matching


class StoredReport(msgspec.Struct, frozen=True, gc=False):
    """One report, without its findings; texts are "" where the report does not say."""

    key: ObjectKey
    uid: str
    owner: str  # the workload it is about: "ReplicaSet/shop/web-5d9c7b8f6d", as ``str(WorkloadRef)``
    owner_uid: str
    container: str
    spec_hash: str
    policies_hash: str  # of an audit: the checks that applied
    digest: str
    platform: str
    settings_hash: str
    content_hash: str
    scanned_at: str  # RFC 3339
    summary: str  # counts, as in the annotation
    fixable: str  # counts of those findings that have a fix, likewise
    image: str  # as in the annotation
    reference: str  # the image as the workload writes it
    os: str  # as in the annotation
    labels: tuple[str, ...]  # values of the labels that were asked for
    revision: str  # the resource version where the metadata tells no counts: then only reading it does
    labelled: bool  # the owner's name is short enough to be a label
    complete: bool  # nothing was left out for its size
    matchable: bool  # of a bill of materials: nothing was left out that matching needs

    @property
    def resource_name(self) -> str:
        """The label of that name; "" where the owner's name is too long for one."""
        return self.owner.rpartition("/")[2] if self.labelled else ""

    @classmethod
    def parse(cls, report: Object, labels_kept: Sequence[str] = ()) -> StoredReport:
        """Read what the metadata tells, and those labels; never fails, because anybody may write labels."""
        meta = report.metadata
        labels = meta.labels or {}
        annotations = meta.annotations or {}
        owner = controller_of(meta)
        label = labels.get(keys.RESOURCE_NAME, "")
        name = label or annotations.get(keys.RESOURCE_NAME, "")
        summary = annotations.get(keys.SUMMARY, "")
        return cls(
            key=meta.key,
            uid=meta.uid,
            owner=sys.intern(f"{labels.get(keys.RESOURCE_KIND, '')}/{meta.namespace}/{name}"),
            owner_uid=sys.intern(owner.uid) if owner else "",
            container=sys.intern(labels.get(keys.CONTAINER_NAME, "")),
            spec_hash=sys.intern(labels.get(keys.SPEC_HASH, "")),
            policies_hash=sys.intern(labels.get(keys.POLICIES_HASH, "")),
            digest=sys.intern(annotations.get(keys.IMAGE_DIGEST, "")),
            platform=sys.intern(annotations.get(keys.PLATFORM, "")),
            settings_hash=sys.intern(annotations.get(keys.SETTINGS_HASH, "")),
            content_hash=annotations.get(keys.CONTENT_HASH, ""),
            scanned_at=sys.intern(annotations.get(keys.SCANNED_AT, "")),
            summary=sys.intern(summary),
            fixable=sys.intern(annotations.get(keys.FIXABLE, "")),
            image=sys.intern(annotations.get(keys.IMAGE, "")),
            reference=sys.intern(annotations.get(keys.REFERENCE, "")),
            os=sys.intern(annotations.get(keys.OS, "")),
            labels=_shared(tuple(labels.get(key, "") for key in labels_kept)) if labels_kept else (),
            revision="" if summary else meta.resource_version,
            labelled=bool(label),
            complete=keys.OMITTED not in annotations,
            matchable=usable_for_matching(annotations),
        )


@functools.lru_cache(maxsize=4096)
def _shared(values: tuple[str, ...]) -> tuple[str, ...]:
    """One tuple for all that are equal; there are as many as owners."""
    return tuple(map(sys.intern, values))
