"""The bundle of checks that an earlier process left, when no file can be opened for a while."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry

from tests.clock import FakeClock
from tests.scarcity import no_more_files
from tests.unit.audit.running import audit_settings
from trivyop.audit.bundle import ChecksBundle
from trivyop.audit.metrics import AuditMetrics
from trivyop.audit.trivyengine import TrivyEngine


class Taker:
    """Who uses the bundle."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.problem = ""

    def set_bundle(self, directory: str, digest: str) -> None:
        self.taken.append(digest)

    def set_bundle_problem(self, message: str) -> None:
        self.problem = message


async def test_bundle_on_disk_is_taken_once_it_can_be_read(clock: FakeClock, tmp_path: Path) -> None:
    """Meanwhile nothing ends, and what is wrong is told."""
    place = tmp_path / "checks/bundle-1/policy"
    (place / "content").mkdir(parents=True)
    (place / "content/one.rego").write_text("package one")
    (place / "metadata.json").write_text(
        json.dumps({"Digest": "sha256:one", "DownloadedAt": "2026-01-01T00:00:00Z"})
    )
    settings = audit_settings(
        OPERATOR_TRIVY_CACHE_DIR=str(tmp_path), OPERATOR_TRIVY_PROGRAM=str(tmp_path / "no-trivy")
    )
    taker = Taker()
    metrics = AuditMetrics(CollectorRegistry())
    bundle = ChecksBundle(settings, TrivyEngine(settings), taker, clock=clock, metrics=metrics)
    with no_more_files():
        running = asyncio.create_task(bundle.run())
        asleep = asyncio.create_task(clock.until_sleeping())
        await asyncio.wait((running, asleep), return_when=asyncio.FIRST_COMPLETED)
    assert not running.done()
    assert "Too many open files" in taker.problem
    assert taker.taken == [""]

    clock.advance(clock.next_due or 0)
    await asyncio.sleep(0)
    await clock.until_sleeping()

    assert taker.taken == ["", "sha256:one"]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
