"""The concern of report metrics: what is counted from reports, and the reading of what must be read."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from trivyop.controllers.concern import Concern
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.series.labels import ResourceLabels
from trivyop.controllers.series.reader import SeriesReader, Unread
from trivyop.controllers.series.rendering import ReportSeries
from trivyop.report.kinds import family_labels, wanted_families

log = structlog.get_logger(__name__)

_NAME = "report-series"


class Series(Concern):
    """The metrics that are counted from reports; every replica reads reports, so that it can take over."""

    name = _NAME

    def __init__(self, context: ControllerContext) -> None:
        settings, listers = context.settings, context.informers.reports
        families = wanted_families(settings.metrics)
        labels = ResourceLabels(
            settings.reports.resource_labels, settings.metrics.resource_labels_prefix, family_labels()
        )
        for problem in labels.problems:
            log.warning("setting_odd", problem=problem)
        queue = context.queue(_NAME, Unread)
        reader = SeriesReader(context.api, listers, families, queue, context.registry)
        self._series = ReportSeries(
            listers,
            reader,
            families,
            labels=labels,
            limit=settings.metrics.series_limit,
            merged_roles=settings.audit.merge_rbac_findings,
            active=context.active,
            registry=context.registry,
        )
        self._controller = context.controller(_NAME, reader.read, queue, reader.keys)

    def chunks(self) -> Iterator[bytes]:
        """The metrics, as the text of a scrape."""
        return self._series.chunks()

    async def watch(self) -> None:
        await self._controller.run()
