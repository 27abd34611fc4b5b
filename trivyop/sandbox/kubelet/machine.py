"""Machine: what a node gives to every Pod that it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from trivyop.control.clock import Clock
from trivyop.kube.client import Api
from trivyop.kube.events import EventRecorder, ObjectReference
from trivyop.kube.resources import SERVICEACCOUNTS, ObjectKey
from trivyop.kube.times import format_time
from trivyop.sandbox.changes import Json
from trivyop.sandbox.kubelet.faults import Faults
from trivyop.sandbox.kubelet.images import ImageResolver
from trivyop.sandbox.kubelet.logs import MAX_BYTES

HOST_IP = "127.0.0.1"
SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True)
class Machine:
    """One node's means."""

    api: Api
    clock: Clock
    images: ImageResolver
    root: Path
    platform: str = "linux/amd64"
    api_url: str = ""  # for Pods that speak to the API server
    faults: Faults = field(default_factory=Faults)
    max_log_bytes: int = MAX_BYTES
    programs_first: Path | None = None  # a folder whose programs stand in for the installed ones
    events: EventRecorder | None = None  # None: nothing is told

    def tell(self, pod: Json, reason: str, message: str) -> None:
        """Tell of a Pod's trouble in an Event, as a kubelet does."""
        if self.events is not None:
            meta = pod["metadata"]
            about = ObjectReference("v1", "Pod", ObjectKey(meta["namespace"], meta["name"]), meta["uid"])
            self.events.event(about, "Warning", reason, message)

    def stamp(self) -> str:
        """Now, as the API writes times."""
        return format_time(self.clock.now())

    def base_environment(self) -> dict[str, str]:
        """What every process here starts with."""
        first = [str(self.programs_first)] if self.programs_first is not None else []
        first.append(str(Path(sys.executable).parent))
        usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        environment = {
            "PATH": os.pathsep.join(first + usual),
            "LANG": "C.UTF-8",
        }
        if self.api_url:
            url = urlsplit(self.api_url)
            host, port = url.hostname or "", str(url.port or 443)
            environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
            environment |= {"KUBERNETES_SERVICE_PORT_HTTPS": port, "KUBERNETES_PORT": f"tcp://{host}:{port}"}
        return environment

    def programs(self) -> Mapping[str, str]:
        """Programs where images have them, and where they are here: for Pods that copy them."""
        here = Path(sys.executable).parent
        found = {f"/usr/local/bin/{name}": here / name for name in ("trivy", "trivyop")}
        return {path: str(target) for path, target in found.items() if target.exists()}

    async def token(self, pod: Json, audience: str, seconds: int) -> str:
        """A token of the Pod's service account, bound to the Pod as nodes have to ask for it."""
        meta = pod["metadata"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": max(600, seconds),
                "boundObjectRef": bound,
            },
        }
        answer = await self.api.create(
            SERVICEACCOUNTS,
            request,
            namespace=meta["namespace"],
            name=pod["spec"].get("serviceAccountName") or "default",
            subresource="token",
        )
        return str(answer["status"]["token"])
