"""Probes: whether a container that runs is ready. HTTP and TCP readiness probes are asked; any other is
a yes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import aiohttp

from trivyop.control.clock import Clock
from trivyop.sandbox.changes import Json, part, parts
from trivyop.sandbox.kubelet.machine import HOST_IP

_LEAST_SECONDS = 1.0


async def readiness(container: Json, clock: Clock) -> AsyncGenerator[bool, None]:
    """Each change of the container's readiness, from its start on; ends if it can not change any more."""
    probe = part(container, "readinessProbe")
    if not ("httpGet" in probe or "tcpSocket" in probe):
        yield True
        return
    ready = False
    failures = successes = 0
    await clock.sleep(float(probe.get("initialDelaySeconds") or 0))
    timeout = aiohttp.ClientTimeout(float(probe.get("timeoutSeconds") or 1))
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            if await _ask(session, container, probe):
                successes, failures = successes + 1, 0
            else:
                successes, failures = 0, failures + 1
            threshold = int(probe.get("failureThreshold") or 3)
            now = successes >= int(probe.get("successThreshold") or 1) or (ready and failures < threshold)
            if now != ready:
                ready = now
                yield ready
            await clock.sleep(max(_LEAST_SECONDS, float(probe.get("periodSeconds") or 10)))


async def _ask(session: aiohttp.ClientSession, container: Json, probe: Json) -> bool:
    try:
        if "tcpSocket" in probe:
            port = _port(container, part(probe, "tcpSocket").get("port"))
            _, writer = await asyncio.wait_for(asyncio.open_connection(HOST_IP, port), session.timeout.total)
            writer.close()
            await writer.wait_closed()
            return True
        get = part(probe, "httpGet")
        scheme = str(get.get("scheme") or "HTTP").lower()
        port = _port(container, get.get("port"))
        headers = {header["name"]: header["value"] for header in parts(get, "httpHeaders")}
        url = f"{scheme}://{get.get('host') or HOST_IP}:{port}{get.get('path') or '/'}"
        async with session.get(url, headers=headers, ssl=False, allow_redirects=False) as answer:
            return 200 <= answer.status < 400
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False


def _port(container: Json, port: object) -> int:
    """A port's number; a name is looked up among the container's ports."""
    for named in parts(container, "ports"):
        if named.get("name") == port:
            return int(named["containerPort"])
    return int(str(port))
