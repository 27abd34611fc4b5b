"""Notifications: the endpoints that are configured, each with its channel, fed by changes in the cluster.

Endpoints come from the ConfigMap ``trivyop-webhooks`` in the operator's namespace, which is watched, and from
the Go operator's settings. The Secrets that they refer to are read again every minute, when the ConfigMap
changes, and when a receiver rejects our credentials. A channel whose endpoint stays the same goes on; one
whose Secrets changed gets new access; any other change starts a new channel, which finds in its ledger what
was delivered.

Promises: a bad endpoint, or a channel that crashes, harms no other endpoint, and never the operator. A
problem is reported once by log, metric and Event, and by ``problem`` as long as it lasts. Runs on the leader
only.
Not here: what a channel does (``notify.channel``), what has changed (``changes.py``).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import structlog

from trivyop.control.backoff import Backoff
from trivyop.control.clock import Clock, Timer, deadline
from trivyop.controllers.concern import Concern
from trivyop.controllers.context import ControllerContext
from trivyop.controllers.informers import Informers
from trivyop.controllers.webhooks.changes import ChangeTracker
from trivyop.controllers.webhooks.tombstones import Tombstones, watch_all
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.events import EventRecorder, ObjectReference
from trivyop.kube.informer import Informer, InformerMetrics
from trivyop.kube.objects import Object
from trivyop.kube.resources import CONFIGMAPS, ObjectKey
from trivyop.notify.channel import Channel
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.endpoints import Parsed, default_endpoint, parse_endpoints
from trivyop.notify.events import Subject
from trivyop.notify.formats import FORMATS
from trivyop.notify.ledger.ledger import Ledger
from trivyop.notify.metrics import WebhookMetrics
from trivyop.notify.secrets import Secrets, build_access, read_secrets, refs_of
from trivyop.notify.transport import RefusedError
from trivyop.notify.validation import EndpointError
from trivyop.settings import Settings

log = structlog.get_logger(__name__)

WEBHOOKS_CONFIG = "trivyop-webhooks"
ENDPOINTS_KEY = "endpoints"
_REFRESH_SECONDS = 60.0
_SOON_SECONDS = 5.0  # a receiver that refuses everything must not have us read Secrets all the time
_RETRY_SECONDS = 10.0


class _Config(Object, frozen=True, rename="camel", kw_only=True):
    data: dict[str, str] | None = None


@dataclass(slots=True)
class _Running:
    """A channel at work."""

    channel: Channel
    task: asyncio.Task[None]
    access: str = ""  # the fingerprint, or the problem, that it was given last
    refused: set[int] = field(default_factory=set[int])  # the answers that an Event was made of


class Notifications(Concern):
    """All endpoints; ``run`` serves them."""

    name = "webhooks"

    def __init__(
        self,
        api: Api,
        informers: Informers,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        events: EventRecorder,
        clock: Clock,
        rng: random.Random,
        metrics: WebhookMetrics,
        informer_metrics: InformerMetrics | None = None,
    ) -> None:
        self._api = api
        self._settings = settings
        self._environ = environ
        self._events = events
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._namespace = settings.operator.namespace
        self._tombstones = Tombstones(api, clock=clock, rng=rng)
        self._tombstones.add_handler(lambda subject: self._changed(subject, False))
        self._tombstones.add_lost_handler(lambda endpoint: metrics.dropped(endpoint, "body"))
        self._changes = ChangeTracker(api, informers, self._tombstones)
        self._config: Informer[_Config] = Informer(
            api,
            CONFIGMAPS,
            _Config,
            namespace=self._namespace,
            field_selector=f"metadata.name={WEBHOOKS_CONFIG}",
            clock=clock,
            metrics=informer_metrics,
        )
        self._config.add_handler(lambda _key, _old, _new: self._look_again.set())
        self._look_again = asyncio.Event()
        self._channels: dict[str, _Running] = {}
        self._problems: dict[str, EndpointError] = {}
        self._trouble: str | None = None
        self._watching: asyncio.Task[None] | None = None
        self._soon: Timer | None = None

    @classmethod
    def of(cls, context: ControllerContext) -> Self:
        """The endpoints of the cluster, with what the environment of this process has for them."""
        notifications = cls(
            context.api,
            context.informers,
            context.settings,
            environ=os.environ,
            events=context.events,
            clock=context.clock,
            rng=context.rng,
            metrics=WebhookMetrics(context.registry),
            informer_metrics=context.metrics.informers,
        )
        context.health.mention("webhooks", notifications.problem)
        return notifications

    def problem(self) -> str | None:
        """What is wrong with endpoints, for people; None if all are well."""
        problems = [str(error) for error in self._problems.values()]
        for name, running in self._channels.items():
            if name not in self._problems and running.channel.problem is not None:
                problems.append(_naming(name, running.channel.problem))
        if self._trouble:
            problems.append(self._trouble)
        return "; ".join(problems) or None

    @property
    def idle(self) -> bool:
        """Whether every endpoint has received everything."""
        return all(running.channel.idle for running in self._channels.values())

    async def run(self) -> None:
        """Serve all endpoints, until cancelled."""
        self._changes.listen(self._changed, self._compare)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._config.run(), name="webhooks/config")
            await self._config.wait_settled()
            while True:
                self._look_again.clear()
                try:
                    await self._refresh(group)
                except TransientError as error:
                    self._trouble = f"the Secrets of endpoints cannot be read: {error}"
                else:
                    self._trouble = None
                with suppress(TimeoutError):
                    async with deadline(self._clock, _REFRESH_SECONDS):
                        await self._look_again.wait()

    # what changes

    def _changed(self, subject: Subject, gone: bool) -> None:
        for name, running in self._channels.items():
            to_come = gone and running.channel.endpoint.deletes
            running.channel.changed(
                subject, body_to_come=to_come and not self._changes.has_tombstone(subject, name)
            )

    def _compare(self) -> None:
        for running in self._channels.values():
            running.channel.compare()

    def _denied(self) -> None:
        """A receiver rejects our credentials: look soon whether the Secrets have changed."""
        if self._soon is None:
            self._soon = self._clock.call_later(_SOON_SECONDS, self._look_now)

    def _look_now(self) -> None:
        self._soon = None
        self._look_again.set()

    def _refused(self, name: str, subject: Subject, error: RefusedError) -> None:
        running = self._channels.get(name)
        note = f"{error} (first: {subject}); it is not sent again until it, or the endpoint, changes"
        if running is not None and error.status not in running.refused:  # their words may differ each time
            running.refused.add(error.status)
            self._warn("WebhookRefused", note)

    # how it is configured

    async def _refresh(self, group: asyncio.TaskGroup) -> None:
        """Bring the channels in line with the configuration; raises ``TransientError``."""
        parsed = self._read()
        secrets = await read_secrets(self._api, self._namespace, parsed.endpoints)
        problems = {error.endpoint: error for error in parsed.problems}
        wanted = {endpoint.name: endpoint for endpoint in parsed.endpoints}
        for name, running in list(self._channels.items()):
            if wanted.get(name) != running.channel.endpoint:
                await self._stop(name)
        for name, endpoint in wanted.items():
            running = self._channels.get(name) or self._start(endpoint, group)
            try:
                await self._give_access(running, secrets)
            except EndpointError as error:
                problem = error
            except Exception as error:  # a bug of ours; it must not take the operator along
                problem = EndpointError(name, "", f"cannot be set up, a bug: {type(error).__name__}")
                if running.access != str(problem):
                    log.exception("webhook_access_crashed", endpoint=name)
            else:
                continue
            problems[name] = problem
            if running.access != str(problem):
                running.access = str(problem)
                await running.channel.use(None, str(problem))
        self._report_problems(problems)
        self._watch_deletions(group)

    def _read(self) -> Parsed:
        endpoints: list[Endpoint] = []
        problems: list[EndpointError] = []
        try:
            default = default_endpoint(self._settings)
        except EndpointError as error:
            problems.append(error)
        else:
            endpoints += [default] if default is not None else []
        config = self._config.store.get(ObjectKey(self._namespace, WEBHOOKS_CONFIG))
        data = (config.data if config is not None else None) or {}
        parsed = parse_endpoints(data.get(ENDPOINTS_KEY, ""))
        problems += parsed.problems
        problems += [
            EndpointError("*", key, f"is not a key of ConfigMap {WEBHOOKS_CONFIG} (allowed: {ENDPOINTS_KEY})")
            for key in data
            if key != ENDPOINTS_KEY
        ]
        return Parsed((*endpoints, *parsed.endpoints), tuple(problems))

    async def _give_access(self, running: _Running, secrets: Secrets) -> None:
        endpoint = running.channel.endpoint
        access = build_access(endpoint, secrets, self._environ, now=self._clock.now())
        if access.fingerprint != running.access:
            if running.access:
                log.info("webhook_access_renewed", endpoint=endpoint.name)
            running.access = access.fingerprint
            running.refused.clear()
            await running.channel.use(access)

    def _start(self, endpoint: Endpoint, group: asyncio.TaskGroup) -> _Running:
        log.info("webhook_started", endpoint=endpoint.name, format=endpoint.format)
        channel = Channel(
            endpoint,
            FORMATS[endpoint.format],
            Ledger(self._api, self._namespace, endpoint.name, self._changes.kinds, clock=self._clock),
            self._changes,
            clock=self._clock,
            rng=self._rng,
            metrics=self._metrics,
            check_gate=self._api.check_gate,
            on_refused=lambda subject, error: self._refused(endpoint.name, subject, error),
            on_denied=self._denied if any(refs_of(endpoint)) else None,
        )
        task = group.create_task(self._keep_running(channel), name=f"webhooks/{endpoint.name}")
        running = self._channels[endpoint.name] = _Running(channel, task)
        self._tombstones.audience = self._audience()
        return running

    async def _keep_running(self, channel: Channel) -> None:
        backoff = Backoff(self._rng, base_seconds=_RETRY_SECONDS, max_seconds=600.0)
        while True:
            try:
                await channel.run()
            except Exception:  # a bug of ours; it must not take the operator along
                log.exception("webhook_channel_crashed", endpoint=channel.endpoint.name)
            if (running := self._channels.get(channel.endpoint.name)) is not None:
                running.access = ""
                self._look_again.set()
            await self._clock.sleep(backoff.failed())

    async def _stop(self, name: str) -> None:
        running = self._channels.pop(name)
        running.task.cancel()
        await asyncio.wait([running.task])  # unlike awaiting it, this ends when we are cancelled ourselves
        self._tombstones.audience = self._audience()
        log.info("webhook_stopped", endpoint=name)

    def _audience(self) -> frozenset[str]:
        return frozenset(name for name, running in self._channels.items() if running.channel.endpoint.deletes)

    def _watch_deletions(self, group: asyncio.TaskGroup) -> None:
        """Watch deletions while an endpoint wants to receive them."""
        if self._tombstones.audience and self._watching is None:
            self._watching = group.create_task(
                watch_all(self._tombstones, self._changes.scopes), name="webhooks/deletions"
            )
        elif not self._tombstones.audience and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _report_problems(self, problems: dict[str, EndpointError]) -> None:
        for name, error in problems.items():
            known = self._problems.get(name)
            if known is None or str(known) != str(error):
                log.warning("webhook_misconfigured", endpoint=name, error=str(error))
                self._warn("WebhookMisconfigured", str(error))
            if name not in self._channels:
                self._metrics.unusable(name)
        for name in self._problems.keys() - problems.keys():
            log.info("webhook_configured", endpoint=name)
            if name not in self._channels:
                self._metrics.usable(name)
        self._problems = problems

    def _warn(self, reason: str, note: str) -> None:
        config = self._config.store.get(ObjectKey(self._namespace, WEBHOOKS_CONFIG))
        key = ObjectKey(self._namespace, WEBHOOKS_CONFIG)
        uid = config.metadata.uid if config is not None else ""
        reference = ObjectReference(CONFIGMAPS.api_version, CONFIGMAPS.kind, key, uid)
        self._events.event(reference, "Warning", reason, note)


def _naming(name: str, problem: str) -> str:
    return problem if problem.startswith("endpoint ") else f"endpoint {name!r}: {problem}"
