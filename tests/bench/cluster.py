"""A made-up cluster: an API server in this process, filled past its front door, and the operator in another.

What the operator asks comes over TLS, as always; only what stands in for the rest of a cluster (workloads,
nodes, an earlier life of the operator) is put into the storage, because tens of thousands of requests would
take longer than the benchmark. Whoever wants to know when something was accepted is told in that moment.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from trivyop.audit.learning import IDLE_SECONDS
from trivyop.cli.manifests import crds
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import CRDS, NAMESPACES, Resource
from trivyop.sandbox.apiserver.kinds import Served
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.apiserver.storage import Change

OPERATOR_NAMESPACE = "trivy-system"
ENVIRON = {
    "OPERATOR_NAMESPACE": OPERATOR_NAMESPACE,
    "OPERATOR_METRICS_BIND_ADDRESS": "127.0.0.1:0",
    "OPERATOR_HEALTH_PROBE_BIND_ADDRESS": "127.0.0.1:0",
    "OPERATOR_REMATCH_ENABLED": "false",  # it would fetch a database
    # Audits are Trivy's work, in processes of their own.
    "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "false",
    "OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED": "false",
    "OPERATOR_INFRA_ASSESSMENT_SCANNER_ENABLED": "false",
    "OPERATOR_CLUSTER_COMPLIANCE_ENABLED": "false",
}
_OPERATOR = ("-m", "trivyop.cli.main", "run")
_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_SECONDS = 1.0


@dataclass(slots=True)
class MadeUpCluster:
    """The server and the way to it."""

    server: ApiServer
    api: Api
    kubeconfig: Path

    def served(self, resource: Resource) -> Served:
        return self.server.dispatch.kinds.get(resource.group, resource.version, resource.plural)

    def put(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        """Store an object as it is: nobody checks it, and nobody fills in what it lacks."""
        self.served(resource).put(dict(obj))

    def listen(self, resource: Resource, told: Callable[[Change], None]) -> None:
        """Have each change of that kind told in the moment that it is stored."""
        self.served(resource).bucket.watchers.add(told)


@asynccontextmanager
async def made_up_cluster() -> AsyncGenerator[MadeUpCluster]:
    """A server with our definitions and the operator's namespace, for the block."""
    with tempfile.TemporaryDirectory(prefix="trivyop-bench-") as directory:
        async with ApiServer() as server:
            server.requests = deque()  # all of them count
            kubeconfig = Path(directory, "kubeconfig")
            await asyncio.to_thread(kubeconfig.write_text, json.dumps(server.kubeconfig()))
            async with Api(await ClusterConfig.load(str(kubeconfig)), user_agent="bench") as api:
                for crd in crds():
                    await api.apply(CRDS, crd)
                await api.create(NAMESPACES, {"metadata": {"name": OPERATOR_NAMESPACE}})
                yield MadeUpCluster(server, api, kubeconfig)


def settle() -> None:
    """Let nobody look through what is there now, so that the server's memory does not slow it down."""
    gc.collect()
    gc.freeze()


@dataclass(slots=True)
class OperatorProcess:
    """The operator, and what it has logged: of each event the last line."""

    process: Process
    began: float  # UNIX time
    told: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    _new: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        """Take in the log until it ends; troubles are shown."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line) if line.startswith(b"{") else {"event": "", "level": "error"}
            if told.get("level") in ("warning", "error") and told["event"] not in (*self.told, "rematch_off"):
                print(line.decode(), end="", file=sys.stderr)
            self.told[told["event"]] = told
            self._new.set()
        self.told["ended"] = {}
        self._new.set()

    async def until_told(self, event: str, *, seconds: float = 300) -> dict[str, Any]:
        """Wait for a line of that event; returns it."""
        async with asyncio.timeout(seconds):
            while event not in self.told:
                if "ended" in self.told:
                    raise RuntimeError("the operator ended by itself")
                self._new.clear()
                await self._new.wait()
        return self.told[event]

    async def until_quiet(self) -> None:
        """Wait until it has nothing to do: for a second it used less than a twentieth of a core."""
        while True:
            before = self.cpu_seconds()
            await asyncio.sleep(_QUIET_SECONDS)
            if self.cpu_seconds() - before < _QUIET_SECONDS / 20:
                return

    async def until_learned(self) -> None:
        """Wait until it has not run Trivy for longer than it takes to begin what it does in idle moments."""
        while True:
            before = self._ticks()[2:]
            await asyncio.sleep(IDLE_SECONDS * 1.5)
            if self._ticks()[2:] == before:
                return

    def cpu_seconds(self) -> float:
        """What it has used so far, user and system."""
        return sum(self._ticks()[:2]) / _TICKS

    def _ticks(self) -> list[int]:
        """CPU it has used so far, user and system, and what programs that have ended had used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return list(map(int, fields[11:15]))

    def wait_seconds(self) -> float:
        """For how long it could have worked so far, and had no core to work on."""
        return core_wait_seconds(self.process.pid)

    def memory(self) -> tuple[int, int]:
        """Resident bytes: now, and at most so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
        return int(sizes["VmRSS"]) * 1024, int(sizes["VmHWM"]) * 1024

    async def stop(self) -> None:
        """End it, and wait for its last words."""
        self.process.terminate()
        await self.process.wait()


@asynccontextmanager
async def operator_process(
    cluster: MadeUpCluster,
    environ: Mapping[str, str] | None = None,
    *,
    program: Sequence[str] = _OPERATOR,
) -> AsyncGenerator[OperatorProcess]:
    """`trivyop run` in a process of its own, for the block."""
    began = time.time()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *program, "--kubeconfig", str(cluster.kubeconfig)),
        env={**os.environ, **ENVIRON, **(environ or {})},
        stdout=PIPE,
        stderr=STDOUT,
        limit=1 << 20,
    )
    operator = OperatorProcess(process, began)
    async with asyncio.TaskGroup() as group:
        group.create_task(operator.read())
        try:
            yield operator
        finally:
            if process.returncode is None:
                process.terminate()


def core_wait_seconds(pid: int | str = "self") -> float:
    """For how long a process was ready to run and did not: what other programs cost it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def unix_time(line: Mapping[str, Any]) -> float:
    """When a line was logged."""
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()
