"""Pod states: the one word that a table has for all that goes on in a pod.

The pod's own reason counts first, then the first init container that is not done, then its containers, of
which the first in order that waits or ended badly is named; and deletion trumps all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trivyop.sandbox.apiserver.objects import durations
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at

Obj = dict[str, Any]


@dataclass(slots=True)
class PodState:
    """What a table's row says of a pod's containers."""

    ready: int = 0
    total: int = 0
    reason: str = "Unknown"
    restarts: str = "0"
    gates: str = "<none>"


@dataclass(slots=True)
class _Restarts:
    count: int = 0
    last: str = ""

    def add(self, status: Obj) -> None:
        self.count += status.get("restartCount", 0)
        ended = fields_at(status, "lastState", "terminated").get("finishedAt")
        self.last = max(self.last, ended or "")


def state_of(pod: Obj, now: datetime) -> PodState:
    """The state of a pod as it prints at ``now``."""
    spec, status = fields_at(pod, "spec"), fields_at(pod, "status")
    conditions: dict[str, Obj] = {c.get("type", ""): c for c in list_at(status, "conditions")}
    sidecars = {c["name"] for c in list_at(spec, "initContainers") if c.get("restartPolicy") == "Always"}
    state = PodState(total=len(list_at(spec, "containers")) + len(sidecars))
    state.reason = status.get("reason") or status.get("phase") or "Unknown"
    scheduled = fields_at(conditions, "PodScheduled")
    if scheduled.get("reason") == "SchedulingGated":
        state.reason = "SchedulingGated"
    restarts = _Restarts()
    starting = _init_reason(pod, state, sidecars, restarts)
    if starting:
        state.reason = starting
    if not starting or fields_at(conditions, "Initialized").get("status") == "True":
        if not starting:
            restarts = _Restarts(*_sidecar_restarts(status, sidecars))
        _main_reason(status, state, restarts, ready=fields_at(conditions, "Ready").get("status") == "True")
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            state.reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            state.reason = "Terminating"
    state.restarts = str(restarts.count)
    if restarts.count and restarts.last:
        state.restarts += f" ({durations.age(restarts.last, now)} ago)"
    if gates := spec.get("readinessGates"):
        true = sum(
            conditions.get(gate.get("conditionType", ""), {}).get("status") == "True" for gate in gates
        )
        state.gates = f"{true}/{len(gates)}"
    return state


def _init_reason(pod: Obj, state: PodState, sidecars: set[str], restarts: _Restarts) -> str:
    """Why init containers are not done yet; empty if they are."""
    total = len(list_at(pod, "spec", "initContainers"))
    for index, container in enumerate(list_at(pod, "status", "initContainerStatuses")):
        restarts.add(container)
        now: Obj = fields_at(container, "state")
        ended, waiting = now.get("terminated"), fields_at(now, "waiting")
        if ended is not None and ended.get("exitCode", 0) == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            state.ready += bool(container.get("ready"))
            continue
        if ended is not None:
            return f"Init:{_end_reason(ended)}"
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{total}"
    return ""


def _sidecar_restarts(status: Obj, sidecars: set[str]) -> tuple[int, str]:
    restarts = _Restarts()
    for container in list_at(status, "initContainerStatuses"):
        if container.get("name") in sidecars:
            restarts.add(container)
    return restarts.count, restarts.last


def _main_reason(status: Obj, state: PodState, restarts: _Restarts, *, ready: bool) -> None:
    running = False
    for container in reversed(list_at(status, "containerStatuses")):
        restarts.add(container)
        now: Obj = fields_at(container, "state")
        waiting, ended = fields_at(now, "waiting"), now.get("terminated")
        if waiting.get("reason"):
            state.reason = waiting["reason"]
        elif ended is not None:
            state.reason = _end_reason(ended)
        elif container.get("ready") and now.get("running") is not None:
            running = True
            state.ready += 1
    if state.reason == "Completed" and running:
        state.reason = "Running" if ready else "NotReady"


def _end_reason(ended: Obj) -> str:
    if ended.get("reason"):
        return ended["reason"]
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"
