"""A stub for everything between a scan Job and its result: each scan takes the same time, and no CPU.

It stands in for scheduler, kubelet and Trivy: a Job that is created has a pod at once, and is finished when
its time is over, if it is still there; its pod's log is what a scan once found, as that Job's result. Logs
are served over HTTPS, as kubelets do. All moments are those of the server's storage.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.bench.cluster import MadeUpCluster
from trivyop.kube.resources import JOBS, NODES, PODS
from trivyop.sandbox.apiserver.storage import Change
from trivyop.scan.framing import BOM_PART, RESULT_PART
from trivyop.scan.job import ATTEMPT_ANNOTATION, CONTAINER_NAME, IMAGE_ANNOTATION, IMAGE_SCAN_LABEL, scan_id

NODE = "node-0"
PLATFORM = "linux/amd64"
_RECORDED = Path(__file__).parents[1] / "faults" / "recorded"
_TIME = "2026-01-01T00:00:00Z"


class StubNode:
    """Runs the scan Jobs of a cluster."""

    def __init__(self, cluster: MadeUpCluster, seconds: float) -> None:
        self.created: dict[str, float] = {}  # by scan; monotonic time, as all here
        self.finished: dict[str, float] = {}
        self.most_at_once = 0
        self._cluster = cluster
        self._seconds = seconds
        self._going = 0
        self._result = (_RECORDED / "result.json").read_text()
        self._bom = (_RECORDED / "bom.json").read_text()
        self._references: dict[str, str] = {}  # by pod
        self._ids: dict[str, str] = {}  # by pod
        cluster.listen(JOBS, self._changed)

    def _changed(self, change: Change) -> None:
        loop = asyncio.get_running_loop()
        if change.old is None and change.new is not None:
            scan = change.new.labels[IMAGE_SCAN_LABEL]
            self.created[scan] = time.monotonic()
            self._going += 1
            self.most_at_once = max(self.most_at_once, self._going)
            loop.call_later(self._seconds, self._finish, change.new.namespace, change.new.name, scan)
        elif change.new is None and change.old is not None:
            namespace, name = change.old.namespace, change.old.name
            loop.call_soon(self._remove_pod, namespace, f"{name}-pod")

    def _finish(self, namespace: str, name: str, scan: str) -> None:
        served = self._cluster.served(JOBS)
        stored = served.bucket.get(namespace, name)
        self._going -= 1
        if stored is None:
            return
        job = served.obj(stored)
        meta = job["metadata"]
        owner = meta["ownerReferences"][0]
        pod = f"{name}-pod"
        self._ids[pod] = scan_id(scan, int(meta["annotations"][ATTEMPT_ANNOTATION]), owner["uid"])
        self._references[pod] = meta["annotations"][IMAGE_ANNOTATION]
        self._cluster.put(PODS, _ended_pod(namespace, pod, job))
        complete = {"type": "Complete", "status": "True", "lastTransitionTime": _TIME}
        served.put({**job, "status": {"succeeded": 1, "conditions": [complete]}})
        self.finished[scan] = time.monotonic()

    def _remove_pod(self, namespace: str, name: str) -> None:
        bucket = self._cluster.served(PODS).bucket
        stored = bucket.get(namespace, name)
        if stored is not None:
            bucket.remove(stored)

    async def log(self, request: web.Request) -> web.Response:
        """The log of a pod's container."""
        pod = request.match_info["pod"]
        reference, scan = self._references[pod], self._ids[pod]
        text = _frame(scan, RESULT_PART, self._result.replace("@REFERENCE@", reference))
        text += _frame(scan, BOM_PART, self._bom.replace("@REFERENCE@", reference))
        done = f"trivyop/1 done scan={scan} parts=2 exit=0"
        check = hashlib.sha256(done.encode()).hexdigest()[:16]
        return web.Response(text=f"{text}{done} check={check}\n")


@asynccontextmanager
async def stub_node(cluster: MadeUpCluster, *, seconds: float) -> AsyncGenerator[StubNode]:
    """Run the stub for the block; scans take so many seconds."""
    node = StubNode(cluster, seconds)
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", node.log)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = cluster.server.pki.server_context(f"system:node:{NODE}", ("127.0.0.1", NODE))
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    cluster.put(NODES, node_object(NODE, runner.addresses[0][1]))
    try:
        yield node
    finally:
        await runner.cleanup()


def node_object(name: str, port: int = 10250) -> dict[str, Any]:
    """A Node of our platform."""
    system, architecture = PLATFORM.split("/")
    return {
        "metadata": {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": _TIME},
        "spec": {},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "nodeInfo": {"operatingSystem": system, "architecture": architecture},
        },
    }


def _ended_pod(namespace: str, name: str, job: dict[str, Any]) -> dict[str, Any]:
    meta, template = job["metadata"], job["spec"]["template"]
    labels = {**template["metadata"]["labels"], "batch.kubernetes.io/job-name": meta["name"]}
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": _TIME,
            "labels": labels,
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {**template["spec"], "nodeName": NODE},
        "status": {"phase": "Succeeded", "containerStatuses": [{"name": CONTAINER_NAME, "state": ended}]},
    }


def _frame(scan: str, part: str, text: str) -> str:
    data = text.encode()
    body = base64.encodebytes(gzip.compress(data, compresslevel=1)).decode()
    digest = hashlib.sha256(data).hexdigest()
    return (
        f"trivyop/1 begin scan={scan} part={part} encoding=gzip+base64\n{body}"
        f"trivyop/1 end scan={scan} part={part} bytes={len(data)} sha256={digest}\n"
    )
