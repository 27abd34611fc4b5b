"""Permissions: whether to believe an API server that says we may not do something.

A server denies everything for a moment after each start, before it has loaded roles and bindings, and a role
may be replaced just now. So a denial is a ``DeniedError``, to be tried again, until the same request, or all
requests of its verb, kind and namespace, have been denied for minutes and nothing of it was allowed between;
from then on it is a ``ForbiddenError``. What was not asked for in a quarter of an hour begins anew.

A kind that is denied is not asked for by all who want it: between two tries, which become rarer, down to one
in half a minute, requests are answered here as the last one was. Single objects may be allowed by name, so
reads of them are all sent.

A command that looks once and ends has no minutes: it believes a denial at once when the server has allowed it
anything before, and asks again for two seconds if it has not.

Promises: memory is bounded. A permission that is given counts with the next try, within half a minute.
Not here: which answer is a denial (``kube.refusals``), and when a failed key is tried again (``control``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trivyop.control.clock import Clock
from trivyop.errors import DeniedError, ForbiddenError

BELIEVED_SECONDS = 180.0
_FORGOTTEN_SECONDS = 900.0  # longer than anybody waits who tries again
_HOLD_SECONDS = (0.5, 20.0)  # of a kind: between two tries, at least and at most; else half the time so far
_HURRIED_SECONDS = 2.0
_FEW = 3  # requests denied, of perhaps as many names, say nothing about the others of their kind
_MANY = 10_000  # denials remembered

Place = tuple[str, str, str]
"""What is denied: verb, kind, and namespace or path."""


@dataclass(frozen=True, slots=True)
class _Denial:
    """What was denied each time it was asked for."""

    since: float
    last: float
    error: ForbiddenError
    times: int = 1

    @property
    def seconds(self) -> float:
        return self.last - self.since


class Permissions:
    """What one client was denied. `hurried`: it is one that looks once and ends."""

    def __init__(self, clock: Clock, *, hurried: bool = False) -> None:
        self.hurried = hurried
        self._clock = clock
        self._denials: dict[Place, _Denial] = {}
        self._allowed = False

    def check(self, verb: str, resource: str, path: str) -> None:
        """Raise what the request would be answered, if another was just now and this one is alike."""
        if not self._denials or verb == "get":
            return
        denial = self._of(_kind(verb, resource, path))
        if denial is None or denial.times < _FEW:
            return
        shortest, longest = _HOLD_SECONDS
        if self._clock.monotonic() < denial.last + min(max(shortest, denial.seconds / 2), longest):
            raise self._error(denial)

    def allowed(self, verb: str, resource: str, path: str) -> None:
        """The server let such a request pass, whatever came of it."""
        self._allowed = True
        if self._denials:
            self._denials.pop(_kind(verb, resource, path), None)
            self._denials.pop((verb, resource, path), None)

    def forget(self, resource: str) -> None:
        """That kind may be asked for again: somebody knows better."""
        for place in [place for place in self._denials if place[1] == resource]:
            del self._denials[place]

    def denied(
        self, verb: str, resource: str, path: str, error: ForbiddenError
    ) -> DeniedError | ForbiddenError:
        """The server denied such a request, saying `error`; answers with what to raise."""
        by_kind = self._note(_kind(verb, resource, path), error)
        by_path = self._note((verb, resource, path), error)
        return self._error(min((by_kind, by_path), key=lambda one: one.since))

    def text(self) -> str | None:
        """What is denied for good, for people; None if nothing is."""
        now = self._clock.monotonic()
        lasting = {
            _words(place)
            for place, denial in self._denials.items()
            if now - denial.since >= BELIEVED_SECONDS and self._of(place) and "/" not in place[2]
        }
        return f"not allowed: {', '.join(sorted(lasting))}" if lasting else None

    def _of(self, place: Place) -> _Denial | None:
        denial = self._denials.get(place)
        if denial is not None and self._clock.monotonic() - denial.last >= _FORGOTTEN_SECONDS:
            del self._denials[place]
            return None
        return denial

    def _note(self, place: Place, error: ForbiddenError) -> _Denial:
        now = self._clock.monotonic()
        before = self._of(place)
        if before is None:
            if len(self._denials) >= _MANY:
                self._denials.pop(next(iter(self._denials)))
            denial = _Denial(now, now, error)
        else:
            denial = replace(before, last=now, error=error, times=before.times + 1)
        self._denials[place] = denial
        return denial

    def _error(self, denial: _Denial) -> DeniedError | ForbiddenError:
        seconds = self._clock.monotonic() - denial.since
        enough = BELIEVED_SECONDS
        if self.hurried:
            enough = 0.0 if self._allowed else _HURRIED_SECONDS
        return denial.error if seconds >= enough else DeniedError(str(denial.error), seconds)


def _kind(verb: str, resource: str, path: str) -> Place:
    _, _, rest = path.partition("/namespaces/")
    return verb, resource, rest.partition("/")[0]


def _words(place: Place) -> str:
    verb, resource, namespace = place
    return f"{verb} {resource}" + (f" in {namespace}" if namespace else "")
