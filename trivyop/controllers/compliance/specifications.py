"""Specifications: the ClusterComplianceReports, watched, and their statuses, written.

A status is applied to the status subresource, so that the fields of the specification stay those of who wrote
it. What trivy-operator wrote there is taken over first, and nothing of it stays behind.

Promises: what `get` says of a status is never older than what was written here. One that was deleted
meanwhile, or replaced by another of its name, is not written.
Not here: what a status says (``trivyop.compliance.status``), and when one is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
import structlog

from trivyop.compliance.resource import ComplianceReport, SaidStatus
from trivyop.compliance.specification import Specification, Unreadable, parse_specification
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.lister import Lister
from trivyop.controllers.overlay import Overlay
from trivyop.errors import NotFoundError
from trivyop.kube.client import FIELD_MANAGER
from trivyop.kube.events import ObjectReference
from trivyop.kube.informer import Informer
from trivyop.kube.ownership import take_over
from trivyop.kube.resources import CLUSTERCOMPLIANCEREPORTS, ObjectKey

log = structlog.get_logger(__name__)

_KIND: Final = CLUSTERCOMPLIANCEREPORTS
_STATUS: Final = "status"


@dataclass(frozen=True, slots=True)
class Held:
    """What is kept of a ClusterComplianceReport."""

    uid: str
    asked: Specification | Unreadable
    said: SaidStatus

    @property
    def name(self) -> str:
        return self.asked.name

    @property
    def reference(self) -> ObjectReference:
        return ObjectReference(_KIND.api_version, _KIND.kind, ObjectKey("", self.name), self.uid)


class Specifications:
    """The ClusterComplianceReports of a cluster, by name; `run` the informer."""

    def __init__(self, context: ControllerContext, changed: Callable[[str], None]) -> None:
        """`changed` is called with the name of one that came, changed or went."""
        self._api = context.api
        self._clock = context.clock
        self._informer: Informer[Held] = Informer(
            context.api,
            _KIND,
            ComplianceReport,
            transform=self._hold,
            clock=context.clock,
            metrics=context.metrics.informers,
            streaming=None,
        )
        self._lister = Lister(_KIND, {"": self._informer})
        self._written = Overlay[tuple[str, SaidStatus], Held](
            self._lister, lost=lambda key, _: changed(key.name), catches_up=_is_the_written
        )
        self._changed = changed

    def listen(self) -> None:
        """Begin to look at what changes; `changed` is called for all that there are."""
        self._lister.add_handler(lambda key, _old, _new: self._changed(key.name))

    def names(self) -> Iterator[str]:
        return (key.name for key in self._lister.keys())  # noqa: SIM118 - a lister is no dict

    def get(self, name: str) -> Held | None:
        key = ObjectKey("", name)
        held, written = self._lister.get(key), self._written.get(key)
        if held is None or written is None or written[0] != held.uid:
            return held
        return replace(held, said=written[1])

    async def wait_settled(self) -> None:
        """Wait for the first list, or a refusal that says why there is none."""
        await self._informer.wait_settled()

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._informer.run()

    async def read_status(self, held: Held) -> dict[str, Any]:
        """The whole status; empty if there is none, or nobody to have one."""
        found = await self._api.get_dict(_KIND, ObjectKey("", held.name)) or {}
        return found.get(_STATUS) or {}

    async def write(self, held: Held, status: dict[str, Any]) -> bool:
        """Write a status; False if there is nobody any more to have it.

        Raises ``ConflictError`` if it was replaced by another of its name, ``TooLargeError``.
        """
        key = ObjectKey("", held.name)
        if held.said.foreign:
            await self._adopt(key)
        body = {
            "apiVersion": _KIND.api_version,
            "kind": _KIND.kind,
            "metadata": {"name": held.name, "uid": held.uid},
            _STATUS: status,
        }
        try:
            await self._api.apply(_KIND, body, subresource=_STATUS, metadata_only=True)
        except NotFoundError:
            return False
        said = SaidStatus.parse(orjson.dumps(status))
        observed = self._lister.get(key)
        if observed is None or observed.said != said:  # the informer may have been faster than the answer
            self._written.put(key, (held.uid, said))
        return True

    async def _adopt(self, key: ObjectKey) -> None:
        """Own the fields of a status that another program wrote, so that applying ours leaves none behind."""
        there = await self._api.get(_KIND, key, dict[str, Any], metadata_only=True)
        if there is None:
            return
        log.info("report_adopted", kind=_KIND.kind, report=str(key))
        meta = there["metadata"]
        entries = take_over(meta.get("managedFields") or (), FIELD_MANAGER, _STATUS, subresource=_STATUS)
        patch = {"metadata": {"managedFields": entries, "resourceVersion": meta["resourceVersion"]}}
        await self._api.patch(_KIND, key, patch)

    def _hold(self, report: ComplianceReport) -> Held:
        asked = parse_specification(report, now=self._clock.now())
        return Held(report.metadata.uid, asked, SaidStatus.parse(report.status))


def _is_the_written(written: tuple[str, SaidStatus], old: Held | None, new: Held | None) -> bool:
    """Whether the informer has caught up: with what was written, or with another of that name."""
    return new is None or (new.uid, new.said) == written or (old is not None and old.uid != new.uid)
