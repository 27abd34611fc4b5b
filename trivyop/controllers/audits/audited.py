"""Audited objects: what of the cluster is audited, as little of each object as tells when that is due.

Workloads are resolved from the shared informers. Other kinds have an informer here, which keeps a uid and a
state (`trivyop.workload.audited`) for each object: those that settings list, and those that custom policies
name, which may be kinds of the user's own. The latter come and go with the policies, and with their
definitions.

Promises: a kind that may not be read, or that the server does not have, is named in `problems` and audited
once it can be; a change that checks cannot see is not told of.
Not here: what is done about a change (`reconciler.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from trivyop.audit.policies import audited_as
from trivyop.control.clock import Clock
from trivyop.controllers.audits.kinds import NOT_AUDITED, OTHER_KINDS, AuditRef, Held, hold
from trivyop.controllers.informers import Informers
from trivyop.controllers.lister import Lister
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery, discover
from trivyop.kube.informer import Informer, InformerMetrics
from trivyop.kube.objects import Object
from trivyop.kube.resources import (
    CRDS,
    INGRESSES,
    NETWORKPOLICIES,
    ObjectKey,
    Resource,
)
from trivyop.workload.audited import Document, object_state
from trivyop.workload.owners import WorkloadKind, WorkloadRef
from trivyop.workload.resolve import Reason, Skipped, concerned, resolve
from trivyop.workload.selection import Selection

log = structlog.get_logger(__name__)

# Of these, metadata tells all. Custom kinds count generations, too, but those of an aggregated API need not.
_BY_GENERATION = frozenset({INGRESSES, NETWORKPOLICIES, CRDS})
_REDISCOVERY_SECONDS = 60.0


class Audited(msgspec.Struct, frozen=True, gc=False):
    """An object that is audited."""

    uid: str
    state: str


@dataclass(slots=True)
class _Source:
    """One of those kinds."""

    name: str
    resource: Resource
    lister: Lister[Held]
    running: list[asyncio.Task[None]]


Changed = Callable[[AuditRef, bool], None]
"""Is told of what may be due, and whether the object is new."""


class AuditedObjects:
    """Everything that is audited; `run` it."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        discovery: Discovery,
        *,
        selection: Selection,
        kinds: Iterable[str],
        clock: Clock,
        metrics: InformerMetrics | None = None,
    ) -> None:
        """`selection` is that of audits; `kinds` are those of `OTHER_KINDS` to audit without a policy."""
        self._api = api
        self._informers = informers
        self._discovery = discovery
        self._selection = selection
        self._clock = clock
        self._metrics = metrics
        self._changed: Changed | None = None
        self._group: asyncio.TaskGroup | None = None
        self._sources: dict[str, _Source] = {}
        self._settled = frozenset(kinds)
        self._named: frozenset[str] = frozenset()
        self._unknown: frozenset[str] = frozenset()
        self._wanting = asyncio.Event()  # there are kinds that the server did not have when asked
        for kind in sorted(self._settled):
            self._add(kind, OTHER_KINDS[kind])

    # what there is

    def get(self, ref: AuditRef) -> Audited | Skipped | None:
        """The state of an object, or why it is not audited; None if it is not to be seen."""
        if ref.kind in set(WorkloadKind):
            return self._workload(WorkloadKind(ref.kind), ref.key)
        source = self._sources.get(ref.kind)
        if source is None:
            return Skipped(Reason.KIND)
        held = source.lister.get(ref.key)
        if held is None:
            return None
        return Skipped(held.left_out) if held.left_out is not None else Audited(held.uid, held.state)

    def _workload(self, kind: WorkloadKind, key: ObjectKey) -> Audited | Skipped | None:
        found = resolve(kind, key, self._informers.listers, self._selection)
        if found is None or isinstance(found, Skipped):
            return found
        obj = self._informers.listers.of(kind).get(key)
        return None if obj is None else Audited(found.uid, object_state(obj, found.api_version))

    def resource(self, ref: AuditRef) -> Resource:
        """Where the API server keeps an object for which `get` had an answer."""
        if ref.kind in set(WorkloadKind):
            return WorkloadKind(ref.kind).resource
        return self._sources[ref.kind].resource

    def all(self) -> Iterator[AuditRef]:
        """Everything that might be audited."""
        for kind in self._selection.kinds:
            for key in self._informers.workloads[kind].keys():  # noqa: SIM118 - a lister is no dict
                yield AuditRef(kind.value, key)
        for source in self._sources.values():
            for key in source.lister.keys():  # noqa: SIM118
                yield AuditRef(source.name, key)

    def families(self) -> Iterator[tuple[str, str]]:
        """Version and kind of all that is audited if there is any."""
        for kind in sorted(self._selection.kinds):
            yield kind.resource.api_version, kind.value
        for source in self._sources.values():
            yield source.resource.api_version, source.resource.kind

    def absent_kinds(self) -> frozenset[str]:
        """The kinds that are audited and of which the cluster has no object, as far as that can be said."""
        listers = {kind.value: self._informers.workloads[kind] for kind in self._selection.kinds}
        listers |= {source.resource.kind: source.lister for source in self._sources.values()}
        return frozenset(
            kind
            for kind, lister in listers.items()
            if lister.scopes == ("",) and lister.synced and not lister.problem and not len(lister)
        )

    def is_named(self, kind: str) -> bool:
        """Whether policies name this kind; if it is not audited then, the server does not tell of it."""
        return kind in self._named

    @property
    def waiting_for(self) -> list[str]:
        """The kinds whose first list is not complete, and that no refusal explains."""
        return [source.name for source in self._sources.values() if not source.lister.synced]

    def problems(self) -> list[str]:
        """What is to be audited and cannot be, and why."""
        return [
            f"{source.resource.name}: {source.lister.problem}"
            for source in self._sources.values()
            if source.lister.problem
        ]

    def why_not(self, kind: str) -> str:
        """Why nothing of a kind is audited that a policy names; "" if it is, or may be."""
        if kind in self._unknown:
            return "which the server does not have"
        if kind in {"Node", "NodeInfo"}:
            return "and nodes are only audited by the checks of Trivy"
        if audited_as(kind) in set(WorkloadKind) - self._selection.kinds:
            return "which trivy.supportedConfigAuditKinds or OPERATOR_TARGET_WORKLOADS leaves out"
        return ""

    # which kinds

    def add_policy_kinds(self, kinds: Iterable[str]) -> None:
        """Audit these kinds as well, instead of those of the last call."""
        known = NOT_AUDITED | set(WorkloadKind)
        self._named = frozenset(kinds) - known - self._settled
        self._sort_out()

    def _sort_out(self) -> None:
        """Have a source for each resource that is called what policies name, and no other."""
        wanted: dict[str, Resource] = {}
        unknown: set[str] = set()
        for kind in sorted(self._named):
            builtin = OTHER_KINDS.get(kind)
            found = (builtin,) if builtin is not None else self._discovery.called(kind)
            if not found:
                unknown.add(kind)
            for place, resource in enumerate(found):
                wanted[kind if place == 0 else f"{kind}.{resource.group}"] = resource
        for name in [name for name in self._sources if name not in self._settled and name not in wanted]:
            self._remove(name)
        for name, resource in wanted.items():
            if name not in self._sources:
                self._add(name, resource)
        if unknown - self._unknown:
            log.warning("policy_kind_unknown", kinds=sorted(unknown))
        self._unknown = frozenset(unknown)
        if unknown:
            self._wanting.set()
        else:
            self._wanting.clear()

    def _add(self, name: str, resource: Resource) -> None:
        watched = self._selection.namespaces.watched if resource.namespaced else ("",)
        informers = {
            namespace: Informer(
                self._api,
                resource,
                Document,
                namespace=namespace,
                metadata_only=resource in _BY_GENERATION,
                transform=lambda document: hold(document, resource, self._selection),
                clock=self._clock,
                metrics=self._metrics,
                streaming=None,
            )
            for namespace in watched
        }
        source = self._sources[name] = _Source(name, resource, Lister(resource, informers), [])
        if self._changed is not None:
            self._tell_of(source)
        self._start(source)

    def _remove(self, name: str) -> None:
        source = self._sources.pop(name)
        for task in source.running:
            task.cancel()
        if self._metrics is not None:
            for informer in source.lister.informers:
                self._metrics.detach(informer)
        if self._changed is not None:
            for key in list(source.lister.keys()):
                self._changed(AuditRef(name, key), False)

    # events

    def listen(self, changed: Changed) -> None:
        """Tell of what may be due from now on; call it once, when all stores are filled."""
        self._changed = changed
        for kind, lister in self._informers.workloads.items():
            lister.add_handler(self._handler_of(kind))
        for source in self._sources.values():
            self._tell_of(source)

    def _tell_of(self, source: _Source) -> None:
        def told(key: ObjectKey, old: Held | None, _new: Held | None) -> None:
            if self._changed is not None:
                self._changed(AuditRef(source.name, key), old is None)

        source.lister.add_handler(told)

    def _tell(self, ref: WorkloadRef, *, new: bool) -> None:
        if self._changed is not None and ref.kind in self._selection.kinds:
            self._changed(AuditRef(ref.kind.value, ref.key), new)

    def _handler_of(self, kind: WorkloadKind) -> Callable[[ObjectKey, Any, Any], None]:
        def changed(key: ObjectKey, old: Object | None, new: Object | None) -> None:
            objects = filter(None, (old, new))
            found = (ref for obj in objects for ref in concerned(kind, obj, self._informers.listers))
            refs = list(dict.fromkeys(found))
            is_pod, stays = kind is WorkloadKind.POD, old is not None and new is not None
            for ref in refs:
                own = ref == WorkloadRef(kind, key)
                if is_pod and stays and not own and len(refs) == 1:
                    continue  # of a pod that somebody controls, only that it is there counts
                self._tell(ref, new=old is None and (own or is_pod))

        return changed

    # running

    async def run(self) -> None:
        """Run the informers until cancelled, and look for kinds that the server did not have."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for source in self._sources.values():
                self._start(source)
            while True:
                await self._wanting.wait()
                await self._clock.sleep(_REDISCOVERY_SECONDS)
                try:
                    self._discovery = await discover(self._api)
                except TransientError as error:
                    log.info("discovery_failed", error=str(error))
                else:
                    self._sort_out()

    def _start(self, source: _Source) -> None:
        if self._group is None or source.running:
            return
        for informer in source.lister.informers:
            name = f"informer/audited/{source.name}"
            source.running.append(self._group.create_task(informer.run(), name=name))

    async def wait_synced(self) -> None:
        """Wait until every informer has its first list, or a refusal that says why it has none."""
        for source in list(self._sources.values()):
            for informer in source.lister.informers:
                await informer.wait_settled()
