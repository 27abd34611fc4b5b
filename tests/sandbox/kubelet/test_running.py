"""Pods that run as processes: their files, variables, exits and logs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.controllers.jumpclock import JumpClock
from tests.sandbox.controllers.world import until_one
from tests.sandbox.kubelet.conftest import Node
from tests.sandbox.kubelet.shell import container, logs, start, statuses, until_phase, until_state
from trivyop.kube.client import Api
from trivyop.kube.resources import CONFIGMAPS, PODS, SECRETS, ObjectKey
from trivyop.sandbox.apiserver.faults import Rule
from trivyop.sandbox.apiserver.server import ApiServer

TMP = {"name": "tmp", "mountPath": "/tmp"}
SCAN = {"name": "scan", "mountPath": "/tmp/scan"}
EMPTY = [{"name": "tmp", "emptyDir": {}}, {"name": "scan", "emptyDir": {}}]


async def _config(api: Api) -> None:
    await api.create(
        CONFIGMAPS,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "config"},
            "data": {"severity": "HIGH", "cache": "/tmp/cache", "trivy.yaml": "timeout: 5m\n"},
        },
        namespace="default",
    )
    await api.create(
        SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "secret"},
            "stringData": {"password": "p+/tmp/x", "token": "t0ken"},
        },
        namespace="default",
    )


async def test_init_container_hands_on_through_a_volume(api: Api, node: Node) -> None:
    """Paths of a scan Pod: nested mounts, redirections, and a relative way into the inner one."""
    async with node():
        await start(
            api,
            container("cat /tmp/scan/db; cd /tmp && cat scan/db; pwd", volumeMounts=[TMP, SCAN]),
            initContainers=[container("echo fresh >/tmp/scan/db", "init", volumeMounts=[TMP, SCAN])],
            volumes=EMPTY,
        )

        pod = await until_phase(api, "Succeeded")
        first, second, where = (await logs(api)).split()

    assert (first, second) == ("fresh", "fresh")
    assert where.endswith("/volumes/tmp")
    assert {name: s["state"]["terminated"]["exitCode"] for name, s in statuses(pod).items()} == {
        "init": 0,
        "main": 0,
    }
    assert statuses(pod)["main"]["imageID"].startswith("mirror.gcr.io/aquasec/trivy@sha256:")


async def test_real_trivy_is_the_one_that_is_installed(api: Api, node: Node) -> None:
    async with node():
        await start(api, container("trivy --version | bzip2 | base64 | base64 -d | bunzip2"))
        await until_phase(api, "Succeeded")

        assert (await logs(api)).startswith("Version: 0.")


async def test_copied_trivy_runs_as_well(api: Api, node: Node) -> None:
    """File system scans copy the program out of the scanner's image into a volume."""
    mount = {"name": "bin", "mountPath": "/var/trivyoperator"}
    copy = container(name="copy", volumeMounts=[mount])
    copy["command"] = ["cp", "-v", "/usr/local/bin/trivy", "/var/trivyoperator/trivy"]
    run = container(volumeMounts=[mount], command=["/var/trivyoperator/trivy"], args=["--version"])
    async with node():
        await start(api, run, initContainers=[copy], volumes=[{"name": "bin", "emptyDir": {}}])
        await until_phase(api, "Succeeded")

        assert (await logs(api)).startswith("Version: 0.")


