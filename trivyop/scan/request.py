"""A request to scan: one attempt at one ImageScan, and the names that follow from it.

Promises: names depend on the ImageScan and the attempt alone, so that creating a thing twice is creating it
once, and every process knows what a result has to be marked with.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from trivyop.scan.credentials import Credential
from trivyop.scan.logins import Logins
from trivyop.scan.podconfig import ScanVariant
from trivyop.workload.images import ImageName


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """One attempt at one ImageScan."""

    scan_name: str
    scan_uid: str
    attempt: int  # from 1
    image: ImageName
    digest: str | None = None
    platform: str | None = None
    namespace: str = ""  # of the workload; where the Job runs if settings say so
    credentials: tuple[Credential, ...] = ()  # best first
    logins: Logins = field(default_factory=Logins)
    variant: ScanVariant = field(default_factory=ScanVariant)
    service_account: str = ""  # of the workload; both are for Jobs in its namespace
    pull_secrets: tuple[str, ...] = ()


def scan_job_name(scan_name: str, attempt: int, scan_uid: str = "") -> str:
    """Name of the Job of an attempt, at most 45 characters, so that pods can add theirs."""
    return f"scan-vulnerabilityreport-{_hash(scan_name, scan_uid)}-{attempt}"


def scan_id(scan_name: str, attempt: int, scan_uid: str = "") -> str:
    """What the attempt's transmission is marked with: scan, attempt, and which object of that name."""
    return f"{scan_name}.{attempt}.{_hash(scan_name, str(attempt), scan_uid)}"


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:10]
