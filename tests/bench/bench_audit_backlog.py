"""Audit backlog: 10,000 Roles arrive at once; what it takes of memory, and who waits because of it.

First with the real Trivy: how long a change waits that somebody makes meanwhile. Then with a stub that takes
as long as Trivy takes for a Role on a core of its own, and no CPU, and cannot be kept ready, so what is
measured is the operator: what it holds while thousands wait, and whether it serves a change at once. What
Trivy itself needs is measured by the bench `audits`. Times are the API server's.

Changes are made from the very instant of the burst on, whether those before them are served or not: new
objects of several kinds, of which the operator has seen one so far, and changes of the Roles of the burst,
which may be waiting, being audited, or done. One is served when there is a report on its very state.
"""

from __future__ import annotations

import asyncio
import itertools
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.bench.cluster import MadeUpCluster, OperatorProcess, made_up_cluster, operator_process, settle
from tests.bench.figures import Figure, quantile
from tests.bench.made_up import uid
from trivyop.controllers.audits.manifests import build_manifest
from trivyop.kube.resources import (
    CONFIGAUDITREPORTS,
    INGRESSES,
    LIMITRANGES,
    NAMESPACES,
    NETWORKPOLICIES,
    PERSISTENTVOLUMECLAIMS,
    RBACASSESSMENTREPORTS,
    RESOURCEQUOTAS,
    ROLES,
    SERVICES,
    ObjectKey,
    Resource,
)
from trivyop.report import keys
from trivyop.sandbox.apiserver.storage import Change
from trivyop.sandbox.programs import trivy

