"""What the caches of an operator hold of the reports in one namespace, in bytes; prints it.

A program of its own (kubeconfig, namespace, number of reports to wait for), so that nothing else is counted.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc

from tests.bench.cluster import OPERATOR_NAMESPACE
from trivyop.control.clock import SystemClock
from trivyop.controllers.informers import Informers
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.discovery import discover
from trivyop.kube.resources import VULNERABILITYREPORTS
from trivyop.observe.logging import configure_logging


async def main(kubeconfig: str, namespace: str) -> tuple[int, int]:
    """Sync two views of all kinds, one of an empty namespace first; the bytes, and the number of reports."""
    configure_logging("error")
    async with Api(await ClusterConfig.load(kubeconfig)) as api:
        discovery = await discover(api)
        sizes: list[int] = []
        count = 0
        for watched in ("default", "default", namespace):  # the first also fills what is shared
            tracemalloc.start()
            informers = Informers(
                api,
                discovery,
                operator_namespace=OPERATOR_NAMESPACE,
                watched_namespaces=(watched,),
                clock=SystemClock(),
            )
            async with asyncio.TaskGroup() as group:
                task = group.create_task(informers.run())
                await informers.wait_synced()
                count = len(informers.reports[VULNERABILITYREPORTS])
                await asyncio.sleep(0.5)  # what was read is let go
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
                task.cancel()
            tracemalloc.stop()
    return sizes[2] - sizes[1], count


if __name__ == "__main__":
    print(*asyncio.run(main(sys.argv[1], sys.argv[2])))
