"""An Auditor that runs, with Trivy or with an engine of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from trivyop.audit.auditor import Auditor
from trivyop.audit.engine import AuditError, Engine, Outcome, Subject
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.policies import Policies
from trivyop.audit.trivyengine import TrivyEngine
from trivyop.control.clock import Clock, SystemClock
from trivyop.sandbox.programs import trivy
from trivyop.settings import Settings, load_settings

Json = dict[str, Any]


def audit_settings(**environ: str) -> Settings:
    """Settings with the real Trivy and the checks that are part of it."""
    return load_settings(
        {"OPERATOR_NAMESPACE": "trivy-system", "OPERATOR_TRIVY_PROGRAM": str(trivy()), **environ},
        trivy_configmap={"trivy.useBuiltinRegoPolicies": "false"},
    )


class Unprepared:
    """The part of an engine that never gets ready ahead of time."""

    preparing = False

    def prepare(self, policies: Policies, *, cluster_version: str) -> None:
        pass

    async def keep_ready(self, clock: Clock, changed: Callable[[], None]) -> None:
        pass


@asynccontextmanager
async def auditing(
    policies: Mapping[str, str] | None = None,
    *,
    engine: Engine | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
    registry: CollectorRegistry | None = None,
) -> AsyncGenerator[Auditor]:
    """An auditor in operation, ready to audit."""
    settings = settings or audit_settings()
    auditor = Auditor(
        engine or TrivyEngine(settings),
        settings=settings,
        clock=clock or SystemClock(),
        metrics=AuditMetrics(registry or CollectorRegistry()),
    )
    auditor.set_policies(policies)
    running = asyncio.create_task(auditor.run())
    ready = asyncio.create_task(auditor.wait_ready())
    try:
        await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
        yield auditor
    finally:
        ready.cancel()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def subject_of(document: Json) -> Subject:
    """A manifest as a subject."""
    meta = document["metadata"]
    name = f"{document['kind']}/{meta.get('namespace', '')}/{meta['name']}"
    return Subject(f"{document['apiVersion']} {name}", document["kind"], orjson.dumps(document))


async def audit_all(
    auditor: Auditor, subjects: Iterable[Subject], *, urgent: bool = False
) -> list[Outcome | AuditError]:
    """Have all audited at once."""

    async def one(subject: Subject) -> Outcome | AuditError:
        try:
            return await auditor.audit(subject, urgent=urgent)
        except AuditError as error:
            return error

    return list(await asyncio.gather(*map(one, subjects)))


def pod(name: str, **spec: Any) -> Subject:
    """A pod without any care."""
    containers = [{"name": "web", "image": "nginx"}]
    return subject_of(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"containers": containers, **spec},
        }
    )


def failed_ids(outcome: Outcome | AuditError) -> Sequence[str]:
    """Which checks failed; an error is raised."""
    if isinstance(outcome, AuditError):
        raise outcome
    return sorted({check.id for check in outcome if not check.success})
