"""Read what an operator reads when it starts, all streams at once, and drop it.

A program of its own (the kubeconfig as argument, requests as JSON on stdin: path, query, whether metadata is
enough); prints the seconds, the CPU seconds and the bytes. It uses the client of the operator, but for what
makes something of the bytes; so what the operator takes longer is what it does with them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from urllib.parse import parse_qsl

from trivyop.control.clock import SystemClock
from trivyop.kube.config import ClusterConfig
from trivyop.kube.transport import Call, Transport

_LAST = b'"k8s.io/initial-events-end"'
_METADATA = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"


def _accept(query: str) -> str:
    """What asks for metadata alone, of a watch or of a page."""
    return _METADATA.format("" if "watch=" in query else "List")


async def main(kubeconfig: str, requests: list[tuple[str, str, bool]]) -> dict[str, float]:
    """Measure it."""
    began, worked = time.perf_counter(), time.process_time()
    async with Transport(
        await ClusterConfig.load(kubeconfig), user_agent="reader", clock=SystemClock()
    ) as transport:

        async def read(path: str, query: str, metadata: bool) -> int:
            call = Call(
                "watch",
                "",
                "GET",
                path,
                params=dict(parse_qsl(query)),
                accept=_accept(query) if metadata else "application/json",
            )
            size, tail = 0, b""
            async with transport.stream(call) as stream:
                async for chunk in stream.chunks(lambda: 60):
                    size += len(chunk)
                    tail = (tail + chunk)[-1000:]
                    if _LAST in tail:
                        break
            return size

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(*request)) for request in requests]
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - worked,
        "bytes": sum(task.result() for task in tasks),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], json.load(sys.stdin)))))