async def test_environment_comes_from_everywhere_it_may(api: Api, node: Node) -> None:
    await _config(api)

    def of(kind: str, **reference: Any) -> dict[str, Any]:
        return {"valueFrom": {kind: reference}}

    env = [
        {"name": "PLAIN", "value": "/tmp/a"},
        {"name": "EXPANDED", "value": "$(PLAIN)/b"},
        {"name": "SEVERITY", **of("configMapKeyRef", name="config", key="severity")},
        {"name": "CACHE", **of("configMapKeyRef", name="config", key="cache")},
        {"name": "PASSWORD", **of("secretKeyRef", name="secret", key="password")},
        {"name": "ABSENT", **of("configMapKeyRef", name="nothing", key="x", optional=True)},
        {"name": "POD", **of("fieldRef", fieldPath="metadata.name")},
        {"name": "LABEL", **of("fieldRef", fieldPath="metadata.labels['app.kubernetes.io/managed-by']")},
        {"name": "MEMORY", **of("resourceFieldRef", resource="limits.memory", divisor="1Mi")},
    ]
    main = container(
        "env",
        env=env,
        envFrom=[{"secretRef": {"name": "secret"}, "prefix": "S_"}],
        resources={"limits": {"memory": "500M"}},
        volumeMounts=[TMP],
    )
    async with node():
        await start(api, main, volumes=EMPTY)
        await until_phase(api, "Succeeded")
        found = dict(line.split("=", 1) for line in (await logs(api)).splitlines())

    assert found["PLAIN"].endswith("/volumes/tmp/a")
    assert found["EXPANDED"] == found["PLAIN"] + "/b"
    assert found["CACHE"].endswith("/volumes/tmp/cache")
    assert (found["SEVERITY"], found["PASSWORD"], found["S_token"]) == ("HIGH", "p+/tmp/x", "t0ken")
    assert (found["POD"], found["LABEL"], found["MEMORY"]) == ("scan", "trivy-operator", "477")
    assert "ABSENT" not in found
    assert found["TMPDIR"].endswith("/volumes/tmp")


async def test_nothing_of_the_agents_environment_leaks(
    api: Api, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    async with node():
        await start(api, container("env"))
        await until_phase(api, "Succeeded")

        assert "PROXY" not in await logs(api)


async def test_config_and_secret_volumes(api: Api, node: Node) -> None:
    await _config(api)
    volumes = [
        {
            "name": "config",
            "configMap": {"name": "config", "items": [{"key": "trivy.yaml", "path": "a/t.yaml"}]},
        },
        {"name": "all", "configMap": {"name": "config"}},
        {"name": "secret", "secret": {"secretName": "secret", "defaultMode": 0o400}},
        {"name": "absent", "secret": {"secretName": "nothing", "optional": True}},
        {
            "name": "self",
            "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]},
        },
    ]
    mounts = [
        {"name": "config", "mountPath": "/config"},
        {"name": "all", "mountPath": "/etc/trivy/trivy.yaml", "subPath": "trivy.yaml"},
        {"name": "secret", "mountPath": "/secret"},
        {"name": "absent", "mountPath": "/absent"},
        {"name": "self", "mountPath": "/self"},
    ]
    script = "cat /config/a/t.yaml; ls /config; cat /etc/trivy/trivy.yaml; stat -c %a /secret/token"
    async with node():
        await start(
            api, container(f"{script}; ls /absent; cat /self/name", volumeMounts=mounts), volumes=volumes
        )
        await until_phase(api, "Succeeded")

        assert (await logs(api)).splitlines() == ["timeout: 5m", "a", "timeout: 5m", "400", "scan"]


async def test_missing_configuration_holds_the_container_until_it_is_there(
    api: Api, node: Node, clock: JumpClock
) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "severity"}}}]
    async with node():
        await start(api, container("echo $A", env=env))
        waiting = await until_state(api, "waiting", "CreateContainerConfigError")
        assert waiting["message"] == 'configmap "config" not found'

        await _config(api)
        clock.jump(6)

        await until_phase(api, "Succeeded")
        assert await logs(api) == "HIGH\n"


