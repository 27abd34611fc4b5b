"""The computer's time is set, an hour ahead or back, while the operator works."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.e2e.harness import NAMESPACE, Cluster, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import looks, until_looked, until_phase, until_status
from tests.faults.scanner import WITHOUT_DATABASE, Scanner, bare_pod, image
from trivyop.kube.resources import IMAGESCANS, VULNERABILITYREPORTS, ObjectKey
from trivyop.sandbox.kubelet.faults import Fault, Kind

HOUR = 3600.0


class SettableClock(LeapingClock):
    """A clock whose wall-clock time can be set; how time passes stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self._set_by = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._set_by)

    def set(self, seconds: float) -> None:
        """Be that much ahead of the right time."""
        self._set_by = seconds


async def delete_report(cluster: Cluster, name: str) -> None:
    """As a user does who wants a new scan."""
    assert await cluster.api.delete(VULNERABILITYREPORTS, ObjectKey("shop", f"pod-{name}-app"))


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_running_scan_and_wish_for_another_survive_a_set_clock(seconds: float, tmp_path: Path) -> None:
    """The scan is neither overdue nor lost, and the wish is fulfilled once."""
    clock = SettableClock()
    scanner = Scanner.install(tmp_path / "programs")
    scanner.slow_down(1)
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        await cluster.create(bare_pod(0))
        with capture_logs() as logs:
            async with running_operator(cluster, environ=WITHOUT_DATABASE, clock=clock):
                await until_phase(cluster, image(0), "Running")
                clock.set(seconds)
                status = await until_phase(cluster, image(0), "Succeeded")
                await cluster.until_settled()

                await delete_report(cluster, "w0")
                again = await until_status(
                    cluster,
                    image(0),
                    lambda status: status["attempts"] == 2 and status["phase"] == "Succeeded",
                )
                await cluster.until_settled()

    assert status["attempts"] == 1
    assert again["attempts"] == 2
    assert scanner.scanned().total() == 2
    (told,) = [line for line in logs if line["event"] == "clock_set"]
    assert told["seconds"] == pytest.approx(seconds, abs=1)


async def test_wish_from_before_the_clock_was_set_back_is_fulfilled_once(tmp_path: Path) -> None:
    """A result can not be later than a wish from the future, so it must not count by the clock alone."""
    clock = SettableClock()
    scanner = Scanner.install(tmp_path / "programs")
    environ = {**WITHOUT_DATABASE, "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "1"}
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        clock.set(HOUR)
        await cluster.create(bare_pod(0))
        async with running_operator(cluster, environ=environ, clock=clock) as operator:
            await cluster.until_reported("shop/Pod/w0/app")
            await cluster.until_settled()
            scanner.slow_down(2)
            await cluster.create(bare_pod(1))  # takes the one slot
            await until_phase(cluster, image(1), "Running")
            await delete_report(cluster, "w0")
            await cluster.until(asked_for_rescan, IMAGESCANS, NAMESPACE)
            clock.set(0)

            await cluster.until_reported("shop/Pod/w0/app", "shop/Pod/w1/app")
            await cluster.until_settled()
            before = looks(operator)
            clock.leap(15 * HOUR)  # several resyncs
            await until_looked(operator, before)
            await cluster.until_settled()

    assert set(scanner.scanned().values()) == {1, 2}


def asked_for_rescan(scans: list[dict[str, Any]]) -> bool:
    return any("rescanAfter" in scan["spec"] for scan in scans)


async def test_retry_does_not_wait_for_a_clock_that_was_set_back(tmp_path: Path) -> None:
    clock = SettableClock()
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        assert cluster.sandbox.kubelet is not None
        cluster.sandbox.kubelet.faults.fail_next(Fault(Kind.EXIT, 1))
        await cluster.create(bare_pod(0))
        async with running_operator(cluster, environ=WITHOUT_DATABASE, clock=clock):
            failed = await until_phase(cluster, image(0), "Failed")
            left = datetime.fromisoformat(failed["nextRetry"]) - clock.now()
            clock.set(-HOUR)
            clock.leap(left.total_seconds() + 1)
            healed = await until_phase(cluster, image(0), "Succeeded")

    assert healed["attempts"] == 2