_ROLES = 10_000
_SECONDS_PER_ROLE = 0.015
_START_SECONDS = 0.6
_CHANGES_AFTER_SECONDS = (0.0, 0.2, 0.5, 1.0, 2.0, 3.0)  # and from then on every second
_SPECS: dict[Resource, dict[str, Any]] = {
    SERVICES: {"ports": [{"port": 80}]},
    NETWORKPOLICIES: {"podSelector": {}},
    LIMITRANGES: {"limits": []},
    RESOURCEQUOTAS: {"hard": {"pods": "10"}},
    PERSISTENTVOLUMECLAIMS: {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
    INGRESSES: {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
}
_CHANGED = (
    *(SERVICES, ROLES, NETWORKPOLICIES, SERVICES, LIMITRANGES, ROLES, RESOURCEQUOTAS),
    *(PERSISTENTVOLUMECLAIMS, INGRESSES),
)
_PATIENCE_SECONDS = 900
_CHECKS = 60  # that a Role passes

_STUB = f"""\
import json, os, sys, time
if "--version" in sys.argv:
    print("Version: 0.76.0")
    sys.exit()
files = sorted(os.listdir("inputs"))
time.sleep({_START_SECONDS} + {_SECONDS_PER_ROLE} * len(files))
with open("result", "w") as result:
    for place, name in enumerate(files):
        result.write(json.dumps(["t", name]) + "\\n")
        for number in range({_CHECKS}):
            if place == 0:
                texts = ["Title", "Description " * 10, "Resolution " * 10, "HIGH"]
                told = ["c", f"builtin.kubernetes.KSV{{number:03}}", f"KSV-{{number:04}}", *texts]
                result.write(json.dumps(told) + "\\n")
            failed = json.dumps(["f", number, "FAIL", "Role should not do that"])
            result.write((failed if number == 0 else str(number)) + "\\n")
"""
_ENVIRON = {
    "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "true",
    "OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED": "true",
    "OPERATOR_AUDIT_PROCESSES": "2",
}


class _Watching:
    """When reports were accepted."""

    def __init__(self) -> None:
        self.roles = 0
        self.complete = asyncio.Event()
        self.last = 0.0
        self._states: dict[tuple[str, str], tuple[str, float]] = {}  # by kind and name
        self._awaited: dict[tuple[str, str, str], asyncio.Future[float]] = {}

    def told(self, change: Change) -> None:
        """A report was written, or goes."""
        if change.new is None:
            return
        now, labels = time.monotonic(), change.new.labels
        kind, name, state = labels[keys.RESOURCE_KIND], labels[keys.RESOURCE_NAME], labels[keys.SPEC_HASH]
        self._states[kind, name] = state, now
        awaited = self._awaited.pop((kind, name, state), None)
        if awaited is not None:
            awaited.set_result(now)
        if kind == ROLES.kind and change.old is None:
            self.roles += 1
            self.last = now
            if self.roles >= _ROLES:
                self.complete.set()

    async def report_on(self, kind: str, name: str, state: str) -> float:
        """When there was a report on this state; waits for it."""
        told = self._states.get((kind, name))
        if told is not None and told[0] == state:
            return told[1]
        awaited = self._awaited[kind, name, state] = asyncio.get_running_loop().create_future()
        return await awaited


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a burst took; times in seconds, memory in bytes."""

    waits: list[float]  # from each change to its report, in the order of the changes
    seconds: float
    idle: int
    peak: int
    cpu: float
    coreless: float


async def measure() -> list[Figure]:
    """Measure both."""
    real = await _burst(trivy())
    with tempfile.TemporaryDirectory(prefix="trivyop-bench-") as directory:
        stub = await _burst(await asyncio.to_thread(_install, Path(directory)))
    return [
        Figure("audit_backlog", f"{_ROLES} Roles audited, real Trivy", real.seconds, "s"),
        *_wait_figures(real, ", real Trivy"),
        Figure("audit_backlog", f"{_ROLES} Roles audited", stub.seconds, "s"),
        Figure("audit_backlog", "of which Trivy", _ROLES * _SECONDS_PER_ROLE / 2, "s"),
        Figure("audit_backlog", "operator, CPU", stub.cpu, "s"),
        Figure("audit_backlog", "operator, without a core", stub.coreless, "s"),
        Figure("audit_backlog", "memory when idle", stub.idle / 2**20, "MiB"),
        Figure(
            *("audit_backlog", "memory above idle", (stub.peak - stub.idle) / 2**20, "MiB", 150),
            at_least=False,
        ),
        *_wait_figures(stub, ""),
    ]


def _wait_figures(measured: _Measured, words: str) -> list[Figure]:
    waits = measured.waits
    return [
        Figure("audit_backlog", f"changes meanwhile{words}", len(waits), ""),
        Figure("audit_backlog", f"change to report, in the instant of the burst{words}", waits[0], "s"),
        Figure("audit_backlog", f"change to report, median{words}", quantile(waits, 0.5), "s"),
        Figure("audit_backlog", f"change to report, longest{words}", max(waits), "s", 2, at_least=False),
    ]


async def _burst(program: Path) -> _Measured:
    async with made_up_cluster() as cluster:
        watching = _Watching()
        cluster.listen(RBACASSESSMENTREPORTS, watching.told)
        cluster.listen(CONFIGAUDITREPORTS, watching.told)
        await cluster.api.create(NAMESPACES, {"metadata": {"name": "shop"}})
        settle()
        environ = {**_ENVIRON, "OPERATOR_TRIVY_PROGRAM": str(program)}
        async with operator_process(cluster, environ) as operator:
            return await _measure(cluster, operator, watching)


def _install(directory: Path) -> Path:
    program = directory / "trivy"
    program.write_text(f"#!{sys.executable} -S\n{_STUB}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


async def _measure(cluster: MadeUpCluster, operator: OperatorProcess, watching: _Watching) -> _Measured:
    await operator.until_told("operator_running")
    await _change(cluster, watching, SERVICES, "first")
    await operator.until_quiet()
    await operator.until_learned()
    idle, _ = operator.memory()
    waited = operator.wait_seconds()
    began = time.monotonic()
    for n in range(_ROLES):
        cluster.put(ROLES, _role(n))
    async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        burst = time.monotonic()
        changes: list[asyncio.Task[float]] = []
        for n, after in enumerate(_instants()):
            await asyncio.sleep(burst + after - time.monotonic())
            if watching.complete.is_set():
                break
            resource = _CHANGED[n % len(_CHANGED)]
            name = f"change-{n}" if resource is not ROLES else _role_name(n * 197 % _ROLES)
            changes.append(group.create_task(_change(cluster, watching, resource, name)))
    waits = [change.result() for change in changes]
    seconds = watching.last - began
    _, peak = operator.memory()
    cpu = operator.cpu_seconds()
    waited = operator.wait_seconds() - waited
    await operator.stop()
    return _Measured(waits, seconds, idle, peak, cpu, waited)


def _instants() -> Iterator[float]:
    yield from _CHANGES_AFTER_SECONDS
    yield from itertools.count(int(_CHANGES_AFTER_SECONDS[-1]) + 1)


async def _change(cluster: MadeUpCluster, watching: _Watching, resource: Resource, name: str) -> float:
    """Make an object, or change a Role, as a person would; returns the seconds until its report was there."""
    began = time.monotonic()
    key = ObjectKey("shop", name)
    if resource is ROLES:
        label = {"metadata": {"labels": {"team": "checkout"}}}
        made = await cluster.api.patch(ROLES, key, label)
    else:
        meta = {"name": key.name, "namespace": key.namespace}
        made = await cluster.api.create(resource, {"metadata": meta, "spec": _SPECS[resource]})
    state = build_manifest(orjson.dumps(made), resource).state
    return await watching.report_on(resource.kind, name, state) - began


def _role_name(n: int) -> str:
    return f"role-{n:05d}"


def _role(n: int) -> dict[str, Any]:
    key = ObjectKey("shop", _role_name(n))
    return {
        "apiVersion": ROLES.api_version,
        "kind": ROLES.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "uid": uid("Role", n),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "rules": [{"apiGroups": [""], "resources": ["secrets", "pods"], "verbs": ["get", "list", "watch"]}],
    }
