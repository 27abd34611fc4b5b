"""Statuses: what a kubelet writes into a Pod's status. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from trivyop.sandbox.changes import Json, set_condition

MANAGED_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running yet, or not at the moment."""

    reason: str
    message: str = ""

    def to_json(self) -> Json:
        return {"waiting": _filled({"reason": self.reason, "message": self.message})}


@dataclass(frozen=True, slots=True)
class Running:
    """Running since then."""

    started_at: str

    def to_json(self) -> Json:
        return {"running": {"startedAt": self.started_at}}


@dataclass(frozen=True, slots=True)
class Terminated:
    """Ended."""

    exit_code: int
    reason: str
    started_at: str
    finished_at: str
    message: str = ""
    container_id: str = ""
    signal: int = 0

    def to_json(self) -> Json:
        optional = {
            "signal": self.signal,
            "reason": self.reason,
            "message": self.message,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "containerID": self.container_id,
        }
        return {"terminated": {"exitCode": self.exit_code, **_filled(optional)}}


State = Waiting | Running | Terminated


@dataclass(slots=True)
class Container:
    """One container's part of the status, as it stands."""

    name: str
    image: str
    state: State = field(default_factory=lambda: Waiting("ContainerCreating"))
    last_state: Terminated | None = None
    image_id: str = ""
    container_id: str = ""
    ready: bool = False
    restart_count: int = 0
    sidecar: bool = False  # an init container that goes on running

    def to_json(self) -> Json:
        """The container status."""
        status: Json = {
            "name": self.name,
            "state": self.state.to_json(),
            "lastState": self.last_state.to_json() if self.last_state else {},
            "ready": self.ready,
            "restartCount": self.restart_count,
            "image": self.image,
            "imageID": self.image_id,
            "started": isinstance(self.state, Running),
        }
        if self.container_id:
            status["containerID"] = self.container_id
        return status

    @property
    def succeeded(self) -> bool:
        return isinstance(self.state, Terminated) and self.state.exit_code == 0

    @property
    def done_or_started(self) -> bool:
        """For an init container: what comes after it may start."""
        return self.succeeded or (self.sidecar and not isinstance(self.state, Waiting))


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a Pod's status is made of, besides its containers."""

    restart_policy: str
    started_at: str
    host_ip: str
    pod_ip: str = ""
    conditions: Sequence[Mapping[str, Any]] = ()  # those that were there
    alive: bool = (
        False  # there are processes, or more to come: it has not ended, whatever its containers have
    )
    mounted: bool = True  # its volumes are there, and so the room that its containers share
    stopped: bool = False  # its processes were ended, and will not start again
    ended: tuple[str, str] | None = None  # reason and message, if the Pod as a whole was ended


def phase_of(facts: PodFacts, init: Sequence[Container], main: Sequence[Container]) -> str:
    """The phase that these container states make."""
    phase = _phase(facts, init, main)
    if facts.alive and phase in ("Succeeded", "Failed"):
        return "Pending" if all(isinstance(c.state, Waiting) for c in main) else "Running"
    return phase


def _phase(facts: PodFacts, init: Sequence[Container], main: Sequence[Container]) -> str:
    if facts.ended is not None:
        return "Failed"
    if facts.stopped:
        return "Succeeded" if all(c.succeeded for c in main) else "Failed"
    ends = [c.state for c in main if isinstance(c.state, Terminated)]
    failed_init = any(isinstance(c.state, Terminated) and c.state.exit_code for c in init if not c.sidecar)
    if facts.restart_policy == "Never" and failed_init:
        return "Failed"
    if not all(c.done_or_started for c in init) and not any(not isinstance(c.state, Waiting) for c in main):
        return "Pending"
    sidecars_run = any(isinstance(c.state, Running) for c in init if c.sidecar)
    if main and len(ends) == len(main) and facts.restart_policy != "Always" and not sidecars_run:
        if all(end.exit_code == 0 for end in ends):
            return "Succeeded"
        if facts.restart_policy == "Never":
            return "Failed"
    if all(isinstance(c.state, Waiting) and not c.last_state for c in main):
        return "Pending"
    return "Running"


def build_status(
    facts: PodFacts,
    init: Sequence[Container],
    main: Sequence[Container],
    ephemeral: Sequence[Container] = (),
    *,
    stamp: str,
) -> Json:
    """The whole of what a kubelet reports of a Pod; ``stamp`` is for conditions that change."""
    phase = phase_of(facts, init, main)
    initialized = all(c.done_or_started for c in init)
    unready = [c.name for c in main if not c.ready]
    reason = ""
    if phase in ("Succeeded", "Failed"):
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
    elif unready:
        reason = "ContainersNotReady"
    named = " ".join(unready)
    unready_text = f"containers with unready status: [{named}]" if reason == "ContainersNotReady" else ""
    incomplete = [c.name for c in init if not c.done_or_started]
    not_initialized = f"containers with incomplete status: [{' '.join(incomplete)}]"
    running = phase in ("Pending", "Running")
    wanted = [
        ("PodReadyToStartContainers", running and facts.mounted, "", ""),
        ("Initialized", initialized, "" if initialized else "ContainersNotInitialized", not_initialized),
        ("Ready", not reason, reason, unready_text),
        ("ContainersReady", not reason, reason, unready_text),
    ]
    conditions: list[Json] = [dict(condition) for condition in facts.conditions]
    for type_, true, why, message in wanted:
        condition: Json = {"type": type_, "status": "True" if true else "False", "lastTransitionTime": stamp}
        if why:
            condition |= _filled({"reason": why, "message": message})
        conditions = set_condition(conditions, condition)
    status: Json = {
        "phase": phase,
        "conditions": conditions,
        "hostIP": facts.host_ip,
        "hostIPs": [{"ip": facts.host_ip}],
        "startTime": facts.started_at,
        "containerStatuses": _statuses(main),
    }
    if facts.pod_ip:
        status |= {"podIP": facts.pod_ip, "podIPs": [{"ip": facts.pod_ip}]}
    if init:
        status["initContainerStatuses"] = [c.to_json() for c in init]
    if ephemeral:
        status["ephemeralContainerStatuses"] = _statuses(ephemeral)
    if facts.ended is not None:
        status |= {"reason": facts.ended[0], "message": facts.ended[1]}
    return status


def container_id(uid: str, name: str, run: int = 0) -> str:
    """The id that a container runtime might give to a container's run."""
    return f"containerd://{sha256(f'{uid} {name} {run}'.encode()).hexdigest()}"


def _statuses(containers: Iterable[Container]) -> list[Json]:
    return [container.to_json() for container in sorted(containers, key=lambda c: c.name)]


def _filled(fields: Mapping[str, Any]) -> Json:
    return {name: value for name, value in fields.items() if value}
