"""Scan Jobs as informers keep them: whose scan it is, and how far it got.

Not here: how a Job is made (`job.py`), and what its log says (`framing.py`).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from trivyop.kube.objects import Object
from trivyop.scan.job import ATTEMPT_ANNOTATION, IMAGE_SCAN_LABEL
from trivyop.scan.lifecycle import JobState
from trivyop.scan.times import parse_time

SCAN_JOB_SELECTOR = IMAGE_SCAN_LABEL


class JobCondition(msgspec.Struct, frozen=True, gc=False):
    """A condition of a Job's status."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""


class JobStatus(msgspec.Struct, frozen=True, gc=False):
    conditions: tuple[JobCondition, ...] = ()


class ScanJob(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    """A Job that carries the label of an ImageScan."""

    status: JobStatus = JobStatus()

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
    def going(self) -> bool:
        """Whether it is being deleted; it may be there for a while yet, and does not count."""
        return self.metadata.deletion_timestamp is not None

    @property
    def failed(self) -> JobCondition | None:
        """The condition that says why the Job failed, if it did."""
        return self._condition("Failed")

    @property
    def state(self) -> JobState:
        finished = self.failed or self._condition("Complete")
        return JobState.FINISHED if finished else JobState.RUNNING

    @property
    def created(self) -> datetime:
        return parse_time(self.metadata.creation_timestamp)

    def _condition(self, type_: str) -> JobCondition | None:
        return next(
            (one for one in self.status.conditions if one.type == type_ and one.status == "True"), None
        )
