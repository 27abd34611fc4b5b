"""The real kubectl works against the server: what a person types in the demo, and what scripts run."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from tests.sandbox.apiserver.client import Client
from tests.sandbox.apiserver.kubelets import log_kubelet, run_pod
from trivyop.sandbox.apiserver.server import ApiServer

PROGRAM = shutil.which(
    "kubectl", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
)

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="kubectl is not installed")

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: red}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "nginx:1"}]}
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: reports.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: reports, singular: report, kind: Report, shortNames: [rep]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          summary:
            type: object
            description: What was found.
            properties: {critical: {type: integer}}
    additionalPrinterColumns:
    - {name: Critical, type: integer, jsonPath: .summary.critical}
"""
REPORT = """
apiVersion: example.com/v1
kind: Report
metadata: {name: first}
summary: {critical: 3}
"""


class Kubectl:
    """Runs kubectl as one user."""

    def __init__(self, server: ApiServer, directory: Path) -> None:
        self._directory = directory
        (directory / "kubeconfig").write_bytes(orjson.dumps(server.kubeconfig()))
        self._environment = {"KUBECONFIG": str(directory / "kubeconfig"), "HOME": str(directory), "PATH": ""}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            str(PROGRAM),
            *arguments,
            cwd=self._directory,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Run to the end and return what it wrote; fails if it ends with another code."""
        process = await self.start(*arguments)
        out, err = await process.communicate(stdin.encode())
        assert process.returncode == code, err.decode()
        return (out if code == 0 else err).decode()

    @asynccontextmanager
    async def following(self, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
        """Run it in the background and yield its output."""
        process = await self.start(*arguments)
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()
            await process.communicate()

    def file(self, name: str, text: str) -> str:
        path = self._directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)


@pytest.fixture
def kubectl(server: ApiServer, tmp_path: Path) -> Kubectl:
    return Kubectl(server, tmp_path)


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


async def test_get_prints_tables_by_label_and_namespace(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)

    table = lines(await kubectl("get", "configmaps", "-A", "-l", "app=web"))
    wide = lines(await kubectl("get", "deployment", "web", "-o", "wide"))

    assert table[0] == ["NAMESPACE", "NAME", "DATA", "AGE"]
    assert [row[:3] for row in table[1:]] == [["default", "settings", "1"]]
    assert wide[0][-3:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1][-3:] == ["main", "nginx:1", "app=web"]


async def test_get_prints_documents(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)

    document = orjson.loads(await kubectl("get", "configmap", "settings", "-o", "json"))
    colour = await kubectl("get", "cm/settings", "-o", "jsonpath={.data.colour}")

    assert document["data"] == {"colour": "red"}
    assert colour == "red"
    assert "colour: red" in await kubectl("get", "cm", "settings", "-o", "yaml")


@pytest.mark.parametrize("side", ["client", "server"])
async def test_apply_twice_changes_nothing(kubectl: Kubectl, side: str) -> None:
    how = ["--server-side"] if side == "server" else []
    await kubectl("apply", *how, "-f", "-", stdin=MANIFEST)
    before = await kubectl("get", "deploy,cm", "-o", "jsonpath={.items[*].metadata.resourceVersion}")

    await kubectl("apply", *how, "-f", "-", stdin=MANIFEST)

    assert before == await kubectl("get", "deploy,cm", "-o", "jsonpath={.items[*].metadata.resourceVersion}")


LIST = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: b}}
- {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}], selector: {app: web}}}
"""


@pytest.mark.parametrize("side", ["client", "server"])
async def test_list_is_applied_item_by_item(kubectl: Kubectl, side: str) -> None:
    """kubectl looks up its kind in the OpenAPI 2 document, which it takes in protobuf only."""
    how = ["--server-side"] if side == "server" else []

    said = await kubectl("apply", *how, "-f", "-", stdin=LIST)

    verb = "serverside-applied" if side == "server" else "created"
    assert said.splitlines() == [f"configmap/one {verb}", f"service/web {verb}"]


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        ("data: {a: b}", "data: {a: b}, datum: 1", 'unknown field "datum" in io.k8s.api.core.v1.ConfigMap'),
        ("{port: 80}", "{port: http}", 'invalid type for io.k8s.api.core.v1.ServicePort.port: got "string"'),
        ("{port: 80}", "{}", 'missing required field "port" in io.k8s.api.core.v1.ServicePort'),
    ],
)
async def test_items_of_a_list_are_validated_by_the_document(
    kubectl: Kubectl, wrong: str, right: str, words: str
) -> None:
    said = await kubectl("apply", "-f", "-", stdin=LIST.replace(wrong, right), code=1)

    assert words in said