async def test_in_cluster_configuration_works_inside_a_pod(api: Api, node: Node) -> None:
    """The operator's own Pod finds the API server as it does in a real cluster."""
    program = (
        "import asyncio\n"
        "from trivyop.kube.client import Api\n"
        "from trivyop.kube.config import ClusterConfig\n"
        "async def main():\n"
        "    config = await ClusterConfig.load()\n"
        "    async with Api(config) as api:\n"
        "        version = await api.version()\n"
        "    print(config.namespace, version['major'])\n"
        "asyncio.run(main())\n"
    )
    async with node():
        await start(api, {**container(), "command": ["python", "-c", program]})
        await until_one(api, PODS, "scan", lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"))

        assert await logs(api) == "default 1\n"


async def test_failure_tells_its_code_and_its_last_words(api: Api, node: Node) -> None:
    async with node():
        await start(
            api,
            container(
                "echo fatal: no such image >&2; exit 3", terminationMessagePolicy="FallbackToLogsOnError"
            ),
        )

        pod = await until_phase(api, "Failed")

    end = statuses(pod)["main"]["state"]["terminated"]
    assert (end["exitCode"], end["reason"], end["message"]) == (3, "Error", "fatal: no such image\n")


async def test_termination_message_is_what_the_container_wrote(api: Api, node: Node) -> None:
    async with node():
        await start(api, container("echo -n done >/dev/termination-log"))

        pod = await until_phase(api, "Succeeded")

    assert statuses(pod)["main"]["state"]["terminated"]["message"] == "done"


async def test_program_that_is_not_there_is_a_start_error(api: Api, node: Node) -> None:
    async with node():
        await start(api, {**container(), "command": ["no-such-program"]})

        pod = await until_phase(api, "Failed")

    end = statuses(pod)["main"]["state"]["terminated"]
    assert (end["exitCode"], end["reason"]) == (128, "StartError")
    assert "executable file not found in $PATH" in end["message"]


async def test_failed_init_container_fails_the_pod(api: Api, node: Node) -> None:
    async with node():
        await start(api, container("echo never"), initContainers=[container("exit 2", "init")])

        pod = await until_phase(api, "Failed")

    assert statuses(pod)["init"]["state"]["terminated"]["exitCode"] == 2
    assert statuses(pod)["main"]["state"]["waiting"]["reason"] == "PodInitializing"


async def test_containers_run_beside_each_other(api: Api, node: Node) -> None:
    """Each waits for the other's file, so one after the other would never end."""
    mount = [{"name": "tmp", "mountPath": "/shared"}]
    script = "touch /shared/{0}; until test -e /shared/{1}; do sleep 0.02; done"
    async with node():
        await start(
            api,
            container(script.format("a", "b"), "a", volumeMounts=mount),
            container(script.format("b", "a"), "b", volumeMounts=mount),
            volumes=EMPTY,
        )

        await until_phase(api, "Succeeded")


async def test_sidecar_runs_before_the_others_and_ends_after_them(api: Api, node: Node) -> None:
    mount = [{"name": "tmp", "mountPath": "/shared"}]
    sidecar = container("touch /shared/up; sleep 1000", "proxy", restartPolicy="Always", volumeMounts=mount)
    async with node():
        await start(
            api,
            container("until test -e /shared/up; do sleep 0.02; done", volumeMounts=mount),
            initContainers=[sidecar],
            volumes=EMPTY,
        )

        pod = await until_phase(api, "Succeeded")

    assert statuses(pod)["proxy"]["state"]["terminated"]["exitCode"] == 143


async def test_log_is_followed_to_its_end(api: Api, node: Node, tmp_path: Any) -> None:
    async with node():
        mount = [{"name": "tmp", "mountPath": "/shared"}]
        script = "echo a; until test -e /shared/go; do sleep 0.02; done; echo b"
        pod = await start(api, container(script, volumeMounts=mount), volumes=EMPTY)
        await until_phase(api, "Running")

        async with api.logs(ObjectKey("default", "scan"), "main", follow=True) as pieces:
            first = await anext(pieces)
            (tmp_path / "pods" / pod["metadata"]["uid"] / "volumes" / "tmp" / "go").touch()
            rest = b"".join([piece async for piece in pieces])

    assert first + rest == b"a\nb\n"


async def test_log_beyond_its_size_comes_without_its_beginning(api: Api, node: Node) -> None:
    async with node(max_log_bytes=20_000):
        await start(api, container("seq 1 5000"))
        await until_phase(api, "Succeeded")

        lines = (await logs(api)).splitlines()

    assert lines[-1] == "5000"
    assert lines[0] != "1"


async def test_servers_bad_moments_only_delay_a_pod(
    api: Api, node: Node, clock: JumpClock, server: ApiServer
) -> None:
    """Neither configuration that cannot be read nor a status that cannot be written costs a scan."""
    await _config(api)
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "token"}}}]
    async with node():
        server.faults.add(Rule(code=503, verb="get", resource="secrets", times=1))
        await start(api, container("echo $A", env=env))
        await until_state(api, "waiting", "CreateContainerConfigError")

        server.faults.add(Rule(code=500, verb="patch", resource="pods", times=1))
        clock.jump(6)

        await until_phase(api, "Succeeded")
        assert await logs(api) == "t0ken\n"
        assert not [rule for rule in server.faults.rules if rule.times]
