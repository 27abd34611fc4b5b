"""Webhooks: the real operator tells real receivers what it wrote, through changes, crashes and restarts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.e2e.harness import (
    NAMESPACE,
    Cluster,
    operator_process,
    pod,
    running_cluster,
    running_operator,
)
from tests.e2e.looking import until_event
from tests.e2e.programs import ROOT
from tests.e2e.test_permissions import KINDS, OWN_SECRETS_ONLY, USER, grant
from tests.faults.scanner import WITHOUT_DATABASE, Scanner, image
from trivyop.kube.resources import CONFIGMAPS, PODS, SECRETS, VULNERABILITYREPORTS, ObjectKey
from trivyop.notify.endpoint import DEFAULT_CONCURRENCY

Json = dict[str, Any]
CONFIG = "trivyop-webhooks"


@dataclass
class Receiver:
    """Notes down what comes."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list[Any])
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        async with self.came:
            self.got.append((dict(request.headers), body))
            self.came.notify_all()
        return web.Response()

    @property
    def delivered(self) -> list[tuple[str, str, str]]:
        """Verb, kind and name of each, of the Go operator's format."""
        bodies = [json.loads(body) for _, body in self.got]
        return [
            (one["verb"], one["operatorObject"]["kind"], one["operatorObject"]["metadata"]["name"])
            for one in bodies
        ]

    @property
    def types(self) -> set[str]:
        """Of the CloudEvents among them."""
        return {json.loads(body).get("type", "") for _, body in self.got}

    async def until(self, reached: Callable[[], bool], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds), self.came:
            await self.came.wait_for(reached)


@asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


async def configure_endpoints(cluster: Cluster, *endpoints: Json) -> None:
    meta = {"name": CONFIG, "namespace": NAMESPACE}
    data = {"endpoints": yaml.safe_dump(list(endpoints))}
    await cluster.api.apply(
        CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
    )


async def put_secret(cluster: Cluster, name: str, **data: str) -> None:
    meta = {"name": name, "namespace": NAMESPACE}
    await cluster.api.apply(
        SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}
    )


async def test_reports_are_told_once_across_a_kill_and_deletions_with_what_was_deleted(
    tmp_path: Path,
) -> None:
    """The operator is killed as the last request comes, and a report goes while it is away.

    What comes again is at most what was in hand then.
    """
    kinds = ("ExposedSecretReport", "SbomReport", "VulnerabilityReport")
    gone = {("delete", kind, "pod-p0-app") for kind in kinds}
    new = {("update", kind, "pod-p3-app") for kind in kinds}
    scanner = Scanner.install(tmp_path / "scanner")
    log = tmp_path / "log"
    async with (
        receiving() as receiver,
        running_cluster(tmp_path, programs_first=scanner.directory) as cluster,
    ):
        await configure_endpoints(cluster, {"name": "archive", "url": receiver.url, "deletes": True})
        await cluster.create(*(pod(f"p{n}", "shop", app=image(n)) for n in range(3)))
        async with operator_process(cluster, log=log, environ=WITHOUT_DATABASE) as process:
            await receiver.until(lambda: len(set(receiver.delivered)) == 9)
            process.kill()
            await process.wait()
        before = list(receiver.delivered)
        await cluster.api.delete(PODS, ObjectKey("shop", "p0"), grace_seconds=0)
        await cluster.until(lambda found: len(found) == 2, VULNERABILITYREPORTS, "shop", what="collected")
        await cluster.create(pod("p3", "shop", app=image(3)))

        async with operator_process(cluster, log=log, environ=WITHOUT_DATABASE):
            await receiver.until(lambda: gone | new <= set(receiver.delivered[len(before) :]))
            (report,) = [
                one
                for one in await cluster.list(VULNERABILITYREPORTS, "shop")
                if one["metadata"]["name"] == "pod-p1-app"
            ]
            await cluster.api.delete(PODS, ObjectKey("shop", "p1"), grace_seconds=0)
            await receiver.until(
                lambda: ("delete", "VulnerabilityReport", "pod-p1-app") in receiver.delivered
            )

    assert set(before) == {("update", kind, f"pod-p{n}-app") for kind in kinds for n in range(3)}
    after = receiver.delivered[len(before) :]
    assert {one for one in after if one[2] == "pod-p0-app"} == gone
    assert len([one for one in after if one in before]) <= DEFAULT_CONCURRENCY
    assert sorted(one for one in after if one not in before and one[2] != "pod-p1-app") == sorted(gone | new)
    place = receiver.delivered.index(("delete", "VulnerabilityReport", "pod-p1-app"))
    deleted = json.loads(receiver.got[place][1])["operatorObject"]
    assert deleted["metadata"]["uid"] == report["metadata"]["uid"]
    assert deleted["report"] == report["report"]
    assert "Traceback" not in log.read_text()


async def test_endpoints_come_go_and_change_while_the_operator_runs_with_the_shipped_permissions(
    tmp_path: Path,
) -> None:
    """A bad endpoint is told of by an Event, and harms no other; a failed scan is told of, signed."""
    async with receiving() as receiver, running_cluster(tmp_path) as cluster:
        await grant(cluster)
        component = ROOT / "deploy" / "kustomize" / "components" / "webhooks" / "rbac.yaml"
        for body in yaml.safe_load_all(component.read_text()):
            body["metadata"]["namespace"] = NAMESPACE
            for subject in body.get("subjects", ()):
                subject["namespace"] = NAMESPACE
            await cluster.api.apply(KINDS[body["kind"]], body)
        good, bad = cluster.image("library/single:1"), cluster.image("shop/none:1")
        await cluster.create(pod("good", "shop", app=good), pod("bad", "shop", app=bad))
        environ = {**OWN_SECRETS_ONLY, **WITHOUT_DATABASE}
        async with running_operator(cluster, user=USER, environ=environ) as operator:
            await cluster.until_reported("shop/Pod/good/app")
            await until_event(cluster, "shop", "bad", "ImageScanFailed")
            await put_secret(cluster, "siem", key="whsec_" + base64.b64encode(b"k" * 32).decode())
            signed = {"secretRef": {"name": "siem", "key": "key"}}
            siem = {"name": "siem", "url": receiver.url, "format": "cloudevents", "signature": signed}
            await configure_endpoints(cluster, siem, {"name": "typo", "url": receiver.url, "filtr": {}})
            event = await until_event(cluster, NAMESPACE, CONFIG, "WebhookMisconfigured")
            await receiver.until(lambda: {"report.updated", "scan.failed"} <= receiver.types)
            mentioned = operator.health.mentions().get("webhooks", "")

            await configure_endpoints(cluster)
            await cluster.api.delete(PODS, ObjectKey("shop", "good"), grace_seconds=0)
            await cluster.until(lambda found: not found, VULNERABILITYREPORTS, "shop")
        denied = [one for one in cluster.requests if one.user == USER and one.status == 403]

    assert "endpoint 'typo': filtr: is not known; did you mean filter?" in event["message"]
    assert "endpoint 'typo'" in mentioned
    assert denied == []
    for headers, body in receiver.got:
        lower = {name.lower(): value for name, value in headers.items()}
        content = f"{lower['webhook-id']}.{lower['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(b"k" * 32, content, hashlib.sha256).digest()).decode()
        assert lower["webhook-signature"] == f"v1,{expected}"
    assert "report.deleted" not in receiver.types
    (failed,) = [one for _, body in receiver.got if (one := json.loads(body))["type"] == "scan.failed"]
    assert failed["data"]["workloads"] == ["Pod/shop/bad"]