async def test_kind_that_is_not_there_is_named(kubectl: Kubectl) -> None:
    monitor = (
        MANIFEST + "---\napiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: a}\n"
    )

    said = await kubectl("apply", "-f", "-", stdin=monitor, code=1)

    assert 'no matches for kind "ServiceMonitor" in version "monitoring.coreos.com/v1"' in said
    assert "deployment.apps/web" in await kubectl("get", "deployments", "-o", "name")


async def test_apply_keeps_what_others_set(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    await kubectl("scale", "deployment", "web", "--replicas=3")

    await kubectl("apply", "-f", "-", stdin=MANIFEST.replace("nginx:1", "nginx:2"))

    wanted = await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas} {..image}")
    assert wanted == "3 nginx:2"


async def test_server_side_apply_reports_conflicts(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=MANIFEST)
    other = ["apply", "--server-side", "--field-manager=other", "-f", "-"]
    changed = MANIFEST.replace("red", "blue")

    refused = await kubectl(*other, stdin=changed, code=1)
    await kubectl(*other, "--force-conflicts", stdin=changed)

    assert 'conflict with "kubectl": .data.colour' in refused
    assert await kubectl("get", "cm", "settings", "-o", "jsonpath={.data.colour}") == "blue"


async def test_kustomization_with_a_definition_and_its_resource(kubectl: Kubectl) -> None:
    kubectl.file("base/crd.yaml", DEFINITION)
    kubectl.file("base/manifest.yaml", MANIFEST)
    kubectl.file("base/kustomization.yaml", "namePrefix: my-\nresources: [crd.yaml, manifest.yaml]\n")

    said = await kubectl("apply", "-k", "base")
    await kubectl("wait", "--for=condition=Established", "crd/reports.example.com", "--timeout=150s")
    await kubectl("apply", "-f", "-", stdin=REPORT)

    assert "configmap/my-settings created" in said
    assert lines(await kubectl("get", "rep"))[1][:2] == ["first", "3"]
    assert "What was found." in await kubectl("explain", "report.summary")


@pytest.mark.parametrize(
    ("arguments", "created"),
    [
        ("configmap c --from-literal=a=1", "configmap/c"),
        ("secret generic s --from-literal=a=1", "secret/s"),
        ("namespace n", "namespace/n"),
        ("serviceaccount a", "serviceaccount/a"),
        ("deployment d --image=nginx:1 --replicas=2 --port=80", "deployment.apps/d"),
        ("job j --image=nginx:1 -- ls -l", "job.batch/j"),
        ("cronjob k --image=nginx:1 --schedule=@daily", "cronjob.batch/k"),
        ("role r --verb=get,list --resource=pods", "role.rbac.authorization.k8s.io/r"),
        ("clusterrole cr --verb=get --non-resource-url=/x", "clusterrole.rbac.authorization.k8s.io/cr"),
        ("rolebinding b --clusterrole=view --user=ann", "rolebinding.rbac.authorization.k8s.io/b"),
        ("service clusterip v --tcp=80:http", "service/v"),
        ("quota q --hard=cpu=1,pods=3", "resourcequota/q"),
        ("poddisruptionbudget p --selector=a=b --min-available=50%", "poddisruptionbudget.policy/p"),
        ("priorityclass h --value=5", "priorityclass.scheduling.k8s.io/h"),
    ],
)
async def test_create_sends_protobuf_and_is_understood(
    kubectl: Kubectl, arguments: str, created: str
) -> None:
    assert await kubectl("create", *arguments.split()) == f"{created} created\n"


