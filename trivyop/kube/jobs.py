"""Jobs that the operator makes, as informers keep them: how far one got, and why it failed.

Whose work it does is in labels and annotations, which each kind of Job reads for itself.
Not here: how a Job is made; the Jobs of users, which are workloads (``objects.py``).
"""

from __future__ import annotations

import msgspec

from trivyop.kube.objects import Object


class JobCondition(msgspec.Struct, frozen=True, gc=False):
    """A condition of a Job's status."""

    type: str
    status: str = ""
    reason: str = ""
    message: str = ""


class JobStatus(msgspec.Struct, frozen=True, gc=False):
    """How far a Job got."""

    conditions: tuple[JobCondition, ...] = ()
    active: int = 0  # pods that wait or run


class OwnJob(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    """A Job that the operator made."""

    status: JobStatus = JobStatus()

    @property
    def going(self) -> bool:
        """Whether it is being deleted; it may be there for a while yet, and does not count."""
        return self.metadata.deletion_timestamp is not None

    @property
    def failed(self) -> JobCondition | None:
        """The condition that says why it failed, if it did."""
        return self._condition("Failed")

    @property
    def finished(self) -> bool:
        return (self.failed or self._condition("Complete")) is not None

    @property
    def suspended(self) -> bool:
        """Whether somebody holds it back: then it has no pod, and should not."""
        return self._condition("Suspended") is not None

    def _condition(self, type_: str) -> JobCondition | None:
        return next(
            (one for one in self.status.conditions if one.type == type_ and one.status == "True"), None
        )
