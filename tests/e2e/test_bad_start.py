"""A cluster that lacks something, or settings that are wrong: said in one line, and the rest goes on."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
from structlog.testing import capture_logs

from tests.e2e.harness import (
    Cluster,
    configure,
    operator_process,
    pod,
    running_cluster,
    running_operator,
)
from tests.patience import patience
from trivyop.cli.manifests import crds
from trivyop.kube.resources import (
    CLUSTERSBOMREPORTS,
    CRDS,
    CRONJOBS,
    EXPOSEDSECRETREPORTS,
    IMAGESCANS,
    NAMESPACES,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.apiserver.faults import Rule


async def test_missing_report_kind_switches_off_what_needs_it(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        for kind in (SBOMREPORTS, CLUSTERSBOMREPORTS):
            await undefine(cluster, kind)
        await one_pod(cluster)
        with capture_logs() as logs:
            async with running_operator(cluster):
                await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS)
                await cluster.until(lambda found: len(found) == 1, EXPOSEDSECRETREPORTS)

    missing = [entry["kind"] for entry in logs if entry["event"] == "kind_missing"]
    assert sorted(missing) == sorted([SBOMREPORTS.name, CLUSTERSBOMREPORTS.name])


async def test_operator_waits_for_its_own_kind_and_says_so(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        (definition,) = [crd for crd in crds() if crd["spec"]["names"]["plural"] == IMAGESCANS.plural]
        await undefine(cluster, IMAGESCANS)
        await one_pod(cluster)
        async with running_operator(cluster) as operator:
            status, body = await probe(operator.urls, "/readyz", until="imagescans")
            assert status == 503
            assert "manifests/crds" in body

            await cluster.api.apply(CRDS, definition)
            await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS)
            status, _ = await probe(operator.urls, "/readyz", until="ready")
            assert status == 200


async def test_kind_that_may_not_be_read_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await one_pod(cluster)
        refusing = Rule(code=403, resource=CRONJOBS.plural, user_agent="trivyop")
        cluster.server.faults.add(refusing)
        with capture_logs() as logs:
            async with running_operator(cluster):
                await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS)
        cluster.server.faults.clear()

    (told,) = [entry for entry in logs if entry["event"] == "kind_unavailable"]
    assert told["resource"] == CRONJOBS.name
    assert "403" in told["error"]


async def test_malformed_object_costs_itself_only(tmp_path: Path) -> None:
    """An ImageScan that somebody wrote by hand, with times that are none, does no harm to others."""
    async with running_cluster(tmp_path) as cluster:
        await one_pod(cluster)
        scan = {
            "apiVersion": IMAGESCANS.api_version,
            "kind": IMAGESCANS.kind,
            "metadata": {"name": "by-hand", "namespace": "trivy-system"},
            "spec": {"image": "not an image", "rescanAfter": "2026-01-01T00:00:00Z"},
        }
        await cluster.api.create(IMAGESCANS, scan)
        async with running_operator(cluster):
            await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS)
            await cluster.until(
                lambda found: "by-hand" not in {one["metadata"]["name"] for one in found},
                IMAGESCANS,
                what="without the one that nothing runs",
            )


async def test_malformed_setting_ends_the_start_with_its_key_value_and_what_is_allowed(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    async with running_cluster(tmp_path) as cluster:
        environ = {"OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "many", "OPERATOR_SCAN_JOB_TIMEOUT": "5 minutes"}
        async with operator_process(cluster, log=log, environ=environ) as process:
            assert await process.wait() == 1

    text = log.read_text()
    for words in (
        "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT",
        "'many'",
        "OPERATOR_SCAN_JOB_TIMEOUT",
        "'5 minutes'",
        "allowed",
    ):
        assert words in text
    assert "Traceback" not in text


async def test_misspelt_key_is_told_with_the_nearest_one_and_does_no_harm(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running_cluster(tmp_path) as cluster:
        await one_pod(cluster)
        await configure(cluster, {"scanJob.toleration": "[]"})
        async with operator_process(cluster, log=log) as process:
            await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0

    assert "did you mean scanJob.tolerations?" in log.read_text()


async def undefine(cluster: Cluster, kind: Resource) -> None:
    name = f"{kind.plural}.{kind.group}"
    await cluster.api.delete(CRDS, ObjectKey("", name))
    await cluster.until(lambda found: name not in {one["metadata"]["name"] for one in found}, CRDS)


async def one_pod(cluster: Cluster) -> None:
    await cluster.api.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await cluster.create(pod("web", "shop", web=cluster.image("library/single:1")))


async def probe(urls: dict[str, str], path: str, *, until: str) -> tuple[int, str]:
    """Ask a probe until its answer has the words."""
    async with patience(30), aiohttp.ClientSession() as session:
        while True:
            answer = await _ask(session, urls, path)
            if answer is not None and until in answer[1].replace("not ready", ""):
                return answer
            await asyncio.sleep(0.05)


async def _ask(session: aiohttp.ClientSession, urls: dict[str, Any], path: str) -> tuple[int, str] | None:
    if "probes" not in urls:
        return None
    async with session.get(urls["probes"] + path) as response:
        return response.status, await response.text()