async def test_what_came_as_protobuf_is_stored_in_full(kubectl: Kubectl) -> None:
    await kubectl(*["create", "deployment", "d", "--image=nginx:1", "--replicas=2", "--port=80"])
    await kubectl(*["create", "secret", "generic", "s", "--from-literal=a=1"])

    deployment = orjson.loads(await kubectl("get", "deployment", "d", "-o", "json"))
    [container] = deployment["spec"]["template"]["spec"]["containers"]

    assert deployment["spec"]["replicas"] == 2
    assert (container["name"], container["image"]) == ("nginx", "nginx:1")
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert await kubectl("get", "secret", "s", "-o", "jsonpath={.data.a}") == "MQ=="


async def test_describe_shows_an_object_with_its_events(kubectl: Kubectl, admin: Client) -> None:
    await run_pod(admin, "web", "main")
    pod = orjson.loads(await kubectl("get", "pod", "web", "-o", "json"))
    about = {"kind": "Pod", "name": "web", "namespace": "default", "uid": pod["metadata"]["uid"]}
    event = {"involvedObject": about, "reason": "Scanned", "message": "all clear", "type": "Normal"}
    assert (await admin.create("/api/v1/namespaces/default/events", "web.1", **event)).status == 201

    described = await kubectl("describe", "pod", "web")

    assert "Node:             node-a" in described
    assert "Scanned" in described
    assert "all clear" in described


@pytest.mark.parametrize("kind", ["strategic", "merge", "json"])
async def test_patch(kubectl: Kubectl, kind: str) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    patch = '{"data":{"size":"big"}}'
    if kind == "json":
        patch = '[{"op":"add","path":"/data/size","value":"big"}]'

    await kubectl("patch", "cm", "settings", f"--type={kind}", "-p", patch)

    assert await kubectl("get", "cm", "settings", "-o", "jsonpath={.data}") == '{"colour":"red","size":"big"}'


async def test_delete_waits_until_it_is_gone(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)

    await kubectl("delete", "deployment,configmap", "-l", "app=web", "--wait", "--timeout=150s")

    assert "NotFound" in await kubectl("get", "cm", "settings", code=1)


async def test_wait_sees_a_status_come(kubectl: Kubectl, admin: Client) -> None:
    await run_pod(admin, "web", "main")
    waiting = asyncio.create_task(kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/web"))

    await kubectl("patch", "pod", "web", "--subresource=status", "-p", '{"status":{"phase":"Running"}}')

    assert await waiting == "pod/web condition met\n"


async def test_watch_prints_changes_as_they_come(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "first")
    command = [
        "get",
        "configmaps",
        "--watch",
        "--output-watch-events",
        "--field-selector=metadata.name=first",
    ]
    async with kubectl.following(*command) as output:
        assert (await output.readline()).split()[:2] == [b"EVENT", b"NAME"]
        assert (await output.readline()).split()[:3] == [b"ADDED", b"first", b"0"]

        await kubectl("patch", "cm", "first", "-p", '{"data":{"a":"1"}}')
        assert (await output.readline()).split()[:3] == [b"MODIFIED", b"first", b"1"]

        await kubectl("delete", "cm", "first")
        assert (await output.readline()).split()[:2] == [b"DELETED", b"first"]


async def test_logs_come_from_the_kubelet(kubectl: Kubectl, server: ApiServer, admin: Client) -> None:
    async with log_kubelet(server, admin) as kubelet:
        kubelet.logs["/containerLogs/default/web/main"] = b"one\ntwo\n"
        await run_pod(admin, "web", "main")

        assert await kubectl("logs", "web", "--tail=2") == "one\ntwo\n"
        assert kubelet.asked[0][1] == {"tailLines": "2"}


async def test_questions_about_oneself(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "delete", "nodes") == "yes\n"
    assert ["Username", "admin"] in lines(await kubectl("auth", "whoami"))
    assert "*.*" in await kubectl("auth", "can-i", "--list")


async def test_discovery_lists_what_is_served(kubectl: Kubectl) -> None:
    table = lines(await kubectl("api-resources"))

    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in table
    assert ["crd,crds", "apiextensions.k8s.io/v1"] in [row[1:3] for row in table]
    assert "doesn't have a resource type" in await kubectl("get", "nosuch", code=1)
