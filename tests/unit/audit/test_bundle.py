"""The bundle of checks, with the real Trivy and a registry that may misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.clock import FakeClock
from tests.unit.audit.running import audit_all, audit_settings, auditing, pod
from trivyop.audit.auditor import Auditor
from trivyop.audit.engine import AuditError
from trivyop.audit.keeper import BUNDLE
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.trivyengine import TrivyEngine
from trivyop.sandbox.registry.auth import Account, Auth
from trivyop.sandbox.registry.faults import Fault
from trivyop.sandbox.registry.oci import Blob, Image, gzip_stored, tar
from trivyop.sandbox.registry.server import Registry
from trivyop.settings import Settings, load_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHECK = """\
# METADATA
# title: Bundled
# description: From the bundle.
# custom:
#   id: KSV-9999
#   severity: LOW
#   input:
#     selector:
#       - type: kubernetes
package builtin.kubernetes.KSV9999

import rego.v1

deny contains "%s" if input.kind == "Pod"
"""


def bundle(*modules: str) -> Image:
    files = {f"policies/kubernetes/policies/{n}.rego": text.encode() for n, text in enumerate(modules)}
    files[".manifest"] = b'{"revision":"1","roots":[""]}'
    layer = Blob("application/vnd.cncf.openpolicyagent.layer.v1.tar+gzip", gzip_stored(tar(files)))
    return Image.artifact("application/vnd.cncf.openpolicyagent.config.v1+json", layer, "bundle.tar.gz")


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    auth = Auth({"private/": Account("robot", "secret")})
    async with Registry(
        {"checks:2": bundle(CHECK % "one"), "private/checks:2": bundle(CHECK % "one")}, auth
    ) as it:
        yield it


def settings_for(registry: Registry, path: Path, repository: str = "checks", **secret: str) -> Settings:
    plain = audit_settings()
    return load_settings(
        {
            "OPERATOR_NAMESPACE": "trivy-system",
            "OPERATOR_TRIVY_PROGRAM": plain.database.trivy_program,
            "OPERATOR_TRIVY_CACHE_DIR": str(path),
            "OPERATOR_CHECKS_BUNDLE_REFRESH": "24h",
        },
        configmap={"policies.bundle.oci.ref": f"{registry.address}/{repository}:2"},
        secret=secret,
    )


async def messages(auditor: Auditor) -> list[str]:
    (outcome,) = await audit_all(auditor, [pod("web")])
    assert not isinstance(outcome, AuditError)
    return [check.message for check in outcome if check.id == "AVD-KSV-9999"]


async def test_checks_of_the_bundle_count(registry: Registry, tmp_path: Path) -> None:
    metrics = CollectorRegistry()
    async with auditing(settings=settings_for(registry, tmp_path), registry=metrics) as auditor:
        assert await messages(auditor) == ["one"]
        assert auditor.problems == ()
        assert auditor.policies.bundle_digest == registry.digest("checks:2")
    assert (metrics.get_sample_value("trivyop_checks_bundle_updated_timestamp_seconds") or 0) > 1e9


async def test_bundle_behind_a_login(registry: Registry, tmp_path: Path) -> None:
    login = {"policies.bundle.oci.user": "robot", "policies.bundle.oci.password": "secret"}
    settings = settings_for(registry, tmp_path, "private/checks", **login)
    async with auditing(settings=settings) as auditor:
        assert await messages(auditor) == ["one"]


@pytest.mark.parametrize("fault", [Fault.DENIED, Fault.RUBBISH, Fault.SERVER_ERROR])
async def test_without_a_bundle_trivys_own_checks_count(
    registry: Registry, tmp_path: Path, fault: Fault
) -> None:
    """And it is told; never are there no checks."""
    registry.faults.set("checks", fault)
    metrics = CollectorRegistry()
    async with auditing(settings=settings_for(registry, tmp_path), registry=metrics) as auditor:
        (outcome,) = await audit_all(auditor, [pod("web")])
        assert not isinstance(outcome, AuditError)
        assert len(outcome) > 50
        (problem,) = auditor.problems
    assert problem.policy == BUNDLE
    assert "Trivy's own checks are used" in problem.message
    assert metrics.get_sample_value("trivyop_checks_bundle_failures_total") == 1
    assert metrics.get_sample_value("trivyop_policy_problem", {"policy": BUNDLE}) == 1


async def test_audits_do_not_wait_for_a_registry_that_never_answers(
    registry: Registry, tmp_path: Path
) -> None:
    """Behind a firewall that drops packets, say: ten seconds, then those that are part of Trivy count."""
    registry.faults.set("checks", Fault.HANG)
    clock = FakeClock()
    settings = settings_for(registry, tmp_path)
    auditor = Auditor(
        TrivyEngine(settings), settings=settings, clock=clock, metrics=AuditMetrics(CollectorRegistry())
    )
    auditor.set_policies(None)
    running = asyncio.create_task(auditor.run())
    ready = asyncio.create_task(auditor.wait_ready())
    await clock.until_sleeping()
    assert not ready.done()
    clock.advance(10)
    await ready

    assert auditor.policies.bundle_digest == ""
    assert [(one.policy, one.message) for one in auditor.problems] == [
        (BUNDLE, "still being fetched, Trivy's own checks are used until it is there")
    ]
    running.cancel()
    await asyncio.wait((running,))


async def test_bundle_counts_once_its_registry_can_be_reached(registry: Registry, tmp_path: Path) -> None:
    """The log says once that it cannot be fetched, however often that is tried, and once that it can."""
    registry.faults.set("checks", Fault.DENIED)
    clock = FakeClock()
    changed = asyncio.Event()
    with capture_logs() as logs:
        async with auditing(settings=settings_for(registry, tmp_path), clock=clock) as auditor:
            auditor.add_handler(lambda kinds: changed.set() if kinds is None else None)
            for _ in range(3):
                await clock.until_sleeping()
                clock.advance(clock.next_due or 0)
                await asyncio.sleep(0)
            await clock.until_sleeping()
            registry.faults.clear("checks")
            clock.advance(clock.next_due or 0)
            await changed.wait()
            await clock.until_sleeping()

            assert auditor.policies.bundle_digest == registry.digest("checks:2")
            assert auditor.problems == ()

    told = [line["event"] for line in logs if line["event"].startswith("checks_bundle")]
    assert told == ["checks_bundle_not_fetched", "checks_bundle_taken", "checks_bundle_recovered"]


async def test_bundle_of_no_use_does_not_take_the_place_of_the_good_one(
    registry: Registry, tmp_path: Path
) -> None:
    """Kept on disk, it also serves after a restart with the registry in the same state."""
    settings = settings_for(registry, tmp_path)
    async with auditing(settings=settings) as auditor:
        assert await messages(auditor) == ["one"]
    registry.put("checks:2", bundle("package builtin.kubernetes.broken\ndeny[msg] {"))
    told = asyncio.Event()

    async with auditing(settings=settings) as auditor:
        auditor.add_problem_handler(lambda _problems: told.set())
        if not auditor.problems:
            await told.wait()
        assert "rego_parse_error" in auditor.problems[0].message
        assert await messages(auditor) == ["one"]


async def test_new_bundle_is_taken_and_everything_audited_anew(registry: Registry, tmp_path: Path) -> None:
    clock = FakeClock()
    changed = asyncio.Event()
    async with auditing(settings=settings_for(registry, tmp_path), clock=clock) as auditor:
        before = auditor.policies_hash("Pod")
        auditor.add_handler(lambda kinds: changed.set() if kinds is None else None)
        registry.put("checks:2", bundle(CHECK % "two"))

        await clock.until_sleeping()
        await clock.elapse(86_400)
        await changed.wait()

        assert auditor.policies_hash("Pod") != before
        assert auditor.policies.bundle_digest == registry.digest("checks:2")


async def test_failed_fetches_wait_longer_and_longer(registry: Registry, tmp_path: Path) -> None:
    """At most one fetch in a back-off: with time standing still there is one."""
    registry.faults.set("checks", Fault.DENIED)
    clock = FakeClock()
    metrics = CollectorRegistry()
    async with auditing(settings=settings_for(registry, tmp_path), clock=clock, registry=metrics):
        waits: list[float] = []
        for attempt in range(1, 4):
            await clock.until_sleeping()
            assert metrics.get_sample_value("trivyop_checks_bundle_failures_total") == attempt
            waits.append(clock.next_due or 0)
            clock.advance(clock.next_due or 0)
            await asyncio.sleep(0)
    assert 30 <= waits[0] <= 60
    assert 60 <= waits[1] <= 120
    assert 120 <= waits[2] <= 240
