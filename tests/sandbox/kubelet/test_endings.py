"""How Pods end: restarts, deadlines, deletion, faults, and the end of the agent itself."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.sandbox.controllers.jumpclock import JumpClock
from tests.sandbox.controllers.world import set_pod_status, until_gone, until_one
from tests.sandbox.kubelet.conftest import Node
from tests.sandbox.kubelet.shell import container, logs, start, statuses, until_phase, until_state
from trivyop.kube.client import Api
from trivyop.kube.resources import NODES, PODS, ObjectKey
from trivyop.sandbox.kubelet.faults import Fault, Faults, Kind
from trivyop.sandbox.kubelet.images import InventedImages

FOR_EVER = "echo $$$$; while true; do sleep 0.1; done"  # the API makes one $ of two
STUBBORN = "trap '' TERM; " + FOR_EVER
KEY = ObjectKey("default", "scan")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def members(group: int) -> list[str]:
    """The processes of a group, but for dead ones that their new parent has not taken notice of."""
    found: list[str] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            state, _, pgid, *_ = rest.split()
            if int(pgid) == group and state != "Z":
                found.append(name)
    return found


def entries(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]


async def pid_of(api: Api) -> int:
    """The id that the Pod's shell prints."""
    await until_state(api, "running")
    async with api.logs(KEY, "main", follow=True) as pieces:
        return int(await anext(pieces))


async def test_failed_container_starts_again_and_its_old_log_stays(api: Api, node: Node) -> None:
    mount = [{"name": "data", "mountPath": "/data"}]
    script = "echo run >>/data/runs; echo try $(wc -l </data/runs); test $(wc -l </data/runs) -gt 1"
    async with node():
        await start(
            api,
            container(script, volumeMounts=mount),
            restartPolicy="OnFailure",
            volumes=[{"name": "data", "emptyDir": {}}],
        )
        pod = await until_phase(api, "Succeeded")

        assert await logs(api) == "try 2\n"
        previous = await api.get_raw(PODS.path(*KEY, "log"), params={"previous": "true"})

    assert previous == b"try 1\n"
    main = statuses(pod)["main"]
    assert main["restartCount"] == 1
    assert main["lastState"]["terminated"]["exitCode"] == 1


async def test_crash_loop_backs_off(api: Api, node: Node, clock: JumpClock) -> None:
    async with node():
        await start(api, container("exit 1"), restartPolicy="Always")
        waiting = await until_state(api, "waiting", "CrashLoopBackOff")
        assert waiting["message"].startswith(
            "back-off 10s restarting failed container=main pod=scan_default("
        )

        clock.jump(11)

        await until_one(api, PODS, "scan", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 2)


async def test_pod_that_outlasts_its_deadline_fails(api: Api, node: Node, clock: JumpClock) -> None:
    async with node():
        await start(api, container(FOR_EVER), activeDeadlineSeconds=60)
        pid = await pid_of(api)

        clock.jump(61)

        pod = await until_phase(api, "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert statuses(pod)["main"]["state"]["terminated"]["exitCode"] == 143
    assert not alive(pid)


async def test_deleted_pod_may_end_well(api: Api, node: Node) -> None:
    async with node():
        await start(api, container("trap 'exit 0' TERM; " + FOR_EVER), restartPolicy="Always")
        await pid_of(api)

        await api.delete(PODS, KEY)

        await until_gone(api, PODS, "scan")


async def test_deleted_pod_that_does_not_listen_is_killed_when_its_time_is_up(
    api: Api, node: Node, clock: JumpClock
) -> None:
    async with node():
        await start(api, container(STUBBORN), terminationGracePeriodSeconds=20)
        pid = await pid_of(api)

        await api.delete(PODS, KEY)
        await until_one(api, PODS, "scan", lambda p: "deletionTimestamp" in p["metadata"])
        assert alive(pid)
        while await api.get_dict(PODS, KEY) is not None:  # the agent hears of the deletion in its own time
            clock.jump(21)

    assert not alive(pid)


async def test_pod_removed_by_force_leaves_no_process_and_no_file(
    api: Api, node: Node, tmp_path: Path
) -> None:
    async with node() as kubelet:
        await start(api, container(STUBBORN))
        pid = await pid_of(api)

        await api.delete(PODS, KEY, grace_seconds=0)
        await kubelet.wait_idle()

        assert not alive(pid)
        assert entries(tmp_path / "pods") == []


async def test_nothing_survives_the_agent(api: Api, node: Node, tmp_path: Path) -> None:
    """Grandchildren included, and whatever they think of SIGTERM."""
    async with node():
        await start(api, container("(trap '' TERM; sleep 1000) & " + STUBBORN))
        pid = await pid_of(api)
        assert members(pid)

    assert members(pid) == []
    assert entries(tmp_path / "pods") == []
    found = await api.get_dict(NODES, ObjectKey("", "n1"))
    assert found is not None
    assert {c["type"]: c["status"] for c in found["status"]["conditions"]}["Ready"] == "False"


async def test_out_of_memory_looks_like_it(api: Api, node: Node) -> None:
    async with node():
        await start(api, container(FOR_EVER), annotations={"sandbox.trivyop.dev/fail": "oom"})

        pod = await until_phase(api, "Failed")

    end = statuses(pod)["main"]["state"]["terminated"]
    assert (end["exitCode"], end["reason"]) == (137, "OOMKilled")


async def test_rules_fail_as_many_pods_as_they_are_told(api: Api, node: Node) -> None:
    faults = Faults()
    faults.fail_next(Fault(Kind.EXIT, 7))
    async with node(faults=faults):
        await start(api, container("echo fine"), name="first")
        pod = await until_phase(api, "Failed", "first")
        await start(api, container("echo fine"), name="second")
        await until_phase(api, "Succeeded", "second")

    assert statuses(pod)["main"]["state"]["terminated"]["exitCode"] == 7


async def test_evicted_pod_fails_as_a_whole(api: Api, node: Node) -> None:
    async with node():
        await start(api, container("echo fine"), annotations={"sandbox.trivyop.dev/fail": "evicted"})

        pod = await until_phase(api, "Failed")

    assert pod["status"]["reason"] == "Evicted"


async def test_image_that_is_not_there_is_asked_for_again_and_again(
    api: Api, node: Node, clock: JumpClock
) -> None:
    image = "mirror.gcr.io/aquasec/trivy:0.72.0"
    async with node(images=InventedImages(missing=frozenset({image}))):
        await start(api, container("echo never"))
        failed = await until_state(api, "waiting", "ErrImagePull")
        assert failed["message"].endswith(f"{image}: not found")

        clock.jump(2)

        waiting = await until_state(api, "waiting", "ImagePullBackOff")
        assert waiting["message"].startswith(f'Back-off pulling image "{image}": ErrImagePull: ')


async def test_pod_of_an_agent_that_is_gone_has_failed(api: Api, node: Node) -> None:
    """Nothing here knows what became of its processes, and it must not run twice."""
    await start(api, container("echo twice"))
    await set_pod_status(api, "scan", {"phase": "Running"})

    async with node():
        pod = await until_phase(api, "Failed")

    assert pod["status"]["reason"] == "ContainerStatusUnknown"
