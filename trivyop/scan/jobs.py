"""Scan Jobs as informers keep them: whose scan it is, which attempt, and how far it got.

Not here: how a Job is made (`job.py`), and what its log says (`framing.py`).
"""

from __future__ import annotations

from datetime import datetime

from trivyop.kube.jobs import OwnJob
from trivyop.kube.times import parse_time
from trivyop.scan.job import ATTEMPT_ANNOTATION, IMAGE_SCAN_LABEL
from trivyop.scan.lifecycle import JobState

SCAN_JOB_SELECTOR = IMAGE_SCAN_LABEL


class ScanJob(OwnJob, frozen=True, gc=False, rename="camel", kw_only=True):
    """A Job that carries the label of an ImageScan."""

    @property
    def scan(self) -> str:
        """The name of the ImageScan it works for."""
        return (self.metadata.labels or {}).get(IMAGE_SCAN_LABEL, "")

    @property
    def attempt(self) -> int:
        """Which attempt of the scan it is, from 1; 0 for a Job that does not say."""
        text = (self.metadata.annotations or {}).get(ATTEMPT_ANNOTATION, "")
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def state(self) -> JobState:
        return JobState.FINISHED if self.finished else JobState.RUNNING

    @property
    def created(self) -> datetime:
        return parse_time(self.metadata.creation_timestamp)
