"""Replicas of the operator in processes of their own, each a user of its own to the API server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.harness import NAMESPACE, Cluster
from tests.faults.scanner import WITHOUT_DATABASE
from tests.patience import patience
from trivyop.kube.resources import CONFIGMAPS, LEASES, ObjectKey
from trivyop.settings.configmaps import read_texts

ELECTED = {**WITHOUT_DATABASE, "OPERATOR_LEADER_ELECTION_ENABLED": "true"}
LEASE = ObjectKey(NAMESPACE, "trivyoperator-lock")


@dataclass(frozen=True, slots=True)
class Replica:
    """One process; `user` is what the server's request log calls it."""

    user: str
    process: Process
    log: Path

    def told(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log that are of that event."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == event]

    async def until_told(self, event: str, *, seconds: float = 60) -> list[dict[str, Any]]:
        """Wait until it has logged that event."""
        try:
            async with patience(seconds):
                while not (found := self.told(event)):  # noqa: ASYNC110 - another process's file
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"no {event} in {self.log.read_text()[-3000:]}") from None
        return found


@asynccontextmanager
async def replica(
    cluster: Cluster,
    user: str,
    *,
    environ: Mapping[str, str] = WITHOUT_DATABASE,
    program: Sequence[str] = (str(Path(sys.executable).parent / "trivyop"),),
) -> AsyncGenerator[Replica]:
    """Run `trivyop run`; it is killed at the end, if it still runs."""
    server = cluster.sandbox.server
    assert server is not None
    kubeconfig = cluster.directory / f"{user}.kubeconfig"
    kubeconfig.write_text(json.dumps(server.kubeconfig(user, ("system:masters",))))
    settings = await read_texts(cluster.api, CONFIGMAPS, ObjectKey(NAMESPACE, "trivy-operator-config"))
    log = cluster.directory / f"{user}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *program,
            "run",
            *("--kubeconfig", str(kubeconfig)),
            env={**os.environ, **settings, "OPERATOR_NAMESPACE": NAMESPACE, **environ},
            stdout=output,
            stderr=output,
        )
    try:
        yield Replica(user, process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def holder(cluster: Cluster) -> str:
    """Who holds the Lease; "" for nobody."""
    lease = await cluster.api.get_dict(LEASES, LEASE)
    return str(lease["spec"].get("holderIdentity") or "") if lease else ""


async def until_held_by_another(cluster: Cluster, before: str, *, seconds: float) -> str:
    """Wait until somebody else than `before` holds the Lease; returns who."""
    async with patience(seconds):
        while (found := await holder(cluster)) in ("", before):  # noqa: ASYNC110 - as the harness waits
            await asyncio.sleep(0.1)
    return found
