"""Start gates: when pods of scans cannot start, one scan tries for all of them.

What keeps one scan pod from starting (a quota, Pod Security, a node selector, Trivy's image, a volume) keeps
all others of its namespace from it. So the first failure closes the gate of that namespace: the scans that
want to start wait, and one of them tries, at once when a Job makes room or a node changes, else after a wait
that doubles. When its pod starts, two may, then four, until the gate is gone (a circuit breaker with a slow
start).

Promises: while nothing starts, at most one Job tries; a scan that is let through is called by name; nothing
waits here longer than until the next try. Plain calls, no await. All of it is in memory: after a restart the
statuses of failed scans close the gate again.
Not here: slots (``scan.slots``), the class and the next try of a scan by itself (``trivy.retries``).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from trivyop.control.clock import Clock, Timer
from trivyop.control.queue import Priority
from trivyop.trivy.failureclasses import FailureClass
from trivyop.trivy.failures import Failure

log = structlog.get_logger(__name__)

START_CLASSES = frozenset(
    {
        FailureClass.ADMISSION,
        FailureClass.UNSCHEDULABLE,
        FailureClass.SCANNER_IMAGE,
        FailureClass.POD_START,
    }
)
"""Classes of failures that keep pods from starting."""

_FIRST_SECONDS = 15.0
_LONGEST_SECONDS = 300.0


@dataclass(slots=True)
class _Gate:
    """The gate of one namespace."""

    failure: Failure
    waiting: dict[str, Priority] = field(default_factory=dict[str, Priority])  # who waits longest comes first
    starting: set[str] = field(default_factory=set[str])  # let through, and not started yet
    at_once: int = 1  # how many may be in `starting`
    failures: int = 0  # in a row
    due: float = 0.0  # when the next may try, by the monotonic clock
    timer: Timer | None = None


class StartGates:
    """The gates, by namespace; a namespace without one is open."""

    def __init__(
        self, clock: Clock, rng: random.Random, limit: int, call: Callable[[str, Priority], None]
    ) -> None:
        """`call` is called with a scan that may start now; `limit` is how many may run at once anyway."""
        self._clock = clock
        self._rng = rng
        self._limit = limit
        self._call_scan = call
        self._gates: dict[str, _Gate] = {}
        self._let_through: set[str] = set()  # whatever their own back-off says

    def may_start(self, scan: str, namespace: str, priority: Priority) -> bool:
        """Whether the scan may start; if not, it waits, and is called."""
        gate = self._gates.get(namespace)
        if gate is None or scan in gate.starting:
            return True
        gate.waiting.setdefault(scan, priority)
        self._call(namespace, gate)
        return False

    def lets_through(self, scan: str) -> bool:
        """Whether the scan was called and has not started since, so that its own back-off does not count."""
        return scan in self._let_through

    def is_trying(self, scan: str) -> bool:
        """Whether the scan tries for others, too."""
        return any(scan in gate.starting for gate in self._gates.values())

    def why(self, namespace: str) -> Failure | None:
        """What keeps pods of the namespace from starting; None while the gate is open."""
        gate = self._gates.get(namespace)
        return None if gate is None else gate.failure

    def failed(self, scan: str, namespace: str, why: Failure) -> None:
        """The pod of the scan did not start."""
        self._let_through.discard(scan)
        is_first = namespace not in self._gates
        gate = self._closed(namespace, why)
        tried = (
            is_first or scan in gate.starting
        )  # those that were on their way when it closed say nothing new
        gate.failure, gate.at_once = why, 1
        gate.starting.discard(scan)
        gate.waiting.pop(scan, None)
        gate.waiting[scan] = Priority.RETRY  # behind the others
        if not tried:
            return
        wait = min(_FIRST_SECONDS * 2.0**gate.failures, _LONGEST_SECONDS)
        gate.failures = min(gate.failures + 1, 16)
        gate.due = self._clock.monotonic() + self._rng.uniform(0.8 * wait, wait)
        self._call(namespace, gate)

    def failed_before(self, scan: str, namespace: str, why: Failure) -> None:
        """The status of the scan says so, from a former life; what kept it may be over since."""
        if namespace not in self._gates:
            self._closed(namespace, why)
        self._gates[namespace].waiting.setdefault(scan, Priority.RETRY)
        self._call(namespace, self._gates[namespace])

    def started(self, scan: str, namespace: str) -> None:
        """The pod of the scan has started; so may those of others."""
        self._let_through.discard(scan)
        gate = self._gates.get(namespace)
        if gate is None:
            return
        gate.waiting.pop(scan, None)
        if scan not in gate.starting:
            return  # it had its pod before the others were refused theirs
        gate.starting.discard(scan)
        gate.failures = 0
        gate.at_once *= 2
        gate.due = self._clock.monotonic()
        if gate.at_once > self._limit or not gate.waiting:
            self._open(namespace, gate)
        else:
            self._call(namespace, gate)

    def made_room(self, namespace: str) -> None:
        """A Job whose pod ran has ended."""
        gate = self._gates.get(namespace)
        if gate is not None:
            gate.due = self._clock.monotonic()
            self._call(namespace, gate)

    def nodes_changed(self) -> None:
        """A node came, or takes other pods than before."""
        for namespace, gate in list(self._gates.items()):
            if gate.failure.failure_class is not FailureClass.ADMISSION:
                self.made_room(namespace)

    def leave(self, scan: str) -> None:
        """The scan does not want to start any more."""
        self._let_through.discard(scan)
        for namespace, gate in list(self._gates.items()):
            if scan not in gate.waiting and scan not in gate.starting:
                continue
            gate.waiting.pop(scan, None)
            if scan in gate.starting:
                gate.starting.discard(scan)
                gate.due = self._clock.monotonic()  # another tries in its place
            if not gate.waiting and not gate.starting:
                self._open(namespace, gate)
            else:
                self._call(namespace, gate)

    def _closed(self, namespace: str, why: Failure) -> _Gate:
        gate = self._gates.get(namespace)
        if gate is None:
            gate = self._gates[namespace] = _Gate(why, due=self._clock.monotonic())
            log.warning(
                "scan_starts_held_back",
                namespace=namespace,
                failure=why.failure_class.value,
                error=why.message,
            )
        return gate

    def _open(self, namespace: str, gate: _Gate) -> None:
        del self._gates[namespace]
        if gate.timer is not None:
            gate.timer.cancel()
        log.info("scan_starts_resumed", namespace=namespace)
        for scan, priority in gate.waiting.items():
            self._let_through.add(scan)
            self._call_scan(scan, priority)

    def _call(self, namespace: str, gate: _Gate) -> None:
        """Let as many try as may now; have it looked at again when the next one may."""
        if gate.timer is not None:
            gate.timer.cancel()
            gate.timer = None
        left = gate.due - self._clock.monotonic()
        if left > 0:
            gate.timer = self._clock.call_later(left, lambda: self._call_again(namespace, gate))
            return
        while gate.waiting and len(gate.starting) < gate.at_once:
            scan = min(gate.waiting, key=lambda name: gate.waiting[name] is Priority.RETRY)
            priority = gate.waiting.pop(scan)
            gate.starting.add(scan)
            self._let_through.add(scan)
            self._call_scan(scan, priority)

    def _call_again(self, namespace: str, gate: _Gate) -> None:
        gate.timer = None
        if self._gates.get(namespace) is gate:
            self._call(namespace, gate)
