"""Channel: notifies one endpoint; it never waits for another endpoint.

The outbox holds the names of subjects. A few workers take them out, read their present state, send it, and
go on once the ledger has recorded that it was sent. A format that makes digests gets all waiting subjects at
once, every so often. A transient failure is retried for as long as it takes, at a rate that the circuit
breaker limits. A refused message is not retried until the subject, or the endpoint's configuration, changes.

Promises: at least once, in order per subject, the latest state wins. If the ledger can be written, a crash
repeats only what workers held. A comparison of all subjects with the ledger finds what was missed, or did not
fit into the outbox: at the start, after an overflow, when the configuration changed, and on request. ``run``
ends with its cancellation only, and then writes the ledger.
Not here: how messages get to the endpoint (``notify.sender``); where the configuration comes from, and what a
report is (``controllers.webhooks``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from trivyop.control.backoff import Backoff
from trivyop.control.clock import Clock
from trivyop.errors import TerminalError, TransientError
from trivyop.notify.deduplication import Deduplicator, Prepared
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Source, Subject, slimmed
from trivyop.notify.formats import DigestFormat, Format
from trivyop.notify.ledger.ledger import Ledger
from trivyop.notify.metrics import WebhookMetrics
from trivyop.notify.outbox import Outbox
from trivyop.notify.sender import Sender
from trivyop.notify.transport import Access, RefusedError

log = structlog.get_logger(__name__)

DEFAULT_DIGEST_SECONDS = 900.0
_CAPACITY = 10_000
_BODY_SECONDS = 2.0  # how much later than the deletion itself its tombstone may arrive
_MANY = 200  # compared without letting others run
_MAX_NOTES = 5_000  # in one digest
_LAST_FLUSH_SECONDS = 5.0
_NOTHING = 0  # the change of the ledger that need not be waited for

Refused = Callable[[Subject, RefusedError], None]


class Channel:
    """One endpoint; ``use`` gives it access, ``run`` does the work."""

    def __init__(
        self,
        endpoint: Endpoint,
        format: Format | DigestFormat,  # noqa: A002 - the field's word
        ledger: Ledger,
        source: Source,
        *,
        clock: Clock,
        rng: random.Random,
        metrics: WebhookMetrics,
        check_gate: Callable[[], None] = lambda: None,
        on_refused: Refused | None = None,
        on_denied: Callable[[], None] | None = None,
        capacity: int = _CAPACITY,
    ) -> None:
        """``check_gate`` raises ``TransientError`` while nothing may be sent: another one leads, say."""
        self.endpoint = endpoint
        self._format = format
        self._ledger = ledger
        self._source = source
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._on_refused = on_refused
        self._dedup = Deduplicator(
            endpoint,
            ledger,
            source,
            needs_diff=format.needs_diff,
            by_workload=isinstance(format, DigestFormat),
        )
        self._capacity = capacity
        self._outbox = Outbox(clock, rng, capacity=capacity)
        self._sender = Sender(
            endpoint, clock=clock, rng=rng, metrics=metrics, check_gate=check_gate, on_denied=on_denied
        )
        self._compare_wanted = asyncio.Event()
        self._pending = asyncio.Event()  # for digests
        self._loaded = False
        self._comparing = False
        self._unreadable: str | None = None

    @property
    def problem(self) -> str | None:
        """Why messages do not reach the endpoint, or what it refuses; None if all is well."""
        return self._sender.problem or self._unreadable or self._ledger.problem

    @property
    def idle(self) -> bool:
        """Whether the endpoint has received everything, and the ledger has recorded it."""
        if not self._loaded or self._comparing or self._compare_wanted.is_set():
            return False
        return not len(self._outbox) and not self._outbox.overflowed and self._ledger.clean

    # called by others

    async def use(self, access: Access | None, problem: str | None = None) -> None:
        """Use ``access`` from now on; with None nothing is sent, and ``problem`` says why."""
        await self._sender.use(access, problem)
        if access is not None:
            self._dedup.fingerprint = access.fingerprint
            self.compare()

    def changed(self, subject: Subject, *, body_to_come: bool = False) -> None:
        """Look at a subject that may have changed; with ``body_to_come`` its tombstone will follow soon."""
        if not self._loaded or not self._dedup.wants(subject) or not self._dedup.is_due(subject):
            return
        self._dedup.announce(subject)
        if not self._outbox.add(subject, after=_BODY_SECONDS if body_to_come else 0.0):
            self._metrics.dropped(self.endpoint.name, "backlog")
        self._pending.set()

    def compare(self) -> None:
        """Request a comparison of all subjects with the ledger."""
        self._compare_wanted.set()

    # the work

    async def run(self) -> None:
        """Notify the endpoint, until cancelled."""
        self._loaded = False
        # subjects that crashed workers held would never leave the old one; the comparison finds them
        self._outbox = Outbox(self._clock, self._rng, capacity=self._capacity)
        self._metrics.start(self.endpoint.name, lambda: len(self._outbox), lambda: self.problem)
        try:
            await self._load()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ledger.run(), name=f"webhook/{self.endpoint.name}/ledger")
                group.create_task(self._compare(), name=f"webhook/{self.endpoint.name}/compare")
                if isinstance(self._format, DigestFormat):
                    group.create_task(self._digest(self._format), name=f"webhook/{self.endpoint.name}")
                    return
                for n in range(self.endpoint.concurrency):
                    group.create_task(self._work(self._format), name=f"webhook/{self.endpoint.name}/{n}")
        finally:
            await self._end()

    async def _end(self) -> None:
        self._metrics.stop(self.endpoint.name)
        await self._sender.close(at_once=True)
        if self._loaded:
            try:
                async with asyncio.timeout(_LAST_FLUSH_SECONDS):
                    await self._ledger.flush()
            except TimeoutError:
                log.warning("webhook_ledger_cut_short", endpoint=self.endpoint.name)

    async def _load(self) -> None:
        backoff = Backoff(self._rng, base_seconds=1.0, max_seconds=60.0)
        while True:
            try:
                await self._ledger.load()
            except TransientError as error:
                self._unreadable = f"what was delivered cannot be read: {error}"
            except TerminalError as error:
                self._unreadable = None
                self._ledger.deny(f"what was delivered cannot be remembered: {error}")
                log.warning("webhook_ledger_not_readable", endpoint=self.endpoint.name, error=str(error))
                break
            else:
                self._unreadable = None
                break
            await self._clock.sleep(backoff.failed())
        self._loaded = True
        self.compare()

    async def _compare(self) -> None:
        while True:
            await self._compare_wanted.wait()
            await self._sender.wait_usable()  # whether a refused subject is due depends on the configuration
            self._compare_wanted.clear()
            self._comparing = True
            self._outbox.overflowed = False
            for batch in self._source.batches():
                await self._compare_these(batch)
            await self._compare_these(list(self._ledger.subjects()), gone=True)
            self._comparing = False
            log.debug("webhook_compared", endpoint=self.endpoint.name, backlog=len(self._outbox))

    async def _compare_these(self, subjects: Sequence[Subject], *, gone: bool = False) -> None:
        """Add those that are due, as room allows; with ``gone``, only those that no longer exist."""
        for n, subject in enumerate(subjects):
            # Starting over whenever it is full would never get beyond reports that have to be read to know.
            await self._outbox.wait_roomy()
            if gone and self._source.marker(subject) is not None:
                due = False
            else:
                due = self._dedup.wants(subject) and self._dedup.is_due(subject)
            if due and self._outbox.add(subject):
                self._dedup.announce(subject)
                self._pending.set()
            if n % _MANY == 0:
                await asyncio.sleep(0)

    async def _work(self, format_: Format) -> None:
        while True:
            subject = await self._outbox.take()
            await self._sender.wait_usable()
            async with self._sender.turn():
                change = await self._attempt(self._notify(subject, format_), subject)
            if change is None:
                self._outbox.retry(subject)
            else:
                self._outbox.done(subject)
                await self._ledger.written(change)  # only then is the delivery over
            self._compare_if_overflowed()
            await asyncio.sleep(0)

    async def _attempt(self, doing: Awaitable[int], subject: Subject) -> int | None:
        """The change of the ledger that completes it, whatever the outcome; None: try again."""
        try:
            return await doing
        except TransientError as error:
            log.debug("webhook_deferred", endpoint=self.endpoint.name, subject=str(subject), error=str(error))
        except TerminalError as error:  # of the API server; the next comparison comes back to it
            log.warning(
                "webhook_not_read", endpoint=self.endpoint.name, subject=str(subject), error=str(error)
            )
            return _NOTHING
        except Exception:  # a bug of ours: loud, slow to come back, and no harm to others
            log.exception("webhook_crashed", endpoint=self.endpoint.name, subject=str(subject))
        return None

    def _compare_if_overflowed(self) -> None:
        if self._outbox.overflowed and self._outbox.roomy:
            self.compare()

    async def _notify(self, subject: Subject, format_: Format) -> int:
        prepared = await self._dedup.prepare(subject)
        if prepared is None:
            return _NOTHING
        messages = format_.render(prepared.event, prepared.diff, self.endpoint, self._clock.now())
        if not messages:
            self._dedup.held_back(prepared)
            return _NOTHING
        await self._ledger.written(self._dedup.expect(prepared))
        refusal = await self._sender.send(messages)
        return self._record([prepared], refusal)

    def _record(self, prepared: Sequence[Prepared], refusal: RefusedError | None) -> int:
        """Record the outcome of sending; returns the change of the ledger."""
        if refusal is None:
            return max(map(self._dedup.delivered, prepared))
        self._metrics.dropped(self.endpoint.name, "refused")
        if self._on_refused is not None:
            self._on_refused(prepared[0].subject, refusal)
        return max(map(self._dedup.refused, prepared))

    # digests

    async def _digest(self, format_: DigestFormat) -> None:
        every = self.endpoint.digest_seconds or DEFAULT_DIGEST_SECONDS
        while True:
            await self._pending.wait()
            await self._clock.sleep(every)  # counted from the first change, so a single one waits no longer
            await self._sender.wait_usable()
            self._pending.clear()
            await self._send_digest(format_)
            self._compare_if_overflowed()

    async def _send_digest(self, format_: DigestFormat) -> None:
        """Send everything that waits, at once."""
        held: list[Subject] = []
        prepared: list[tuple[Prepared, Any]] = []
        expected = _NOTHING
        try:
            while len(held) < _MAX_NOTES and (subject := await self._outbox.take_ready()) is not None:
                held.append(subject)
                change = await self._attempt(self._note(subject, format_, prepared), subject)
                if change is None:
                    held.pop()
                    self._outbox.retry(subject)
                    self._pending.set()
                else:
                    expected = max(expected, change)
            if not prepared:
                return
            notes = [note for _, note in prepared]
            now = self._clock.now()
            messages = await asyncio.to_thread(format_.digest, notes, self.endpoint, now)  # 0.1 s, if many
            await self._ledger.written(expected)
            # its notes are small, and the next one waits for it
            refusal = await self._sender.send_until_answered(messages)
            await self._ledger.written(self._record([one for one, _ in prepared], refusal))
        finally:
            for subject in held:
                self._outbox.done(subject)
            if len(self._outbox):
                self._pending.set()

    async def _note(
        self, subject: Subject, format_: DigestFormat, prepared: list[tuple[Prepared, Any]]
    ) -> int:
        one = await self._dedup.prepare(subject)
        if one is None:
            return _NOTHING
        note = format_.note(one.event, one.diff, self.endpoint)
        if note is None:
            self._dedup.held_back(one)
            return _NOTHING
        slim = replace(one, event=slimmed(one.event), diff=None)
        prepared.append((slim, note))
        return self._dedup.expect(one)
