"""The cluster's own components: their bill of materials, and the vulnerabilities that are known of them.

One key stands for the whole cluster. What changes (a pod of the control plane, a node, the version of the API
server) is gathered for a moment, or for a minute while more changes, then the bill of materials is made anew;
what it lists is matched here, by Trivy, when that is another, when there is a newer database, when the report
is gone, and when it is old. Another node like those that there are is nothing else to match.

Promises: a pod counts once, whatever labels it has. There is one bill of materials; that of an earlier
version of Kubernetes is deleted. A failure has an Event on the bill of materials and a metric, and
tried again. What was matched when is not kept across restarts: a start matches once, and writes what is new.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import structlog
from structlog.contextvars import bound_contextvars

from trivyop.audit.nodes.commands import detect_platform
from trivyop.control.queue import Priority
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.metrics import ClusterComponentMetrics
from trivyop.controllers.nodes.matchdue import Match, MatchInputs, decide_match
from trivyop.controllers.reports import Refusal
from trivyop.controllers.selecting import build_options
from trivyop.kube.events import ObjectReference
from trivyop.kube.objects import Object
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    CLUSTERVERSIONS,
    CLUSTERVULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.report import keys
from trivyop.report.findings import Sbom
from trivyop.report.hashing import compute_hash
from trivyop.report.kbom import (
    KBOM,
    build_cluster_vulnerability_report,
    build_kbom_report,
    cluster_vulnerabilities_name,
    kbom_name,
)
from trivyop.report.stored import StoredReport
from trivyop.scan.kbom import ClusterParts, Component, build_kbom, component_of, distinct, matched_of
from trivyop.scan.podconfig import ScanVariant
from trivyop.settings.images import tag_without_digest
from trivyop.trivy.failures import Failure, ScanError
from trivyop.trivy.retries import next_retry
from trivyop.workload.nodes import HOSTNAME_LABEL, ClusterNode
from trivyop.workload.objects import Pod
from trivyop.workload.owners import WorkloadKind

log = structlog.get_logger(__name__)

CLUSTER = "cluster"
"""The one key."""

_DISTRIBUTIONS = frozenset({"eks", "gke", "aks", "ocp"})  # that vulnerabilities are published for
_SETTLE_SECONDS = 3.0  # in which more changes are awaited
_PAUSE_SECONDS = 60.0  # between two looks because of changes, which a rollout on all nodes brings for long
_REFUSED_SECONDS = 3600.0


class ClusterComponents:
    """Reconciles the reports on the cluster."""

    def __init__(self, context: ControllerContext, matcher: Matcher) -> None:
        self._api = context.api
        self._informers = context.informers
        self._openshift = context.discovery.serves(CLUSTERVERSIONS)
        self._reports = context.reports
        self._matcher = matcher
        self._settings = context.settings
        self._options = build_options(context.settings)
        self.queue = context.queue("clustercomponents", str)
        self._clock = context.clock
        self._rng = context.rng
        self._events = context.events
        self._metrics = ClusterComponentMetrics(context.registry)
        self._components: dict[ObjectKey, Component] = {}
        self._name = ""  # of the bill of materials
        self._looked_at = -_PAUSE_SECONDS
        self._written: dict[ObjectKey, str] = {}  # content hashes of the reports
        self._matched: Match | None = None
        self._tried: Match | None = None  # in vain
        self._failures = 0
        self._retry_at = 0.0
        self._refused_until = 0.0

    # events

    def listen(self) -> None:
        """Begin to look at what changes; call it once all stores are filled."""
        pods = self._informers.workloads[WorkloadKind.POD]
        for pod in pods.values():
            self._note(pod.key, pod)
        pods.add_handler(self._pod_changed, replay=False)
        self._informers.nodes.add_handler(self._node_changed, replay=False)
        self._informers.reports[CLUSTERSBOMREPORTS].add_handler(self._report_changed)
        self._informers.reports[CLUSTERVULNERABILITYREPORTS].add_handler(self._report_changed)
        self.queue.add(CLUSTER, Priority.BACKLOG)

    def look(self) -> None:
        """Have the cluster looked at: there is a newer database."""
        self.queue.add(CLUSTER, Priority.REFRESH)

    def names(self) -> tuple[str, ...]:
        return (CLUSTER,)

    def _note(self, key: ObjectKey, pod: Pod | None) -> bool:
        """Remember what a pod is; whether that is something new."""
        component = component_of(pod) if pod is not None else None
        before = self._components.pop(key, None)
        if component is not None:
            self._components[key] = component
        return component != before

    def _pod_changed(self, key: ObjectKey, _: Pod | None, new: Pod | None) -> None:
        if self._note(key, new):
            self._look_soon()

    def _node_changed(self, _: ObjectKey, old: ClusterNode | None, new: ClusterNode | None) -> None:
        if old is None or new is None or _shown(old) != _shown(new):
            self._look_soon()

    def _look_soon(self) -> None:
        pause = self._looked_at + _PAUSE_SECONDS - self._clock.monotonic()
        self.queue.add_after(CLUSTER, max(_SETTLE_SECONDS, pause))

    def _report_changed(self, key: ObjectKey, old: StoredReport | None, new: StoredReport | None) -> None:
        if new is not None and new.content_hash == self._written.get(key):
            return
        ours = not self._name or self._name in key.name
        if ours and (new is None or (old is not None and new.content_hash != old.content_hash)):
            self.queue.add(CLUSTER, Priority.USER)

    # reconciling

    async def reconcile(self, _: str) -> float | None:
        """Bring the reports up to date; returns seconds until the next look."""
        if self._reports.is_off(CLUSTERSBOMREPORTS):
            return None
        self._looked_at = self._clock.monotonic()
        version = (await self._api.version()).get("gitVersion", "")
        components, nodes = tuple(self._components.values()), tuple(self._informers.nodes.values())
        # With thousands of nodes it takes a second.
        tag, bom, report = await asyncio.to_thread(self._build, version, components, nodes, self._clock.now())
        refusal = await self._write(CLUSTERSBOMREPORTS, report)
        if refusal is not None:
            return self._refused(refusal)
        name = kbom_name(tag)
        if name != self._name:
            await self._delete_others(name)
            self._name = name
        return await self._keep_matched(tag, bom)

    def _build(
        self, version: str, components: tuple[Component, ...], nodes: tuple[ClusterNode, ...], now: datetime
    ) -> tuple[str, Sbom, dict[str, Any]]:
        """The tag, the bill of materials and the report on it; runs in a thread."""
        nodes = tuple(sorted(nodes, key=lambda node: node.metadata.name))
        names = [node.metadata.name for node in nodes]
        platform = detect_platform(version, names, openshift=self._openshift)
        parts = ClusterParts(
            version=version,
            components=distinct(components),
            nodes=nodes,
            distribution=platform if platform in _DISTRIBUTIONS else "",
        )
        scanner = tag_without_digest(self._settings.trivy.tag)
        bom = build_kbom(parts, scanner_version=scanner, now=now)
        report = build_kbom_report(parts.tag, bom, self._options, scanner_version=scanner, now=now)
        return parts.tag, bom, report

    async def _write(self, resource: Resource, report: dict[str, Any]) -> Refusal | None:
        meta = report["metadata"]
        self._written[ObjectKey("", meta["name"])] = meta["annotations"][keys.CONTENT_HASH]
        return await self._reports.write_object(resource, report)

    async def _delete_others(self, name: str) -> None:
        """Delete the bills of materials of other versions."""
        selector = f"{keys.SBOM_TYPE}={KBOM},{keys.MANAGED_BY}={keys.MANAGED_BY_VALUE}"
        listing = await self._api.list(
            CLUSTERSBOMREPORTS, type=Object, label_selector=selector, metadata_only=True
        )
        for there in listing.items:
            if there.metadata.name != name:
                await self._api.delete(CLUSTERSBOMREPORTS, there.key, uid=there.metadata.uid)
                log.info("cluster_sbom_deleted", report=there.metadata.name)

    async def _keep_matched(self, tag: str, bom: Sbom) -> float | None:
        """Match if that is due."""
        if not self._matcher.usable or self._reports.is_off(CLUSTERVULNERABILITYREPORTS):
            return None  # until there is a database
        owner = self._reports.get(CLUSTERSBOMREPORTS, ObjectKey("", kbom_name(tag)))
        if owner is None:
            return _REFUSED_SECONDS
        matched = await asyncio.to_thread(matched_of, bom)
        inputs = self._gather(tag, owner, matched)
        seconds, reason = decide_match(inputs)
        if seconds is None or seconds > 0:
            return seconds
        with bound_contextvars(because=reason.value):
            return await self._match(tag, bom, owner, inputs.this)

    async def _match(self, tag: str, bom: Sbom, owner: StoredReport, this: Match) -> float | None:
        try:
            result = await self._matcher.match(bom, ScanVariant())
        except ScanError as error:
            return self._failed(owner, this, error.failure)
        report = build_cluster_vulnerability_report(
            tag,
            owner.uid,
            result.findings,
            self._options,
            spec_hash=compute_hash(this.matched),
            now=self._clock.now(),
        )
        refusal = await self._write(CLUSTERVULNERABILITYREPORTS, report)
        self._matched, self._tried, self._failures = this, None, 0
        self._metrics.matches.labels("succeeded").inc()
        if refusal is not None:
            self._refused_until = this.at + _REFUSED_SECONDS
            return self._refused(refusal)
        log.info("cluster_components_matched", report=report["metadata"]["name"])
        return decide_match(self._gather(tag, owner, this.matched)).seconds

    def _gather(self, tag: str, owner: StoredReport, matched: str) -> MatchInputs:
        """What decides on a match; `matched` is what of the bill of materials counts."""
        key = ObjectKey("", cluster_vulnerabilities_name(tag))
        report = self._reports.get(CLUSTERVULNERABILITYREPORTS, key)
        return MatchInputs(
            Match(matched, self._matcher.database_updated, self._clock.monotonic()),
            self._matched,
            self._tried,
            retry_at=self._retry_at,
            reported=report is not None and report.owner_uid == owner.uid,
            refused_until=self._refused_until,
            ttl_seconds=self._settings.reports.ttl_seconds,
        )

    # failures

    def _refused(self, refusal: Refusal) -> float:
        log.warning("cluster_report_refused", report=str(refusal.key), error=str(refusal.error))
        return _REFUSED_SECONDS

    def _failed(self, owner: StoredReport, this: Match, why: Failure) -> float | None:
        self._failures += 1
        self._tried = this
        seconds = next_retry(why.failure_class, self._failures, self._rng)
        self._retry_at = self._clock.monotonic() + (seconds or 0.0)
        self._metrics.matches.labels("failed").inc()
        log.warning("cluster_components_not_matched", failure=why.failure_class.value, message=why.message)
        about = ObjectReference(CLUSTERSBOMREPORTS.api_version, CLUSTERSBOMREPORTS.kind, owner.key, owner.uid)
        self._events.event(about, "Warning", "MatchFailed", f"{why.failure_class}: {why.advice}")
        return seconds


def _shown(node: ClusterNode) -> object:
    hostname = (node.metadata.labels or {}).get(HOSTNAME_LABEL)
    return hostname, node.is_control_plane, node.status.node_info
