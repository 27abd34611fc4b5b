"""Custom policies: the ConfigMap `trivy-operator-policies-config`, watched, and what is wrong with it, told.

Each change is handed to the auditor, which tries it and then says which kinds it concerns; those are audited
anew, and kinds that only policies name are begun or left. What is wrong with a policy is an Event on the
ConfigMap, once for each change that brings it.

Promises: without the permission to read it, or without it, there are no custom policies; the former is told.
Not here: what a policy is (`trivyop.audit.policies`).
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from trivyop.audit.auditor import Auditor
from trivyop.audit.policies import ANY_KIND, WORKLOAD, PolicyProblem
from trivyop.control.clock import Clock
from trivyop.controllers.audits.audited import AuditedObjects
from trivyop.kube.client import Api
from trivyop.kube.events import EventRecorder, ObjectReference
from trivyop.kube.informer import Informer, InformerMetrics
from trivyop.kube.objects import Object, ObjectMeta
from trivyop.kube.resources import CONFIGMAPS, ObjectKey

log = structlog.get_logger(__name__)

POLICIES_CONFIG = "trivy-operator-policies-config"


class ConfigMap(Object, frozen=True, gc=False, rename="camel", kw_only=True):
    """A ConfigMap with its texts."""

    data: dict[str, str] | None = None


class PolicyWatch:
    """Keeps the auditor's policies those of the ConfigMap; `run` it."""

    def __init__(
        self,
        api: Api,
        auditor: Auditor,
        audited: AuditedObjects,
        *,
        namespace: str,
        events: EventRecorder,
        clock: Clock,
        metrics: InformerMetrics | None = None,
    ) -> None:
        self._auditor = auditor
        self._audited = audited
        self._events = events
        self._key = ObjectKey(namespace, POLICIES_CONFIG)
        self._look_at: Callable[[frozenset[str] | None], None] | None = None
        self._told: dict[PolicyProblem, str] = {}  # with the version of the ConfigMap
        self._informer = Informer(
            api,
            CONFIGMAPS,
            ConfigMap,
            namespace=namespace,
            field_selector=f"metadata.name={POLICIES_CONFIG}",
            clock=clock,
            metrics=metrics,
        )

    def problem(self) -> str | None:
        """What is wrong with policies, for people; None if nothing is."""
        unreadable = [f"policies: {self._informer.problem}"] if self._informer.problem else []
        problems = [f"policy {one.policy}: {_first_line(one.message)}" for one in self._problems()]
        return "; ".join(unreadable + problems) or None

    async def start(self) -> None:
        """Wait until it is known which policies there are; `run` has to run, and the auditor's."""
        await self._informer.wait_settled()
        self._informer.add_list_handler(self._set)
        self._informer.add_handler(lambda _key, _old, _new: self._set())
        self._auditor.add_problem_handler(
            lambda _problems: self._tell()
        )  # first: that nothing can be tried is a problem, too
        self._set()
        self._tell()
        self._auditor.add_handler(self._changed)
        await self._auditor.wait_ready()
        self._audited.add_policy_kinds(self._kinds())
        self._tell()

    def listen(self, look_at: Callable[[frozenset[str] | None], None]) -> None:
        """Have `look_at` told of the kinds to audit anew, None for all."""
        self._look_at = look_at

    def tell_again(self) -> None:
        """Tell of what is still wrong: the server lets Events go after an hour."""
        self._told = {}
        self._tell()

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._informer.run()

    def _set(self) -> None:
        found = self._informer.store.get(self._key)
        self._auditor.set_policies(None if found is None else found.data or {})

    def _kinds(self) -> set[str]:
        named = {kind for policy in self._auditor.policies.custom for kind in policy.kinds}
        return named - {ANY_KIND, WORKLOAD}

    def _changed(self, kinds: frozenset[str] | None) -> None:
        self._audited.add_policy_kinds(self._kinds())
        self._tell()
        if self._look_at is not None:
            self._look_at(kinds)

    def _problems(self) -> tuple[PolicyProblem, ...]:
        """What is wrong with policies, and with the kinds they are for, sorted by policy."""
        idle = [
            PolicyProblem(policy.name, f"it has no effect on {kind}, {why}")
            for policy in self._auditor.policies.custom
            for kind in sorted(policy.kinds)
            if (why := self._audited.why_not(kind))
        ]
        return tuple(sorted((*self._auditor.problems, *idle)))

    def _tell(self) -> None:
        problems = self._problems()
        found = self._informer.store.get(self._key)
        meta = found.metadata if found is not None else ObjectMeta()  # the bundle may have a problem, too
        version = meta.resource_version
        news = [one for one in problems if self._told.get(one) != version]
        self._told = dict.fromkeys(problems, version)
        about = ObjectReference("v1", "ConfigMap", self._key, meta.uid)
        for one in news:
            self._events.event(about, "Warning", "PolicyProblem", f"policy {one.policy}: {one.message}")


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
