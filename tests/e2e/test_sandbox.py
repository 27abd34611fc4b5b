"""`trivyop sandbox` as a program: its parts together and alone, and what it leaves."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.e2e.harness import pod
from tests.e2e.programs import TRIVYOP, Kubectl, left_of, run, started
from tests.patience import patience

MARKED = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "trivy-operator"}}}  # so that it runs


@dataclass(frozen=True)
class Running:
    """A sandbox that is up."""

    said: dict[str, str]  # "API server", "node" and "registry", as far as it has them
    kubeconfig: Path


@asynccontextmanager
async def sandbox(directory: Path, *arguments: str) -> AsyncGenerator[Running]:
    """A sandbox in a directory of its own; ended by SIGTERM, without a word or a trace."""
    make(directory)
    async with started(TRIVYOP, "sandbox", *arguments, cwd=directory, TMPDIR=str(directory)) as process:
        assert process.stdout is not None
        lines: list[str] = []
        async with patience(60):
            while not lines or "Ctrl-C" not in lines[-1]:
                line = (await process.stdout.readline()).decode()
                if not line:
                    _, err = await process.communicate()
                    pytest.fail(f"the sandbox has ended: {err.decode()}")
                lines.append(line)
        described = lines[: lines.index("\n")]  # the rest says how to go on
        said = {line[:12].strip(): line[12:].strip() for line in described}
        yield Running(said, directory / "sandbox.kubeconfig")
        process.send_signal(signal.SIGTERM)
        async with patience(20):
            out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")
    assert left_of(directory) == []


def make(directory: Path) -> None:
    directory.mkdir()


def write(path: Path, *manifests: object) -> Path:
    path.write_text(yaml.safe_dump_all(manifests))
    return path


async def test_whole_sandbox_is_a_cluster_for_kubectl(tmp_path: Path) -> None:
    async with sandbox(tmp_path / "sandbox") as running:
        kubectl = Kubectl(tmp_path, running.kubeconfig)
        nodes = await kubectl("get", "nodes", "-o", "name")
        await kubectl("create", "deployment", "web", "--image", f"{running.said['registry']}/shop/web:1.0")
        await kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=150s")
        digest = await kubectl(
            *("get", "pods", "-o", "jsonpath={.items[0].status.containerStatuses[0].imageID}")
        )

    assert set(running.said) == {"API server", "node", "registry"}
    assert nodes.out == "node/sandbox-node\n"
    assert "/shop/web@sha256:" in digest.out


async def test_listen_says_where_the_api_server_is(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

    async with sandbox(tmp_path / "sandbox", "--components", "apiserver", "--listen", address) as running:
        version = await Kubectl(tmp_path, running.kubeconfig)("version")

    assert running.said == {"API server": f"https://{address}"}
    assert "Server Version: v1." in version.out


async def codes_until_ready(address: str) -> list[int]:
    """What everybody is answered who asks for the version, until it is there."""
    codes: list[int] = []
    async with aiohttp.ClientSession() as session:
        while 200 not in codes:
            try:
                async with session.get(f"https://{address}/version", ssl=False) as answer:
                    codes.append(answer.status)
            except aiohttp.ClientError:  # nobody listens yet
                await asyncio.sleep(0.01)
    return codes


@pytest.mark.parametrize(("options", "first"), [((), {200}), (("--slow-start",), {503, 403})])
async def test_slow_start_answers_as_a_server_that_is_not_ready(
    options: tuple[str, ...], first: set[int], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    asking = asyncio.create_task(codes_until_ready(address))
    async with sandbox(tmp_path / "sandbox", "--components", "apiserver", "--listen", address, *options):
        codes = await asking

    assert codes[0] in first


async def test_address_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = await run(TRIVYOP, "sandbox", "--listen", address, cwd=tmp_path, TMPDIR=str(tmp_path))

    assert (done.code, done.out) == (1, "")
    assert "Address already in use" in done.err
    assert len(done.err.splitlines()) == 1
    assert left_of(tmp_path) == []


async def test_registry_alone_serves_images_and_needs_no_cluster(tmp_path: Path) -> None:
    async with sandbox(tmp_path / "sandbox", "--components", "registry") as running:
        address = running.said["registry"]
        url = f"http://{address}/v2/shop/web/tags/list"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            tags = await answer.json()
        assert not running.kubeconfig.exists()

    assert set(running.said) == {"registry"}
    assert tags == {"name": "shop/web", "tags": ["1.0"]}


async def test_nodes_of_other_processes_join_a_cluster(tmp_path: Path) -> None:
    """Two nodes, each a process of its own; logs come through the API server from where the pod runs."""
    parts = ("--components", "apiserver,controllers")
    async with sandbox(tmp_path / "cluster", *parts) as cluster:
        node = ("--components", "kubelet", "--kubeconfig", str(cluster.kubeconfig), "--node-name")
        async with (
            sandbox(tmp_path / "first", *node, "first") as first,
            sandbox(tmp_path / "second", *node, "second"),
        ):
            kubectl = Kubectl(tmp_path, cluster.kubeconfig)
            nodes = await kubectl("get", "nodes", "-o", "name")
            there = pod("hello", "default", app="example.org/hello:1")
            there["spec"] |= {"nodeName": "second", "restartPolicy": "Never"}
            there["spec"]["containers"][0]["command"] = ["/bin/sh", "-c", "echo hello from $HOSTNAME"]
            there["metadata"] |= MARKED["metadata"]
            await kubectl("create", "-f", write(tmp_path / "pod.yaml", there))
            await kubectl(
                *("wait", "pod/hello", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=150s")
            )
            logs = await kubectl("logs", "hello")
        assert cluster.kubeconfig.exists()  # the nodes only read it

    assert set(first.said) == {"node"}
    assert nodes.out.split() == ["node/first", "node/second"]
    assert logs.out == "hello from hello\n"


async def test_controllers_alone_work_for_another_process(tmp_path: Path) -> None:
    async with sandbox(tmp_path / "cluster", "--components", "apiserver") as cluster:
        kubectl = Kubectl(tmp_path, cluster.kubeconfig)
        await kubectl("create", "deployment", "web", "--image", "example.org/web:1")
        before = await kubectl("get", "replicasets", "-o", "name")
        part = ("--components", "controllers", "--kubeconfig", str(cluster.kubeconfig))
        async with sandbox(tmp_path / "controllers", *part):
            await kubectl("wait", "deployment/web", "--for=create", "--timeout=150s")
            await kubectl("rollout", "status", "deployment/web", "--watch=false")
            async with patience(20):
                after = ""
                while not after:
                    after = (await kubectl("get", "replicasets", "-o", "name")).out

    assert before.out == ""
    assert after.startswith("replicaset.apps/web-")


@pytest.mark.parametrize("component", ["kubelet", "controllers"])
async def test_part_without_a_cluster_says_what_is_missing(tmp_path: Path, component: str) -> None:
    done = await run(TRIVYOP, "sandbox", "--components", component, cwd=tmp_path, TMPDIR=str(tmp_path))

    assert (done.code, done.out) == (1, "")
    assert done.err == f"trivyop: no kubeconfig at {tmp_path}/sandbox.kubeconfig, and not in a cluster\n"
    assert left_of(tmp_path) == []
