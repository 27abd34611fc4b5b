"""Launch: everything a container's process starts with, gathered anew for each start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trivyop.kube.config import SERVICE_ACCOUNT_VARIABLE
from trivyop.sandbox.changes import Json
from trivyop.sandbox.kubelet.environment import build_command, build_environment
from trivyop.sandbox.kubelet.faults import Fault, Kind
from trivyop.sandbox.kubelet.machine import SERVICE_ACCOUNT_DIR, Machine
from trivyop.sandbox.kubelet.sources import Sources
from trivyop.sandbox.kubelet.volumes import Volumes, build_paths

_TMP, _HOME = "/tmp", "/root"  # noqa: S108 - paths inside the container
_TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start, and how."""

    command: list[str]
    environment: dict[str, str]
    directory: Path
    termination_log: Path


async def prepare(
    machine: Machine, pod: Json, container: Json, directory: Path, volumes: Volumes, fault: Fault | None
) -> Launch:
    """Gather it; ``directory`` is the container's own. Raises ``ConfigMissingError``."""
    termination_log = directory / "termination-log"
    termination_log.unlink(missing_ok=True)
    own = {
        **machine.programs(),
        _TMP: _made(directory / "tmp"),
        _HOME: _made(directory / "home"),
        container.get("terminationMessagePath") or _TERMINATION_LOG: str(termination_log),
    }
    paths = build_paths(container, volumes, own, {})
    meta = pod["metadata"]
    base = machine.base_environment() | {
        "HOSTNAME": meta["name"],
        "HOME": paths.locate(_HOME) or "",
        "TMPDIR": paths.locate(_TMP) or "",
    }
    if account := paths.locate(SERVICE_ACCOUNT_DIR):
        base[SERVICE_ACCOUNT_VARIABLE] = account
    environment = await build_environment(pod, container, sources_of(machine, pod), paths, base)
    command = build_command(container, environment, paths)
    match fault:
        case Fault(Kind.HANG | Kind.OOM):  # what is to be killed must not be done before
            command = ["/bin/sleep", "infinity"]
        case Fault(Kind.EXIT, code):
            command = ["/bin/sh", "-c", f"exit {code}"]
        case _:
            pass
    place = paths.locate(container.get("workingDir") or "") or str(directory / "root")
    return Launch(command, environment, Path(_made(Path(place))), termination_log)


def sources_of(machine: Machine, pod: Json) -> Sources:
    """Where the Pod's configuration is read, with its own service account."""

    async def token(audience: str, seconds: int) -> str:
        return await machine.token(pod, audience, seconds)

    return Sources(machine.api, pod["metadata"]["namespace"], token)


def _made(directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    return str(directory)
