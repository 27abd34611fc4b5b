"""Faults: how the server misbehaves when a test tells it to.

Promises: what is random comes from ``seed``, so a test that failed fails again. Rules apply to requests whose
user and user agent contain the given texts; administrators of the faults themselves are never hit by them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.request import Reply

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.request import Request


FAULTS_PATH = "/sandbox/faults"


@dataclass(slots=True)
class Rule:
    """One way to treat matching requests badly, ``times`` times or until it is removed."""

    code: int = 0  # 429, 500, 503, ...: answer with this; 0: do not
    message: str = ""  # in these words
    reason: str = ""  # of the Status; empty: the one that goes with the code
    retry_after: int | None = 1
    latency_seconds: float = 0.0
    silent: bool = False  # accept, never answer
    probability: float = 1.0
    times: int | None = None
    user: str = ""
    user_agent: str = ""
    verb: str = ""
    resource: str = ""

    def fits(self, user: str, user_agent: str, verb: str, resource: str) -> bool:
        """Return whether a request is meant."""
        return (
            self.user in user
            and self.user_agent in user_agent
            and self.verb in ("", verb)
            and self.resource in ("", resource)
        )


@dataclass(slots=True)
class Faults:
    """The rules in force, and what can be done to the server at once."""

    seed: int = 0
    rules: list[Rule] = field(default_factory=list[Rule])
    mute_watches: bool = False  # streams stay open and say nothing, as over a connection that is dead
    drop_watches: Callable[[], None] = lambda: None  # set by the server: end all watches now
    forget_history: Callable[[], None] = lambda: None  # set by the server: old revisions are 410 from now on
    _random: random.Random = field(init=False)
    _silence: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.reseed(self.seed)

    def reseed(self, seed: int) -> None:
        """Begin with what is random anew."""
        self.seed = seed
        self._random = random.Random(seed)  # noqa: S311  # reproducible, not secret

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force; ``rules.remove`` or ``clear`` ends it."""
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Behave well again."""
        self.rules.clear()
        self.mute_watches = False

    def break_silence(self) -> None:
        """End the requests that are kept waiting for ever."""
        self._silence.set()
        self._silence = asyncio.Event()

    async def meet(self, user: str, user_agent: str, verb: str, resource: str) -> None:
        """Let the rules act on a request: wait, wait for ever, or raise the refusal."""
        for rule in tuple(self.rules):
            if not rule.fits(user, user_agent, verb, resource):
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            if rule.times is not None:
                rule.times -= 1
                if rule.times <= 0 and rule in self.rules:
                    self.rules.remove(rule)
            if rule.latency_seconds:
                await asyncio.sleep(rule.latency_seconds)
            if rule.silent:
                await self._silence.wait()
                raise status.internal("the server goes down")
            if rule.code:
                raise _refusal(rule)

    def handle(self, request: Request) -> Reply:
        """Answer over HTTP: GET lists rules, POST adds one (or ``{"do": ...}`` at once), DELETE clears."""
        match request.info.verb:
            case "get":
                return Reply.json([asdict(rule) for rule in self.rules])
            case "post":
                wish = request.decoded()
                match wish:
                    case {"do": "drop_watches"}:
                        self.drop_watches()
                    case {"do": "forget_history"}:
                        self.forget_history()
                    case {"do": "mute_watches"}:
                        self.mute_watches = True
                    case _:
                        self.add(_rule(wish))
                return Reply.json({}, 201)
            case "delete":
                self.clear()
                return Reply.json({})
            case _:
                raise status.method_not_allowed()


_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def _rule(wish: dict[str, Any]) -> Rule:
    try:
        return Rule(**wish)
    except TypeError as error:
        raise status.bad_request(str(error)) from None


def _refusal(rule: Rule) -> status.Refused:
    if rule.code == 429:
        return status.too_many_requests(rule.retry_after or 1)
    headers = {"Retry-After": str(rule.retry_after)} if rule.retry_after and rule.code == 503 else None
    reason = rule.reason or _REASONS.get(rule.code, "")
    message = rule.message or "told to fail by the sandbox"
    return status.RefusedWithHeaders(rule.code, reason, message, headers=headers)
