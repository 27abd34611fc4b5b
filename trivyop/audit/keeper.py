"""The policies in force: taken from a ConfigMap, tried, and given up when they turn out to be unusable.

A change comes into force in one step once everything in it was tried; until then the former policies count.
A policy with a mistake changes no report: where an earlier version of it counted, that still does. A restart
does not know earlier versions; kinds that a policy with a mistake is for are `undecided` then, and what was
reported on them stays.

Promises: ``policies`` can be evaluated whole. What is wrong with the rest is in ``problems``, and told to
whoever asked, as is every change with the kinds that it concerns.
Not here: reading the ConfigMap from the cluster, Events (controllers).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from typing import Final

import msgspec
import structlog

from trivyop.audit.engine import Crash, Engine
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.parsing import parse_policies
from trivyop.audit.policies import (
    ANY_KIND,
    CustomPolicy,
    Policies,
    PolicyProblem,
    hash_of,
    kinds_apply,
    kinds_concerned,
)
from trivyop.control.backoff import Backoff, half_jitter
from trivyop.control.clock import Clock
from trivyop.errors import TransientError, renamed_scarcity

log = structlog.get_logger(__name__)

_RETRY_BASE_SECONDS: Final = 5.0
_RETRY_MAX_SECONDS: Final = 300.0
BUNDLE: Final = "checks-bundle"
TRIAL: Final = "policy-trial"
_MAX_CRASHES: Final = 100  # told of one by one

ChangedHandler = Callable[[frozenset[str] | None], None]
ProblemsHandler = Callable[[tuple[PolicyProblem, ...]], None]


class PolicyKeeper:
    """Owns the policies. ``run`` has to run beside it."""

    def __init__(
        self, engine: Engine, *, clock: Clock, metrics: AuditMetrics, awaits_bundle: bool = False
    ) -> None:
        """``awaits_bundle``: nothing is known before ``set_bundle`` was called."""
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._backoff = Backoff(
            random.Random(),  # noqa: S311 (spreads retries)
            base_seconds=_RETRY_BASE_SECONDS,
            max_seconds=_RETRY_MAX_SECONDS,
            jitter=half_jitter,
        )
        self._wanted: Policies | None = None  # not yet tried
        self._parse_problems: tuple[PolicyProblem, ...] = ()
        self._trial_problems: tuple[PolicyProblem, ...] = ()
        self._unusable: dict[str, str] = {}
        self._crashes: dict[tuple[str, str], str] = {}  # by check and subject
        self._bundle = ("", "")
        self._bundle_known = not awaits_bundle
        self._bundle_problem = ""
        self._trial_failure = ""  # why nothing could be tried, last
        self._work = asyncio.Event()
        self._ready = asyncio.Event()
        self._given = False  # whether it is known what the ConfigMap says
        self._asked = Policies()  # the last that were tried, with what was refused of them
        self._undecided = frozenset[str]()  # kinds as policies name them
        self._changed: list[ChangedHandler] = []
        self._problem_handlers: list[ProblemsHandler] = []
        self._told: tuple[PolicyProblem, ...] = ()
        self.policies = Policies()
        self.version = ""  # of the engine
        self.cluster_version = ""

    @property
    def ready(self) -> bool:
        """Whether it is known which policies count."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        await self._ready.wait()

    @property
    def problems(self) -> tuple[PolicyProblem, ...]:
        """Everything wrong with policies, sorted by policy."""
        found = {*self._parse_problems, *self._trial_problems}
        found |= {PolicyProblem(policy, message) for policy, message in self._unusable.items()}
        for (check, subject), message in self._crashes.items():
            found.add(PolicyProblem(self._policy_of(check), f"crashed on {subject}: {message}"))
        if self._bundle_problem:
            found.add(PolicyProblem(BUNDLE, self._bundle_problem))
        if self._trial_failure:
            found.add(PolicyProblem(TRIAL, self._trial_failure))
        return tuple(sorted(found))

    def add_handler(self, handler: ChangedHandler) -> None:
        """Have ``handler`` told of kinds to audit anew, None for all."""
        self._changed.append(handler)

    def add_problem_handler(self, handler: ProblemsHandler) -> None:
        """Have ``handler`` told of all problems whenever they change."""
        self._problem_handlers.append(handler)

    def hash_for(self, kind: str) -> str:
        """What the outcome for a resource of this kind depends on, beside the resource, in one word."""
        return hash_of((self.version, self.cluster_version, self.policies.hash_for(kind)))

    def undecided(self, kind: str) -> bool:
        """Whether reports on that kind may be by an earlier version of a policy that has a mistake now."""
        return kinds_apply(self._undecided, kind)

    def set_policies(self, data: Mapping[str, str] | None) -> tuple[PolicyProblem, ...]:
        """Take what the ConfigMap says, None without one; what is wrong with it at first sight."""
        wanted, self._parse_problems = parse_policies(data)
        self._given = True
        self._want(wanted)
        self._tell_problems()
        return self._parse_problems

    def set_bundle(self, directory: str, digest: str) -> None:
        """Have Trivy's own checks read from a directory, "" for those that are part of Trivy."""
        if self._bundle_known and self._bundle == (directory, digest):
            return
        self._bundle_known = True
        self._bundle = (directory, digest)
        if self._given:
            self._want(self._wanted if self._wanted is not None else self._asked)

    def set_bundle_problem(self, message: str) -> None:
        """What is wrong with the bundle, "" for nothing."""
        self._bundle_problem = message
        self._tell_problems()

    def set_cluster_version(self, version: str) -> None:
        """Version of Kubernetes, like "1.36.0": some checks depend on it."""
        if version != self.cluster_version:
            self.cluster_version = version
            self._tell_changed(None)

    def give_up(self, policy: CustomPolicy, tried: Policies, message: str) -> None:
        """Do without a policy from now on, until the ConfigMap changes.

        ``tried`` is what it turned out with. If there is another version of it by now, or of what it imports,
        that is not to blame.
        """
        if policy not in self.policies.custom or tried.libraries != self.policies.libraries:
            return
        self._unusable[policy.name] = message
        for check, subject in list(self._crashes):
            if check == policy.module.key:
                del self._crashes[check, subject]
        log.warning("policy_given_up", policy=policy.name, error=message)
        before, self.policies = self.policies, self.policies.without({policy.name})
        self._tell_problems()
        self._tell_changed(kinds_concerned(before, self.policies))

    def crashed(self, subject: str, crash: Crash) -> None:
        """A check crashed on one subject."""
        key = (crash.check, subject)
        if key not in self._crashes and len(self._crashes) < _MAX_CRASHES:
            self._crashes[key] = crash.message
            log.warning("check_crashed", check=crash.check, key=subject, error=crash.message)
            self._tell_problems()

    def recovered(self, subject: str) -> None:
        """No check crashes on this subject any more."""
        healed = [key for key in self._crashes if key[1] == subject]
        for key in healed:
            del self._crashes[key]
        if healed:
            self._tell_problems()

    async def run(self) -> None:
        """Try what is to be tried, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                with renamed_scarcity():
                    await self._try()
                self._backoff.succeeded()
                self._tell_trial("")
            except Exception as error:
                wait = self._backoff.failed()
                if isinstance(error, TransientError):
                    log.warning("policies_not_tried", error=str(error), failures=self._backoff.failures)
                    self._tell_trial(f"policies cannot be tried: {error}")
                else:  # a bug of ours
                    log.exception("policy_trial_crashed")
                    self._tell_trial(f"policies cannot be tried: {error!r}")
                await self._clock.sleep(wait)
                self._work.set()

    async def _try(self) -> None:
        if not self.version:
            self.version = await self._engine.version()
        wanted = self._wanted
        if wanted is None or not self._bundle_known:
            return
        accepted, problems = await self._engine.examine(wanted)
        taken = {one.name for one in accepted.custom} | {one.key for one in accepted.libraries}
        refused = {problem.policy for problem in (*problems, *self._parse_problems)} - taken
        restored = accepted.with_former(self.policies, refused)
        if restored != accepted:  # what was good before may not go with what is new
            accepted, _ = await self._engine.examine(restored)
        if self._wanted is not wanted:
            return  # it changed meanwhile, and the change is waiting to be tried
        self._wanted, self._asked = None, wanted
        self._trial_failure = ""
        self._unusable.clear()
        self._crashes.clear()
        self._trial_problems = problems
        for problem in problems:
            if problem.policy in refused:
                log.warning("policy_refused", policy=problem.policy, error=problem.message)
            else:
                log.warning("policy_odd", policy=problem.policy, error=problem.message)
        before, self.policies = self.policies, accepted
        first = not self._ready.is_set()
        self._ready.set()
        undecided, self._undecided = self._undecided, frozenset[str]()
        if first:
            self._undecided = _kinds_of(wanted, refused)
        self._tell_problems()
        concerned = kinds_concerned(before, accepted)
        if undecided:
            concerned = None
        if not first and (concerned is None or concerned):
            self._tell_changed(concerned)

    def _want(self, wanted: Policies) -> None:
        directory, digest = self._bundle
        self._wanted = msgspec.structs.replace(wanted, bundle=directory, bundle_digest=digest)
        self._work.set()

    def _policy_of(self, check: str) -> str:
        return next((one.name for one in self._asked.custom if one.module.key == check), check)

    def _tell_trial(self, failure: str) -> None:
        self._trial_failure = failure
        self._tell_problems()

    def _tell_problems(self) -> None:
        problems = self.problems
        if problems != self._told:
            self._told = problems
            self._metrics.name_problems(problems)
            for handler in self._problem_handlers:
                handler(problems)

    def _tell_changed(self, kinds: frozenset[str] | None) -> None:
        if self._ready.is_set():
            for handler in self._changed:
                handler(kinds)


def _kinds_of(wanted: Policies, refused: Collection[str]) -> frozenset[str]:
    """The kinds that refused policies are for; all where that is not known."""
    known = {policy.name: policy.kinds for policy in wanted.custom}
    libraries = {library.key for library in wanted.libraries}  # policies that need one are refused, too
    kinds = (known.get(name, frozenset({ANY_KIND})) for name in refused if name not in libraries)
    return frozenset(kind for some in kinds for kind in some)
