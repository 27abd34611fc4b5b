"""Leader election: of several replicas one leads, the one that holds a Lease.

A candidate takes the Lease when nobody holds it, or when its holder has not renewed it for the Lease's
duration, as counted here since the last change was seen, so that clocks need not agree. The leader renews it
every few seconds. It stops writing some seconds before others may take the Lease (``write_gate``), whether it
lost it or could just not reach the server: each write gets no more time than is left until then. A server
that is away, busy, or says that we may not (it starts) is asked again until then; so is one that has another
version of the Lease, as long as that names us: the answer to a renewal was lost, or its storage went back.

Promises: two candidates never may write at the same time, provided that they measure the length of a second
alike. ``keep`` ends when the Lease is lost.
Not here: what a leader does; that is stopped by whoever awaits ``keep``.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from trivyop.control.clock import Clock, deadline
from trivyop.errors import AlreadyExistsError, ConflictError, NotFoundError, TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.resources import LEASES, ObjectKey
from trivyop.kube.times import format_precise

log = structlog.get_logger(__name__)


class NotLeaderError(TransientError):
    """A write was stopped, because another replica may lead by now."""


class LeadershipLostError(TransientError):
    """The Lease is somebody else's, or could not be renewed in time."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. A standby leads ``lease`` + ``retry`` after its leader's last sign of life at the latest."""

    lease: float = 10.0  # how long a Lease counts after its last renewal
    margin: float = 3.0  # how long before its end writes stop
    retry: float = 2.0  # between two looks at the Lease, and two renewals
    hurry: float = 0.4  # after a renewal that failed: a server that starts says no for a second or two


class LeaderElection:
    """One candidate; ``identity`` is different for each process that ever runs."""

    def __init__(
        self,
        api: Api,
        key: ObjectKey,
        identity: str,
        *,
        clock: Clock,
        rng: random.Random,
        timing: Timing | None = None,
    ) -> None:
        self.identity = identity
        self._api = api
        self._key = key
        self._clock = clock
        self._rng = rng
        self._timing = timing or Timing()
        self._writes_until = float("-inf")  # by the monotonic clock
        self._lease: dict[str, Any] | None = None  # as the server holds it, while it is ours
        self._seen: tuple[str, str] | None = None  # holder and version of another's Lease
        self._seen_at = 0.0

    @property
    def leads(self) -> bool:
        """Whether writes are allowed now."""
        return self._clock.monotonic() < self._writes_until

    def write_gate(self) -> float:
        """The seconds a write may take; ``NotLeaderError`` when there are none left."""
        left = self._writes_until - self._clock.monotonic()
        if left <= 0:
            raise NotLeaderError(f"{self.identity} does not lead (any more)")
        return left

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        logged = ""
        while True:
            try:
                holder = await self._try_to_take()
            except ConflictError:
                holder = "another candidate"
            except TransientError as error:
                holder = str(error)
            if holder is None:
                log.info("leading", lease=str(self._key), identity=self.identity)
                return
            if holder != logged:
                log.info("standing_by", lease=str(self._key), holder=holder)
                logged = holder
            await self._clock.sleep(self._timing.retry * self._rng.uniform(0.8, 1.0))

    async def keep(self) -> None:
        """Renew the Lease until cancelled; ``LeadershipLostError`` when it is not ours any more."""
        pause = self._timing.retry
        while True:
            await self._clock.sleep(pause)
            try:
                async with deadline(self._clock, max(0.0, self._writes_until - self._clock.monotonic())):
                    await self._renew()
            except (TransientError, TerminalError, TimeoutError) as error:
                if isinstance(error, (LeadershipLostError, NotFoundError)) or not self.leads:
                    self._give_up()
                    why = str(error) or "no answer in time"
                    log.warning("leadership_lost", lease=str(self._key), error=why)
                    raise LeadershipLostError(f"lost {self._key}: {why}") from error
                if pause != self._timing.hurry:
                    log.info("lease_not_renewed", lease=str(self._key), error=str(error))
                pause = self._timing.hurry
            else:
                pause = self._timing.retry

    async def release(self) -> None:
        """Give the Lease back, so that a standby need not wait; writes stop first. Never raises."""
        lease = self._lease
        self._give_up()
        if lease is None:
            return
        with suppress(TransientError, TerminalError, TimeoutError):
            async with asyncio.timeout(3):
                await self._put(
                    {**lease, "spec": {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}
                )
                log.info("lease_released", lease=str(self._key))

    def _give_up(self) -> None:
        self._writes_until = float("-inf")
        self._lease = None

    async def _try_to_take(self) -> str | None:
        """Take the Lease if it is free; answers with its holder if not."""
        began = self._clock.monotonic()
        there = await self._api.get_dict(LEASES, self._key)
        if there is None:
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._key.name, "namespace": self._key.namespace},
                "spec": {**self._claim(), "leaseTransitions": 0},
            }
            try:
                self._hold(await self._api.create(LEASES, body), began)
            except AlreadyExistsError:
                return "another candidate"
            return None
        spec: dict[str, Any] = there.get("spec") or {}
        holder: str = spec.get("holderIdentity") or ""
        seconds = float(spec.get("leaseDurationSeconds") or 0)
        ours = holder == self.identity  # the answer to an earlier try was lost
        if holder and not ours and not self._has_expired(there, holder, seconds):
            return holder
        transitions = int(spec.get("leaseTransitions") or 0) + (not ours)
        claimed = {**there, "spec": {**spec, **self._claim(), "leaseTransitions": transitions}}
        began = self._clock.monotonic()
        self._hold(await self._put(claimed), began)
        return None

    def _has_expired(self, lease: dict[str, Any], holder: str, seconds: float) -> bool:
        version: str = lease["metadata"]["resourceVersion"]
        now = self._clock.monotonic()
        if self._seen != (holder, version):
            self._seen, self._seen_at = (holder, version), now
        return now - self._seen_at >= seconds

    async def _renew(self) -> None:
        lease = self._lease
        if lease is None:
            raise LeadershipLostError("the Lease was given back")
        try:
            await self._put_renewed(lease)
        except ConflictError as error:
            there = await self._api.get_dict(LEASES, self._key)
            spec: dict[str, Any] = (there or {}).get("spec") or {}
            holder: str = spec.get("holderIdentity") or ""
            if there is None or holder != self.identity:
                raise LeadershipLostError(f"{holder or 'nobody'} holds it") from error
            await self._put_renewed(there)

    async def _put_renewed(self, lease: dict[str, Any]) -> None:
        began = self._clock.monotonic()
        renewed = {**lease, "spec": {**lease["spec"], "renewTime": self._stamp()}}
        self._hold(await self._put(renewed), began)

    async def _put(self, lease: dict[str, Any]) -> dict[str, Any]:
        return await self._api.replace(LEASES, self._key, lease)

    def _hold(self, lease: dict[str, Any], began: float) -> None:
        """The Lease is ours; it counts from when the request began, not from when the answer came."""
        self._lease = lease
        self._writes_until = began + self._timing.lease - self._timing.margin

    def _claim(self) -> dict[str, Any]:
        stamp = self._stamp()
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": round(self._timing.lease),
            "acquireTime": stamp,
            "renewTime": stamp,
        }

    def _stamp(self) -> str:
        return format_precise(self._clock.now())
