"""Sender: messages on their way to one endpoint, one after the other, at the pace that it takes them.

Whoever may call takes a ``turn``, then sends. What fails for now slows everybody down; what is refused does
not, and is the answer for that message alone.

Promises: nothing is sent without access, nor while the gate is shut; what an endpoint does not take is told
by log, once, by metric, and by ``problem``. Access can change at any time: a message under way keeps the old.
Not here: one call (``notify.delivery``); what is sent, and what follows (``notify.channel``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager

import structlog

from trivyop.control.clock import Clock
from trivyop.errors import TransientError
from trivyop.notify.delivery import Access, Courier, RefusedError
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.formats import Message
from trivyop.notify.metrics import WebhookMetrics
from trivyop.notify.pace import Pace

log = structlog.get_logger(__name__)


class Sender:
    """Sends to one endpoint; ``use`` gives it access, ``close`` takes it away for good."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock,
        rng: random.Random,
        metrics: WebhookMetrics,
        check_gate: Callable[[], None],
        on_denied: Callable[[], None] | None,
    ) -> None:
        """``check_gate`` raises ``TransientError`` while nothing may be sent: another one leads, say."""
        self.pace = Pace(clock, rng)
        self._endpoint = endpoint
        self._clock = clock
        self._metrics = metrics
        self._check_gate = check_gate
        self._on_denied = on_denied
        self._courier: Courier | None = None
        self._usable = asyncio.Event()
        self._unusable: str | None = "not configured yet"
        self._failing: str | None = None
        self._refusing: str | None = None

    @property
    def problem(self) -> str | None:
        """What keeps messages from the endpoint, or what it does not take; None if all is well."""
        return self._unusable or self._failing or self._refusing

    async def use(self, access: Access | None, problem: str | None = None) -> None:
        """Send by that from now on; without it nothing is sent, and ``problem`` says why."""
        await self.close()
        self._unusable = problem
        if access is None:
            return
        self._courier = Courier(access, clock=self._clock, concurrency=self._endpoint.concurrency)
        self._refusing = None
        self.pace.hurry()
        self._usable.set()

    async def close(self, *, at_once: bool = False) -> None:
        """Send no more; what is under way comes to its end, unless that is to be ``at_once``."""
        self._usable.clear()  # first, because the others run while the old connections are closed
        courier, self._courier = self._courier, None
        if courier is not None:
            await (courier.close() if at_once else courier.retire())

    async def wait_usable(self) -> None:
        """Wait until there is access."""
        await self._usable.wait()

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for leave to call."""
        return self.pace.turn()

    async def send(self, messages: Iterable[Message]) -> RefusedError | None:
        """Send them in order; a refused one, which is returned, does not keep back the others.

        Raises ``TransientError``: then nothing is known of some of them.
        """
        refusal: RefusedError | None = None
        for message in messages:
            try:
                await self._send(message)
            except RefusedError as error:
                refusal = error
        return refusal

    async def send_patiently(self, messages: Iterable[Message]) -> RefusedError | None:
        """Send them, for as long as it takes."""
        refusal: RefusedError | None = None
        for message in messages:
            while True:
                await self._usable.wait()
                try:
                    async with self.turn():
                        await self._send(message)
                except TransientError:
                    await asyncio.sleep(0)
                    continue
                except RefusedError as error:
                    refusal = error
                break
        return refusal

    async def _send(self, message: Message) -> None:
        courier, name = self._courier, self._endpoint.name
        if courier is None:
            raise TransientError(f"endpoint {name!r} cannot be used: {self._unusable}")
        try:
            self._check_gate()
        except TransientError:
            self.pace.fails()  # so that everybody waits
            raise
        began, result = self._clock.monotonic(), "failed"
        try:
            async with courier.in_use():
                await courier.send(message)
        except TransientError as error:
            self._fails(error)
            raise
        except RefusedError as error:
            result = "refused"
            self._works()
            self._refuses(error)
            raise
        else:
            result = "delivered"
            self._works()
            self._refusing = None
        finally:
            now = self._clock.monotonic()
            self._metrics.tried(name, result, now - began, self._clock.now().timestamp())

    def _works(self) -> None:
        self.pace.works()
        if self._failing is not None:
            log.info("webhook_recovered", endpoint=self._endpoint.name)
        self._failing = None

    def _fails(self, error: TransientError) -> None:
        self.pace.fails(error.retry_after)
        if self._failing is None:
            log.warning("webhook_failing", endpoint=self._endpoint.name, error=str(error))
        self._failing = str(error)

    def _refuses(self, error: RefusedError) -> None:
        if self._refusing is None:
            log.warning("webhook_refused", endpoint=self._endpoint.name, error=str(error))
        self._refusing = str(error)
        if error.status in (401, 403) and self._on_denied is not None:
            self._on_denied()
