"""The operator as a process: it waits for what is not there yet, and ends when told to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from tests.e2e.harness import (
    NAMESPACE,
    TRIVY,
    operator_process,
    pod,
    running_cluster,
    running_operator,
)
from tests.e2e.looking import until_readiness
from tests.e2e.programs import TRIVYOP
from tests.patience import patience
from trivyop.kube.resources import JOBS, PODS, VULNERABILITYREPORTS
from trivyop.sandbox.apiserver.faults import Rule


async def test_operator_that_is_told_to_end_leaves_scans_to_its_successor(tmp_path: Path) -> None:
    """The Job goes on meanwhile; its result is read by the next life, which starts no other."""
    gate = tmp_path / "gate"
    programs = tmp_path / "programs"
    programs.mkdir()
    waiting = programs / "trivy"
    waiting.write_text(f'#!/bin/sh\nwhile [ ! -e {gate} ]; do sleep 0.1; done\nexec {TRIVY} "$@"\n')
    waiting.chmod(0o755)
    log = tmp_path / "log"
    async with running_cluster(tmp_path, programs_first=programs) as cluster:
        await cluster.create(pod("app", "shop", app=cluster.image("library/single:1")))
        async with operator_process(cluster, log=log) as process:
            await cluster.until(
                lambda pods: (
                    any(one["status"].get("phase") == "Running" for one in pods)
                    or any(one["status"].get("initContainerStatuses") for one in pods)
                ),
                PODS,
                NAMESPACE,
                what="scanning",
            )
            process.send_signal(signal.SIGTERM)
            async with patience(20):
                code = await process.wait()
        (job,) = await cluster.list(JOBS, NAMESPACE)
        unfinished = not job["status"].get("conditions")
        gate.touch()
        async with running_operator(cluster):
            await cluster.until(len, VULNERABILITYREPORTS)
            await cluster.until_settled()
        jobs = cluster.scan_jobs_created()

    assert code == 0, log.read_text()
    assert "operator_stopped" in log.read_text()
    assert unfinished
    assert jobs == 1


async def test_unreachable_server_is_waited_for_and_told_of_once(tmp_path: Path) -> None:
    tries = asyncio.Semaphore(0)

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        tries.release()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kubeconfig = tmp_path / "kubeconfig.json"
        kubeconfig.write_text(json.dumps(kubeconfig_of(f"https://127.0.0.1:{port}")))
        with (tmp_path / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(TRIVYOP),
                *("run", "--kubeconfig", str(kubeconfig)),
                env={**os.environ, "OPERATOR_NAMESPACE": NAMESPACE},
                stdout=log,
                stderr=log,
            )
            try:
                async with patience(60):
                    for _ in range(3):
                        await tries.acquire()
                process.send_signal(signal.SIGTERM)
                async with patience(20):
                    code = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    lines = (tmp_path / "log").read_text().splitlines()
    assert code == 0, lines
    assert len([line for line in lines if "api_unreachable" in line]) == 1, lines
    assert not [line for line in lines if "Traceback" in line]


async def test_log_level_changes_by_signals_while_the_operator_runs(tmp_path: Path) -> None:
    """Two signals: one to say everything, one to say what it said before."""
    log = tmp_path / "log"

    async def until_logged(text: str, times: int = 1) -> list[str]:
        for _ in range(600):
            lines = [line for line in (await asyncio.to_thread(log.read_text)).splitlines() if text in line]
            if len(lines) >= times:
                return lines
            await asyncio.sleep(0.1)
        raise AssertionError(f"{text!r} is not in the log: {log.read_text()[-2000:]}")

    async with running_cluster(tmp_path) as cluster, operator_process(cluster, log=log) as process:
        await until_logged("operator_running")
        process.send_signal(signal.SIGUSR1)
        await until_logged("log_level_changed")
        process.send_signal(signal.SIGUSR2)
        lines = await until_logged("log_level_changed", 2)
        alive = process.returncode is None

    assert alive
    assert [json.loads(line)["now"] for line in lines] == ["debug", "info"]


def kubeconfig_of(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "away", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [{"name": "away", "context": {"cluster": "away", "user": "me"}}],
        "current-context": "away",
    }


async def test_operator_is_ready_once_its_stores_are_filled(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        server = cluster.server
        busy = server.faults.add(Rule(code=503, resource=PODS.plural, user_agent="trivyop"))
        async with running_operator(cluster) as operator:
            waiting = await until_readiness(operator, lambda answer: "list of pods, scan-pods/" in answer[1])
            server.faults.rules.remove(busy)
            ready = await until_readiness(operator, lambda answer: answer[0] == 200)

    assert waiting[0] == 503
    assert "[+] informers" in ready[1]
