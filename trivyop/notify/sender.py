"""Sender: sends messages to one endpoint, one after the other, behind a circuit breaker.

A caller takes a ``turn``, then sends. A transient failure opens the circuit for all callers; a refusal does
not, and concerns that message alone.

Promises: nothing is sent without access, nor while the gate is shut. What an endpoint does not accept shows
in the log, once, in the metrics, and in ``problem``. Access can change at any time: a message under way keeps
the old one.
Not here: one call (``notify.transport``); the back-off of a single message that alone fails
(``notify.outbox``); what is sent, and what follows (``notify.channel``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog

from trivyop.control.clock import Clock
from trivyop.errors import TransientError
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.formats import Message
from trivyop.notify.metrics import WebhookMetrics
from trivyop.notify.outbox import build_backoff
from trivyop.notify.transport import Access, RefusedError, Transport

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
        """``check_gate`` raises ``TransientError`` while nothing may be sent: another replica leads, say."""
        self.breaker = CircuitBreaker(clock, rng)
        self._endpoint = endpoint
        self._clock = clock
        self._metrics = metrics
        self._check_gate = check_gate
        self._on_denied = on_denied
        self._transport: Transport | None = None
        self._usable = asyncio.Event()
        self._unusable: str | None = "not configured yet"
        self._failing: str | None = None
        self._refusing: str | None = None

    @property
    def problem(self) -> str | None:
        """Why messages do not reach the endpoint, or what it refuses; None if all is well."""
        return self._unusable or self._failing or self._refusing

    async def use(self, access: Access | None, problem: str | None = None) -> None:
        """Use ``access`` from now on; with None nothing is sent, and ``problem`` says why."""
        await self.close()
        self._unusable = problem
        if access is None:
            return
        self._transport = Transport(access, clock=self._clock, concurrency=self._endpoint.concurrency)
        self._refusing = None
        self.breaker.allow_now()
        self._usable.set()

    async def close(self, *, at_once: bool = False) -> None:
        """Stop sending; with ``at_once`` also cut off the messages under way."""
        self._usable.clear()  # first, because the others run while the old connections are closed
        transport, self._transport = self._transport, None
        if transport is not None:
            await (transport.close() if at_once else transport.retire())

    async def wait_usable(self) -> None:
        """Wait until there is access."""
        await self._usable.wait()

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait until a call is allowed, and hold the permission for the block."""
        return self.breaker.turn()

    async def send(self, messages: Iterable[Message]) -> RefusedError | None:
        """Send them in order; a refused one, which is returned, does not keep back the others.

        Raises ``TransientError``; then some of them may have arrived.
        """
        refusal: RefusedError | None = None
        for message in messages:
            try:
                await self._send(message)
            except RefusedError as error:
                refusal = error
        return refusal

    async def send_until_answered(self, messages: Iterable[Message]) -> RefusedError | None:
        """Send them, and try again for as long as it takes."""
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
        transport, name = self._transport, self._endpoint.name
        if transport is None:
            raise TransientError(f"endpoint {name!r} cannot be used: {self._unusable}")
        try:
            self._check_gate()
        except TransientError:
            self.breaker.open()  # so that everybody waits
            raise
        began, result = self._clock.monotonic(), "failed"
        try:
            async with transport.in_use():
                await transport.send(message)
        except TransientError as error:
            self._failed(error)
            raise
        except RefusedError as error:
            result = "refused"
            self._answered()
            self._was_refused(error)
            raise
        else:
            result = "delivered"
            self._answered()
            self._refusing = None
        finally:
            now = self._clock.monotonic()
            self._metrics.tried(name, result, now - began, self._clock.now().timestamp())

    def _answered(self) -> None:
        self.breaker.close()
        if self._failing is not None:
            log.info("webhook_recovered", endpoint=self._endpoint.name)
        self._failing = None

    def _failed(self, error: TransientError) -> None:
        self.breaker.open(error.retry_after)
        if self._failing is None:
            log.warning("webhook_failing", endpoint=self._endpoint.name, error=str(error))
        self._failing = str(error)

    def _was_refused(self, error: RefusedError) -> None:
        if self._refusing is None:
            log.warning("webhook_refused", endpoint=self._endpoint.name, error=str(error))
        self._refusing = str(error)
        if error.status in (401, 403) and self._on_denied is not None:
            self._on_denied()


class CircuitBreaker:
    """Calls of one endpoint: at will while it works, one at a time while it does not.

    After a failure all callers wait, with full jitter, twice as long on average after each further one; then
    one tries, and its success closes the circuit for all. A pause that the receiver asks for is respected. An
    endpoint that is down is called by one caller at a time, in the end at most every few minutes.
    """

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._backoff = build_backoff(rng)
        self._clock = clock
        self._rng = rng
        self._not_before = 0.0
        self._alone = asyncio.Lock()

    @property
    def failures(self) -> int:
        """How many calls have failed in a row; 0 while the circuit is closed."""
        return self._backoff.failures

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Wait until a call is allowed, and hold the permission for the block."""
        if not self.failures:
            yield
            return
        async with self._alone:
            while self.failures and (wait := self._not_before - self._clock.monotonic()) > 0:
                await self._clock.sleep(wait)
            yield

    def close(self) -> None:
        """The endpoint has answered: close the circuit."""
        self._backoff.succeeded()

    def open(self, at_least: float | None = None) -> None:
        """The endpoint has not answered, or has asked for a pause of ``at_least`` seconds."""
        now = self._clock.monotonic()
        if not self.failures or now >= self._not_before:  # calls that were under way together count once
            self._not_before = now + self._backoff.failed()
        if at_least is not None:
            self._not_before = max(self._not_before, now + at_least * self._rng.uniform(1, 1.1))

    def allow_now(self) -> None:
        """Let the next caller try at once, because a change may have helped."""
        self._not_before = 0.0
