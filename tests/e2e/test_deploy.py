"""The manifests: applied with the real kubectl, run with the permissions they give, judged by Trivy."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.e2e.harness import NAMESPACE, Cluster, deployment, empty_cluster, named, pod
from tests.e2e.pod_security import violations
from tests.e2e.programs import ROOT, Kubectl, processes_of, run
from tests.patience import patience
from trivyop.kube.resources import (
    CLUSTERRBACASSESSMENTREPORTS,
    CONFIGAUDITREPORTS,
    DEPLOYMENTS,
    EVENTS,
    EXPOSEDSECRETREPORTS,
    IMAGESCANS,
    NAMESPACES,
    PODS,
    SBOMREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.sandbox.apiserver.server import LoggedRequest
from trivyop.sandbox.kubelet.pods import RunSelector, labelled, scan_pods
from trivyop.sandbox.programs import kubectl, trivy
from trivyop.scan.job import ScanRequest, build_scan_job
from trivyop.settings import Settings, load_settings
from trivyop.workload.images import ImageName

Json = dict[str, Any]

BASE = ROOT / "deploy" / "kustomize" / "base"
COMPONENTS = ROOT / "deploy" / "kustomize" / "components"
OURS = {"app.kubernetes.io/name": "trivyop"}
OPERATOR = f"system:serviceaccount:{NAMESPACE}:trivyop"


@asynccontextmanager
async def running_cluster(directory: Path, selector: RunSelector = scan_pods) -> AsyncGenerator[Cluster]:
    """A cluster with nothing in it yet."""
    async with empty_cluster(directory, run_selector=selector) as cluster:
        yield cluster


async def build(directory: Path) -> list[Json]:
    """The objects that kustomize makes of a directory."""
    built = await run(kubectl(), "kustomize", directory)
    assert (built.code, built.err) == (0, "")
    return [document for document in yaml.safe_load_all(built.out) if document]


def pick(objects: list[Json], kind: str, name: str) -> Json:
    (found,) = (one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def write_overlay(directory: Path, *components: str, **parts: Any) -> Path:
    """An overlay over the base, as a user writes one."""
    directory.mkdir()
    kustomization = {
        "resources": [os.path.relpath(BASE, directory)],
        "components": [os.path.relpath(COMPONENTS / name, directory) for name in components],
        **parts,
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return directory


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def for_this_machine(registry: str, metrics: int, probes: int) -> list[Json]:
    """Patches for a node without a network: own ports, and databases from the sandbox's registry."""

    def config(name: str, data: dict[str, str]) -> Json:
        patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        return {"patch": yaml.safe_dump(patch)}

    ports = [
        {
            "op": "replace",
            "path": f"/spec/template/spec/containers/0/ports/{index}/containerPort",
            "value": port,
        }
        for index, port in enumerate((metrics, probes))
    ]
    return [
        config(
            "trivy-operator-config",
            {
                "OPERATOR_METRICS_BIND_ADDRESS": f"127.0.0.1:{metrics}",
                "OPERATOR_HEALTH_PROBE_BIND_ADDRESS": f"127.0.0.1:{probes}",
                "OPERATOR_EXCLUDE_NAMESPACES": NAMESPACE,
            },
        ),
        config(
            "trivy-operator-trivy-config",
            {
                "trivy.dbRepository": f"{registry}/trivy-db:2",
                "trivy.javaDbRepository": f"{registry}/trivy-java-db:1",
                "trivy.nonSslRegistry.sandbox": registry,
                "trivy.useBuiltinRegoPolicies": "false",
            },
        ),
        {"target": {"kind": "Deployment", "name": "trivyop"}, "patch": yaml.safe_dump(ports)},
    ]


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


def requests_of_operator(cluster: Cluster) -> list[LoggedRequest]:
    """What the shipped operator asked the API server for."""
    return [one for one in cluster.requests if one.user == OPERATOR]


def settings_of(objects: list[Json]) -> Settings:
    """The settings that an operator with these manifests has."""
    data = {name: pick(objects, "ConfigMap", name)["data"] for name in CONFIG_MAPS}
    environ = {"OPERATOR_NAMESPACE": NAMESPACE, **data[CONFIG_MAPS[0]]}
    return load_settings(environ, data[CONFIG_MAPS[1]], {}, data[CONFIG_MAPS[2]], {})


LOGIN = ("--docker-server=example.org", "--docker-username=me", "--docker-password=secret")
CONFIG_MAPS = ("trivy-operator-config", "trivy-operator", "trivy-operator-trivy-config")


