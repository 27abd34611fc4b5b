"""A result of 20 MB, and the event loop that goes on turning meanwhile."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from tests.e2e.harness import running_cluster
from tests.faults.replicas import replica
from tests.faults.scanner import Scanner, bare_pod, use_no_database
from trivyop.kube.resources import VULNERABILITYREPORTS

RESULT_BYTES = 20_000_000
MEASURED = Path(__file__).with_name("measured.py")


async def test_no_step_of_the_event_loop_is_long_while_a_big_result_is_taken_in(tmp_path: Path) -> None:
    """Probes are answered and the Lease is kept; the report says what it has no room for.

    A step is long if the interpreter could have read the whole result meanwhile, on this machine
    and under this load; how many milliseconds steps take is measured by ``tests/bench``.
    """
    scanner = Scanner.install(tmp_path / "programs")
    scanner.answer(1200)
    assert (scanner.directory / "result.json").stat().st_size > RESULT_BYTES
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        await use_no_database(cluster)
        async with replica(cluster, "busy", program=(sys.executable, str(MEASURED))) as busy:
            await busy.until_told("operator_running")
            busy.process.send_signal(signal.SIGHUP)  # what it loads to begin with is another matter
            await cluster.create(bare_pod(0), bare_pod(1))
            await cluster.until_reported("shop/Pod/w0/app", "shop/Pod/w1/app", seconds=120)
            await cluster.until_settled()
            report, _ = await cluster.list(VULNERABILITYREPORTS)
            busy.process.terminate()
            assert await busy.process.wait() == 0
    (longest,) = busy.told("longest_step")
    assert "findings=" in report["metadata"]["annotations"]["trivyop.dev/omitted"]
    assert 0 < longest["seconds"] < _seconds_of_reading(scanner.directory / "result.json"), longest


def _seconds_of_reading(result: Path) -> float:
    text = result.read_bytes()
    began = time.thread_time()
    json.loads(text)
    return time.thread_time() - began
