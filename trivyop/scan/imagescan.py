"""ImageScan: one image to scan, as an object of the API; spec is what to scan, status is what came of it.

Promises: names are a function of what is scanned (digest, platform, and the namespace or variant when results
are not for everybody), so two reconciles that want the same scan name the same object. Names are valid label
values, since Jobs point back with a label.
Not here: what the next step for an ImageScan is.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Any

import msgspec

from trivyop.kube.objects import Object
from trivyop.workload.images import ImageName

MAX_REQUESTED_BY = 10
MAX_NAME = 63


class Phase(StrEnum):
    """Where an ImageScan stands."""

    PENDING = "Pending"  # not looked at yet
    QUEUED = "Queued"  # waits for a slot
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    UNDELIVERED = "Undelivered"  # the scan succeeded, and the server does not take a report of it
    FAILED = "Failed"


class ResultSource(StrEnum):
    """Where the present result came from."""

    SCAN = "Scan"
    REMATCH = "Rematch"
    ADOPTED = "Adopted"  # reports that were there before us


class _Struct(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    pass


class Requester(_Struct, frozen=True, kw_only=True):
    """A container that runs the image."""

    kind: str
    namespace: str = ""
    name: str
    container: str


class ImageScanSpec(_Struct, frozen=True, kw_only=True):
    image: str
    digest: str = ""
    platform: str = ""
    namespace: str = ""  # whose credentials and whose result, when scans are not shared
    also_known_as: tuple[str, ...] = ()  # other digests of the image, from nodes
    rescan_after: str = ""  # RFC 3339; a result older than this does not count
    requested_by: tuple[Requester, ...] = ()  # at most ``MAX_REQUESTED_BY`` of them
    requesters: int = 0  # how many there are


class Scanner(_Struct, frozen=True, kw_only=True):
    version: str = ""


class Database(_Struct, frozen=True, kw_only=True):
    version: int = 0
    updated_at: str = ""


class Summary(_Struct, frozen=True, kw_only=True, omit_defaults=False):
    critical_count: int = 0
    high_count: int = 0
    medium_count: int = 0
    low_count: int = 0
    unknown_count: int = 0
    secret_count: int = 0


class OperatingSystem(_Struct, frozen=True, kw_only=True):
    family: str = ""
    name: str = ""


class Condition(_Struct, frozen=True, kw_only=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class ImageScanStatus(_Struct, frozen=True, kw_only=True):
    """Times are RFC 3339 in UTC with seconds; "" is absent."""

    phase: Phase = Phase.PENDING
    reason: str = ""  # of a failure: its class
    message: str = ""
    scan_reason: str = ""  # why it is queued, or was scanned or matched last: a ``lifecycle.Reason``
    attempts: int = 0
    consecutive_failures: int = 0
    last_attempt: str = ""
    last_success: str = ""
    next_retry: str = ""
    next_refresh: str = ""
    job: str = ""
    digest: str = ""
    reference: str = ""  # what was scanned, before mirrors: "repository@sha256:..."
    image_id: str = ""  # the digest of the image's configuration
    scanner: Scanner | None = None
    database: Database | None = None
    settings_hash: str = ""
    source: ResultSource | None = None
    summary: Summary | None = None
    os: OperatingSystem | None = None
    conditions: tuple[Condition, ...] = ()


class ImageScan(Object, frozen=True, rename="camel", kw_only=True):
    """An ImageScan as informers keep it."""

    spec: ImageScanSpec
    status: ImageScanStatus = ImageScanStatus()


def to_document(value: ImageScanSpec | ImageScanStatus) -> dict[str, Any]:
    """The spec or status as the JSON values that the API would send; absent fields are left out."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return {"phase": value.phase.value, **document} if isinstance(value, ImageScanStatus) else document


_DIGEST = re.compile(r"([a-z0-9]+):([0-9a-f]{32,})")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_DIGITS_OF_IMAGE = 32  # hex digits, 128 bits
_DIGITS_OF_EXTRA = 8


def image_scan_name(
    digest: str, platform: str | None, namespace: str | None = None, *, variant: str = ""
) -> str:
    """Name of the ImageScan of a digest: ``sha256-<32 hex digits>-linux-arm64-v8``.

    ``namespace`` is given when scans are not shared, ``variant`` when a workload wants its image scanned in
    a way of its own (see ``job.scan_variant``); both end up as one short hash at the end.
    """
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise ValueError(f"{digest!r} is not a digest")
    return _named(f"{match[1]}-{match[2][:_DIGITS_OF_IMAGE]}", platform, namespace, variant)


def image_scan_name_by_reference(
    image: ImageName, platform: str | None, namespace: str | None = None, *, variant: str = ""
) -> str:
    """Name of the ImageScan of an image whose digest no node has reported: ``ref-<32 hex digits>-...``."""
    hashed = hashlib.sha256(str(image).encode()).hexdigest()[:_DIGITS_OF_IMAGE]
    return _named(f"ref-{hashed}", platform, namespace, variant)


def _named(image: str, platform: str | None, namespace: str | None, variant: str) -> str:
    parts = [image]
    if platform:
        parts.append(_NOT_IN_NAMES.sub("-", platform.lower()).strip("-"))
    if namespace is not None or variant:
        extra = f"{namespace or ''}\0{variant}"
        parts.append(hashlib.sha256(extra.encode()).hexdigest()[:_DIGITS_OF_EXTRA])
    name = "-".join(part for part in parts if part)
    if len(name) <= MAX_NAME:
        return name
    # A platform nobody knows: keep the image readable, hash the rest.
    hashed = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS_OF_EXTRA]
    return f"{image}-{hashed}"