async def test_base_applies_without_a_warning_and_goes_without_a_trace(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())

        applied = await kubectl("apply", "-k", BASE)
        again = await kubectl("apply", "-k", BASE)
        await kubectl("-n", NAMESPACE, "rollout", "status", "deployment/trivyop", "--timeout=150s")
        removed = await kubectl("delete", "-k", BASE, "--ignore-not-found")
        crds = await kubectl("get", "crds", "-o", "name")
        roles = await kubectl(
            "get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/name=trivyop"
        )
        namespace = await kubectl("get", "namespace", NAMESPACE, "--ignore-not-found")

    assert "deployment.apps/trivyop created" in applied.out
    assert {line.rpartition(" ")[2] for line in again.out.splitlines()} == {"unchanged"}
    assert [applied.err, again.err, removed.err] == ["", "", ""]
    assert (crds.out, roles.out, namespace.out) == ("", "", "")


async def test_shipped_operator_does_its_work_within_its_permissions(tmp_path: Path) -> None:
    """Scans, Events of a failure, a rescan on request, audits; and nothing is answered "forbidden"."""
    metrics, probes = free_ports(2)
    async with running_cluster(tmp_path, labelled(OURS)) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        patches = for_this_machine(cluster.registry, metrics, probes)
        overlay = write_overlay(tmp_path / "overlay", patches=patches)

        await kubectl("apply", "-k", overlay)
        await kubectl("-n", NAMESPACE, "rollout", "status", "deployment/trivyop", "--timeout=150s")
        await cluster.api.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
        )
        await cluster.api.create(DEPLOYMENTS, deployment("web", "shop", web=cluster.image("shop/web:1.0")))
        await cluster.api.create(DEPLOYMENTS, deployment("gone", "shop", web=cluster.image("shop/gone:1")))
        (report,) = await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS, "shop")
        await cluster.until(lambda found: len(found) == 1, EXPOSEDSECRETREPORTS, "shop")
        await cluster.until(lambda found: len(found) == 1, SBOMREPORTS, "shop")
        events = await cluster.until(
            lambda found: any(one["reason"] == "ImageScanFailed" for one in found), EVENTS, "shop"
        )
        ready, alive, scraped = [
            await get(probes, "/readyz"),
            await get(probes, "/healthz"),
            await get(metrics, "/metrics"),
        ]
        scans = await cluster.until(lambda found: len(found) == 2, IMAGESCANS, NAMESPACE)
        await cluster.api.delete(VULNERABILITYREPORTS, ObjectKey("shop", report["metadata"]["name"]))
        (second,) = await cluster.until(
            lambda found: [one["metadata"]["uid"] for one in found] not in ([], [report["metadata"]["uid"]]),
            VULNERABILITYREPORTS,
            "shop",
        )
        await cluster.until(lambda found: len(found) >= 2, CONFIGAUDITREPORTS, seconds=120)
        await cluster.until(lambda found: len(found) >= 2, CLUSTERRBACASSESSMENTREPORTS, seconds=120)
        running = [process for process in processes_of(tmp_path) if "trivyop run" in process]
        await kubectl("delete", "-k", overlay, "--ignore-not-found")
        left = processes_of(tmp_path)
        requests = requests_of_operator(cluster)

    assert named([second]) == named([report])
    assert {scan["status"]["phase"] for scan in scans} == {"Succeeded", "Failed"}
    assert any("not-found" in event["message"] for event in events)
    assert (ready[0], alive[0], scraped[0]) == (200, 200, 200)
    assert 'trivyop_scan_results_total{source="Scan"} 1.0' in scraped[1]
    assert len(running) == 1
    assert left == []
    assert {"GET", "POST", "PATCH", "DELETE"} <= {request.method for request in requests}
    assert [request for request in requests if request.status in (401, 403)] == []


