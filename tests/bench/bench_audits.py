"""Audits: what the auditor costs beyond Trivy itself, and whether the event loop goes on meanwhile.

1,000 resources of all kinds go through the auditor, and as 1,000 files through one `trivy config`, in turns.
Compared is the CPU that everything takes, the operator's own included, with an auditor that has met all kinds
before, as after the first minute of an operator's life. The first round is a figure of its own.

How late a tick of the event loop is depends on who else wants the CPUs, so the goal is for what the loop
itself does between two ticks; the latest ticks are shown for when the machine is quiet.
"""

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from tests.bench.figures import Figure
from tests.parity.manifests import manifests
from tests.unit.audit.running import audit_all, auditing, subject_of
from trivyop.sandbox.programs import trivy

_COUNT = 1000
_ROUNDS = 2
_TICK_SECONDS = 0.005


async def measure() -> list[Figure]:
    """Both in turns; the best round of each counts."""
    documents = [
        {**one, "metadata": {**one["metadata"], "name": f"{one['metadata']['name']}-{round_}"}}
        for round_ in range(_COUNT // len(manifests()) + 1)
        for one in manifests()
    ][:_COUNT]
    subjects = [subject_of(document) for document in documents]
    busy, idle = _Loop(), _Loop()
    with tempfile.TemporaryDirectory(prefix="trivyop-bench-") as directory:
        files = Path(directory) / "inputs"
        files.mkdir()
        for number, document in enumerate(documents):
            (files / f"{number}.json").write_bytes(orjson.dumps(document))
        async with auditing() as auditor:

            async def ours() -> None:
                watching = asyncio.create_task(busy.watch())
                outcomes = await audit_all(auditor, subjects)
                watching.cancel()
                assert all(isinstance(outcome, tuple) for outcome in outcomes)

            async def direct() -> None:
                watching = asyncio.create_task(idle.watch())
                await _direct(Path(directory), files)
                watching.cancel()

            first = await _cost(ours)
            rounds = [(await _cost(direct), await _cost(ours)) for _ in range(_ROUNDS)]
    plain = min(cost for (cost, _), _ in rounds)
    audited = min(cost for _, (cost, _) in rounds)
    return [
        Figure("audits", f"one trivy config over {_COUNT} files, CPU", plain, "s"),
        Figure("audits", f"{_COUNT} resources, CPU", audited, "s"),
        Figure("audits", f"{_COUNT} resources when all kinds are new, CPU", first[0], "s"),
        Figure("audits", "one trivy config, time", min(took for (_, took), _ in rounds), "s"),
        Figure("audits", "auditor, time", min(took for _, (_, took) in rounds), "s"),
        Figure("audits", "auditor to trivy config, CPU", audited / plain, "x", 1.15, at_least=False),
        Figure("audits", "event loop, latest tick beside trivy config", idle.late * 1000, "ms"),
        Figure("audits", "event loop, latest tick", busy.late * 1000, "ms"),
        Figure(
            "audits", "event loop, longest work between ticks", busy.worked * 1000, "ms", 50, at_least=False
        ),
    ]


async def _direct(directory: Path, files: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(trivy()), "config", "-q", "--skip-check-update", "--misconfig-scanners", "kubernetes"),
        *("--include-non-failures", "--format", "json", "--timeout", "1h"),
        *("--cache-dir", str(directory / "cache")),
        *("--output", str(directory / "result.json"), str(files)),
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
    )
    assert await process.wait() == 0


async def _cost(work: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Seconds of CPU, of child processes too, and seconds of time."""
    cpu, began = _cpu(), time.perf_counter()
    await work()
    return _cpu() - cpu, time.perf_counter() - began


def _cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


class _Loop:
    """How long the event loop was kept from its next tick, and what of that was its own work."""

    def __init__(self) -> None:
        self.late = 0.0
        self.worked = 0.0

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, cpu = loop.time() + _TICK_SECONDS, time.thread_time()
            await asyncio.sleep(_TICK_SECONDS)
            self.late = max(self.late, loop.time() - due)
            self.worked = max(self.worked, time.thread_time() - cpu)
