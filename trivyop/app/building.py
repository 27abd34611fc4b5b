"""Building the parts of the operator from its settings.

Promises: building reads and writes nothing; whatever goes wrong with a part later shows up in ``health``.
Not here: when the parts begin and end (``parts.py``, ``operator.py``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from trivyop.app.parts import Parts
from trivyop.audit.nodes.job import CollectorPlace
from trivyop.control.controller import Controller
from trivyop.control.queue import WorkQueue
from trivyop.controllers.audits.parts import Auditing
from trivyop.controllers.audits.strays import delete_switched_off
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.images.delivery import Delivery
from trivyop.controllers.images.imagescans import ImageScans
from trivyop.controllers.images.rematch import Matcher
from trivyop.controllers.images.results import Results
from trivyop.controllers.images.scanjobs import ScanJobs
from trivyop.controllers.images.targets import Targets
from trivyop.controllers.images.workloads import Workloads
from trivyop.controllers.informers import Informers
from trivyop.controllers.metrics import ClusterComponentMetrics, ScanCollector
from trivyop.controllers.nodes.components import ClusterComponents
from trivyop.controllers.nodes.parts import Collecting
from trivyop.controllers.reports import Reports
from trivyop.controllers.selecting import build_options, build_selection
from trivyop.controllers.series.labels import ResourceLabels
from trivyop.controllers.series.reader import SeriesReader, Unread
from trivyop.controllers.series.rendering import ReportSeries
from trivyop.controllers.usage import Usage
from trivyop.controllers.webhooks.notifications import Notifications
from trivyop.kube.client import Api
from trivyop.kube.discovery import Discovery
from trivyop.kube.events import EventRecorder
from trivyop.notify.metrics import WebhookMetrics
from trivyop.report.kinds import family_labels, wanted_families
from trivyop.settings import Settings, settings_hash
from trivyop.workload.owners import WorkloadRef

log = structlog.get_logger(__name__)

_CLUSTER = "clustercomponents"
_SERIES = "report-series"


class Builder:
    """Builds the parts for one API server. `active`: whether this replica is the one that works."""

    def __init__(
        self, api: Api, discovery: Discovery, context: ControllerContext, *, active: Callable[[], bool]
    ) -> None:
        settings = context.settings
        self._api = api
        self._discovery = discovery
        self._context = context
        self._active = active
        self._selection = build_selection(settings)
        self._informers = Informers(
            api,
            discovery,
            operator_namespace=settings.operator.namespace,
            watched_namespaces=self._selection.namespaces.watched,
            jobs_everywhere=settings.scan_job.in_workload_namespace,
            collector_namespace=CollectorPlace.of(settings).namespace if _collects(settings) else None,
            report_labels=settings.reports.resource_labels,
            clock=context.clock,
            metrics=context.informer_metrics,
        )
        self._events = EventRecorder(api, clock=context.clock, metrics=context.event_metrics)
        self._reports = Reports(
            api,
            self._informers,
            budget_bytes=settings.reports.size_budget_bytes,
            clock=context.clock,
            metrics=context.report_metrics,
        )
        self._matcher = Matcher(settings, clock=context.clock, metrics=context.scan_metrics)

    def build(self) -> Parts:
        """Build all parts; once."""
        context, informers = self._context, self._informers
        context.health.mention("permissions", self._permissions)
        context.health.mention("database", lambda: self._matcher.problem)
        usage = Usage()
        targets = Targets(
            informers.listers, informers.sole_platform, usage, context.settings, self._selection
        )
        scan_queue = context.queue("imagescans", str)
        scans = self._scans(targets, scan_queue)
        workload_queue = context.queue("workloads", WorkloadRef)
        workloads = Workloads(
            self._api, informers, usage, targets, self._reports, scans, workload_queue, context.clock
        )
        ScanCollector(context.registry, informers, usage, scans.slots)
        controllers: list[Controller[Any]] = [
            context.controller("workloads", workloads.reconcile, workload_queue, workloads.all),
            context.controller("imagescans", scans.reconcile, scan_queue, scans.names),
        ]
        components = self._components()
        if components is not None:
            controllers.append(
                context.controller(_CLUSTER, components.reconcile, components.queue, components.names)
            )
        series, reading = self._series()
        auditing = self._auditing()
        return Parts(
            informers=informers,
            usage=usage,
            events=self._events,
            matcher=self._matcher,
            workloads=workloads,
            scans=scans,
            series=series,
            reading=reading,
            auditing=auditing,
            collecting=None if auditing is None else self._collecting(auditing),
            components=components,
            notifications=self._notifications(),
            asking=self._reports.denials.run,
            tidying=partial(delete_switched_off, self._api, informers, context.settings, context.clock),
            controllers=tuple(controllers),
        )

    def _permissions(self) -> str | None:
        """What we may not do, for people; None if there is nothing."""
        return "; ".join(filter(None, (self._reports.denials.text(), self._api.permissions.text()))) or None

    def _scans(self, targets: Targets, queue: WorkQueue[str]) -> ImageScans:
        context, settings = self._context, self._context.settings
        options = build_options(settings)
        return ImageScans(
            self._api,
            self._informers,
            targets,
            Delivery(self._informers, self._reports, settings=settings, options=options, clock=context.clock),
            Results(self._api, settings),
            ScanJobs(self._api, self._informers, settings),
            self._matcher,
            settings=settings,
            settings_hash=settings_hash(settings),
            queue=queue,
            clock=context.clock,
            rng=context.rng,
            events=self._events,
            metrics=context.scan_metrics,
        )

    def _components(self) -> ClusterComponents | None:
        context, operator = self._context, self._context.settings.operator
        needs = (operator.sbom_generation_enabled, operator.vulnerability_scanner_enabled)
        if not (operator.cluster_components_enabled and all(needs)):
            return None
        return ClusterComponents(
            self._api,
            self._informers,
            self._discovery,
            self._reports,
            self._matcher,
            settings=context.settings,
            options=build_options(context.settings),
            queue=context.queue(_CLUSTER, str),
            clock=context.clock,
            rng=context.rng,
            events=self._events,
            metrics=ClusterComponentMetrics(context.registry),
        )

    def _auditing(self) -> Auditing | None:
        context = self._context
        if not context.settings.audit.config_audit_enabled:
            return None
        auditing = Auditing(
            self._api, self._discovery, self._informers, self._reports, context, events=self._events
        )
        context.health.require("audits", auditing.waiting_for)
        context.health.mention("audit limits", auditing.limits)
        return auditing

    def _collecting(self, auditing: Auditing) -> Collecting | None:
        if not _collects(self._context.settings):
            return None
        return Collecting(
            self._api,
            self._discovery,
            self._informers,
            self._reports,
            auditing,
            self._context,
            events=self._events,
        )

    def _notifications(self) -> Notifications:
        context = self._context
        notifications = Notifications(
            self._api,
            self._informers,
            context.settings,
            environ=os.environ,
            events=self._events,
            clock=context.clock,
            rng=context.rng,
            metrics=WebhookMetrics(context.registry),
            informer_metrics=context.informer_metrics,
        )
        context.health.mention("webhooks", notifications.problem)
        return notifications

    def _series(self) -> tuple[ReportSeries, Controller[Unread]]:
        """The metrics that are counted from reports, and what reads the reports that have to be read."""
        context, settings = self._context, self._context.settings
        families = wanted_families(settings.metrics)
        labels = ResourceLabels(
            settings.reports.resource_labels, settings.metrics.resource_labels_prefix, family_labels()
        )
        for problem in labels.problems:
            log.warning("setting_odd", problem=problem)
        queue = context.queue(_SERIES, Unread)
        reader = SeriesReader(self._api, self._informers.reports, families, queue, context.registry)
        series = ReportSeries(
            self._informers.reports,
            reader,
            families,
            labels=labels,
            limit=settings.metrics.series_limit,
            merged_roles=settings.audit.merge_rbac_findings,
            active=self._active,
            registry=context.registry,
        )
        return series, context.controller(_SERIES, reader.read, queue, reader.keys)


def _collects(settings: Settings) -> bool:
    """Whether nodes are read."""
    return settings.audit.config_audit_enabled and settings.audit.infra_assessment_enabled