@pytest.mark.parametrize(
    ("component", "does"),
    [
        ("high-availability", ("PUT", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/")),
        ("jobs-in-workload-namespaces", ("POST", "/apis/batch/v1/namespaces/shop/jobs")),
        ("registry-credentials", ("GET", "/api/v1/namespaces/shop/secrets/pull")),
    ],
)
async def test_component_gives_the_permissions_that_it_needs(
    tmp_path: Path, component: str, does: tuple[str, str]
) -> None:
    """The work gets done, in the way of the component, and nothing is answered "forbidden"."""
    metrics, probes = free_ports(2)
    async with running_cluster(tmp_path, labelled(OURS)) as cluster:
        kubectl = Kubectl(tmp_path, await cluster.kubeconfig())
        overlay = write_overlay(
            tmp_path / "overlay",
            component,
            patches=for_this_machine(cluster.registry, metrics, probes),
            replicas=[{"name": "trivyop", "count": 1}],  # this machine has each port once
        )
        await kubectl("apply", "-k", overlay)
        await kubectl("create", "namespace", "shop")
        await kubectl("-n", "shop", "create", "secret", "docker-registry", "pull", *LOGIN)
        web = pod("web", "shop", web=cluster.image("shop/web:1.0"))
        web["spec"]["imagePullSecrets"] = [{"name": "pull"}]
        await cluster.api.create(PODS, web)
        await cluster.until(lambda found: len(found) == 1, VULNERABILITYREPORTS, "shop")
        requests: list[LoggedRequest] = []
        async with patience(30):
            while not did(requests, *does):  # leases are renewed every few seconds
                await cluster.list(IMAGESCANS)
                requests = requests_of_operator(cluster)

    assert [request for request in requests if request.status in (401, 403)] == []


def did(requests: list[LoggedRequest], method: str, path: str) -> bool:
    """Whether there was a successful request like that."""
    return any(one.method == method and one.path.startswith(path) and one.status < 300 for one in requests)


async def trivy_finds(directory: Path, *manifests: Json) -> tuple[int, dict[str, str]]:
    """How many checks the manifests pass, and what they fail: severity by check and object."""
    target = directory / "manifests.yaml"
    target.write_text(yaml.safe_dump_all(manifests))
    done = await run(
        trivy(),
        *("config", "--misconfig-scanners", "kubernetes", "--skip-check-update", "--skip-version-check"),
        *("--cache-dir", directory / "cache", "--format", "json", target),
    )
    assert done.code == 0, done.err
    results = json.loads(done.out)["Results"]
    failed = [one for result in results for one in result.get("Misconfigurations", [])]
    passed = sum(result["MisconfSummary"]["Successes"] for result in results)
    return passed, {f"{one['ID']} {one['Message']}": one["Severity"] for one in failed}


async def test_own_manifests_pass_the_audit(tmp_path: Path) -> None:
    """No finding of severity HIGH or above."""
    passed, found = await trivy_finds(tmp_path, *await build(BASE))

    assert passed > 50
    assert [finding for finding, severity in found.items() if severity in ("HIGH", "CRITICAL")] == []


async def test_audit_would_find_a_privileged_operator(tmp_path: Path) -> None:
    """That the other test can fail."""
    operator = pick(await build(BASE), "Deployment", "trivyop")
    operator["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True

    _, found = await trivy_finds(tmp_path, operator)

    assert "HIGH" in found.values()


async def test_operator_and_scan_pods_keep_to_the_restricted_profile() -> None:
    objects = await build(BASE)
    namespace = pick(objects, "Namespace", NAMESPACE)
    operator = pick(objects, "Deployment", "trivyop")
    request = ScanRequest(scan_name="scan", scan_uid="1", attempt=1, image=ImageName.parse("nginx:1"))
    job, _ = build_scan_job(request, settings_of(objects))

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert violations(operator["spec"]["template"]["spec"]) == []
    assert violations(job["spec"]["template"]["spec"]) == []


async def test_shipped_configuration_has_no_key_that_does_nothing() -> None:
    assert settings_of(await build(BASE)).warnings == ()


@pytest.mark.parametrize("component", sorted(path.name for path in COMPONENTS.iterdir()))
async def test_component_adds_to_the_base_and_takes_nothing(tmp_path: Path, component: str) -> None:
    overlay = write_overlay(tmp_path / "overlay", component)

    base = {(one["kind"], one["metadata"]["name"]) for one in await build(BASE)}
    more = {(one["kind"], one["metadata"]["name"]) for one in await build(overlay)}

    assert base < more


async def test_registry_credentials_are_read_with_their_component_only(tmp_path: Path) -> None:
    overlay = write_overlay(tmp_path / "overlay", "registry-credentials")

    def switch(objects: list[Json]) -> str:
        (container,) = pick(objects, "Deployment", "trivyop")["spec"]["template"]["spec"]["containers"]
        values = {one["name"]: one.get("value") for one in container["env"]}
        return values["OPERATOR_ACCESS_GLOBAL_SECRETS_SERVICE_ACCOUNTS"]

    def readers_of_secrets(objects: list[Json]) -> list[str]:
        return [
            role["metadata"]["name"]
            for role in objects
            if role["kind"] == "ClusterRole" and any("secrets" in rule["resources"] for rule in role["rules"])
        ]

    without, with_component = await build(BASE), await build(overlay)

    assert (switch(without), readers_of_secrets(without)) == ("false", [])
    assert (switch(with_component), readers_of_secrets(with_component)) == (
        "true",
        ["trivyop-registry-credentials"],
    )
