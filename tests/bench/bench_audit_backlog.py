"""Audit backlog: 10,000 Roles arrive at once; what it takes of memory, and who waits because of it.

Trivy is a stub that takes as long as Trivy takes for a Role on a core of its own, and no CPU, so what is
measured is the operator: what it holds while thousands wait, and that a change which somebody makes meanwhile
is served at once. What Trivy itself needs is measured by the bench `audits`. Times are the API server's.
"""

from __future__ import annotations

import asyncio
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.cluster import MadeUpCluster, OperatorProcess, made_up_cluster, operator_process, settle
from tests.bench.figures import Figure, quantile
from tests.bench.made_up import uid
from trivyop.kube.resources import (
    CONFIGAUDITREPORTS,
    NAMESPACES,
    RBACASSESSMENTREPORTS,
    ROLES,
    SERVICES,
    ObjectKey,
)
from trivyop.report import keys
from trivyop.sandbox.apiserver.storage import Change

_ROLES = 10_000
_SECONDS_PER_ROLE = 0.015
_START_SECONDS = 0.6
_CHANGES_EVERY_SECONDS = 1.0
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
        self._services: dict[str, asyncio.Event] = {}

    def role_told(self, change: Change) -> None:
        self.roles += change.old is None
        self.last = time.monotonic()
        if self.roles >= _ROLES:
            self.complete.set()

    def service_told(self, change: Change) -> None:
        if change.new is not None:
            self.of_service(change.new.labels[keys.RESOURCE_NAME]).set()

    def of_service(self, name: str) -> asyncio.Event:
        return self._services.setdefault(name, asyncio.Event())


async def measure() -> list[Figure]:
    """Measure once."""
    with tempfile.TemporaryDirectory(prefix="trivyop-bench-") as directory:
        program = await asyncio.to_thread(_install, Path(directory))
        async with made_up_cluster() as cluster:
            watching = _Watching()
            cluster.listen(RBACASSESSMENTREPORTS, watching.role_told)
            cluster.listen(CONFIGAUDITREPORTS, watching.service_told)
            await cluster.api.create(NAMESPACES, {"metadata": {"name": "shop"}})
            await cluster.api.create(SERVICES, _service("first"), namespace="shop")
            settle()
            environ = {**_ENVIRON, "OPERATOR_TRIVY_PROGRAM": str(program)}
            async with operator_process(cluster, environ) as operator:
                return await _measure(cluster, operator, watching)


def _install(directory: Path) -> Path:
    program = directory / "trivy"
    program.write_text(f"#!{sys.executable} -S\n{_STUB}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


async def _measure(cluster: MadeUpCluster, operator: OperatorProcess, watching: _Watching) -> list[Figure]:
    await operator.until_told("operator_running")
    await watching.of_service("first").wait()
    await operator.until_quiet()
    idle, _ = operator.memory()
    began = time.monotonic()
    for n in range(_ROLES):
        cluster.put(ROLES, _role(n))
    waits: list[float] = []
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not watching.complete.is_set():
            waits.append(await _change_something(cluster, watching, len(waits)))
            await asyncio.sleep(_CHANGES_EVERY_SECONDS)
    seconds = watching.last - began
    _, peak = operator.memory()
    cpu = operator.cpu_seconds()
    await operator.stop()
    ideal = _ROLES * _SECONDS_PER_ROLE / 2
    return [
        Figure("audit_backlog", f"{_ROLES} Roles audited", seconds, "s"),
        Figure("audit_backlog", "of which Trivy", ideal, "s"),
        Figure("audit_backlog", "operator, CPU", cpu, "s"),
        Figure("audit_backlog", "memory when idle", idle / 2**20, "MiB"),
        Figure("audit_backlog", "memory above idle", (peak - idle) / 2**20, "MiB", 150, at_least=False),
        Figure("audit_backlog", "changes meanwhile", len(waits), ""),
        Figure("audit_backlog", "change to report, median", quantile(waits, 0.5), "s"),
        Figure("audit_backlog", "change to report, longest", max(waits), "s", 2, at_least=False),
    ]


async def _change_something(cluster: MadeUpCluster, watching: _Watching, n: int) -> float:
    """Make a Service, as a person would; returns the seconds until its report was there."""
    name = f"service-{n}"
    began = time.monotonic()
    await cluster.api.create(SERVICES, _service(name), namespace="shop")
    await watching.of_service(name).wait()
    return time.monotonic() - began


def _service(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}


def _role(n: int) -> dict[str, Any]:
    key = ObjectKey("shop", f"role-{n:05d}")
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
