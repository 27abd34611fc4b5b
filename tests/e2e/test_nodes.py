"""Nodes, end to end: each is read once, checked, and reported on; what is not read says why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.auditing import set_policies
from tests.e2e.foreign import foreign_kubeconfig, only_with_own_server
from tests.e2e.harness import NAMESPACE, Cluster, another_node, configure, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import is_about, sample
from tests.patience import patience
from trivyop.app import Operator
from trivyop.audit.nodes.job import collector_job_name
from trivyop.audit.nodes.nodescan import NODESCANS
from trivyop.control.clock import Clock
from trivyop.kube.resources import (
    CLUSTERINFRAASSESSMENTREPORTS,
    EVENTS,
    JOBS,
    NAMESPACES,
    NODES,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.kubelet.faults import Fault, Kind

Json = dict[str, Any]
NODES_ONLY = {
    "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED": "true",
    "OPERATOR_VULNERABILITY_SCANNER_ENABLED": "false",
    "OPERATOR_EXPOSED_SECRET_SCANNER_ENABLED": "false",
    "OPERATOR_SBOM_GENERATION_ENABLED": "false",
}
NODE = "sandbox-node"
KEY = ObjectKey("", NODE)
POLICY = """# METADATA
# title: Never
# custom:
#   id: USR-NEVER
#   severity: LOW
package user.nodes

import rego.v1

deny contains msg if {
  input.kind == "None"
  msg := "never"
}
"""


@asynccontextmanager
async def reading_nodes(
    cluster: Cluster, environ: Mapping[str, str] | None = None, clock: Clock | None = None
) -> AsyncGenerator[Operator]:
    """The operator, with audits and nothing else."""
    async with running_operator(cluster, environ={**NODES_ONLY, **(environ or {})}, clock=clock) as operator:
        yield operator


async def until_phase(cluster: Cluster, phase: str, node: str = NODE) -> Json:
    """Wait until the scan of a node is in a phase; returns its status."""
    scans = await cluster.until(
        lambda found: status_of(found, node).get("phase") == phase, NODESCANS, what=phase
    )
    return status_of(scans, node)


def status_of(scans: list[Json], node: str) -> Json:
    found: list[Json] = [scan.get("status", {}) for scan in scans if scan["metadata"]["name"] == node]
    return found[0] if found else {}


async def until_reported(cluster: Cluster, *nodes: str) -> list[Json]:
    """Wait until exactly these nodes have a report."""
    names = {f"node-{node}" for node in nodes}
    return await cluster.until(
        lambda found: {one["metadata"]["name"] for one in found} == names, CLUSTERINFRAASSESSMENTREPORTS
    )


def jobs_made(cluster: Cluster) -> int:
    """How many Jobs were created so far."""
    path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
    requests = cluster.requests
    return sum(one.method == "POST" and one.path == path and one.status == 201 for one in requests)


def looked(operator: Operator) -> bool:
    """Whether a node was looked at."""
    done = {"controller": "nodes", "outcome": "done"}
    return bool(operator.registry.get_sample_value("trivyop_reconcile_total", done))


async def test_every_node_gets_its_report_without_a_bundle_of_checks(tmp_path: Path) -> None:
    async with (
        running_cluster(tmp_path) as cluster,
        another_node(cluster, "arm-node", "linux/arm64"),
        reading_nodes(cluster) as operator,
    ):
        reports = await until_reported(cluster, NODE, "arm-node")
        scans = await cluster.list(NODESCANS)
        node = await cluster.api.get_dict(NODES, KEY)
        await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)

        report = next(one for one in reports if one["metadata"]["name"] == f"node-{NODE}")
        checks = {check["checkID"]: check for check in report["report"]["checks"]}
        assert "AVD-KCV-0077" in checks
        assert all(check.startswith("AVD-KCV-") for check in checks)
        assert node is not None
        (owner,) = report["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Node", node["metadata"]["uid"])
        assert {status_of(scans, name)["phase"] for name in (NODE, "arm-node")} == {"Succeeded"}
        assert sample(operator, "trivyop_node_collections_total", result="succeeded") == 2
        assert jobs_made(cluster) == 2


async def make_node(
    cluster: Cluster, name: str, *, system: str = "linux", ready: str = "True", **spec: Any
) -> None:
    """A Node that nobody looks after."""
    if foreign_kubeconfig() is not None:  # pods that are bound to it would never end
        only_with_own_server("nodes without a kubelet")
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": system, "pool": name}
    await cluster.api.create(
        NODES,
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec},
    )
    condition = {"type": "Ready", "status": ready, "reason": "KubeletTold", "lastHeartbeatTime": None}
    status = {"conditions": [condition], "nodeInfo": {"operatingSystem": system}}
    await cluster.api.patch(NODES, ObjectKey("", name), {"status": status}, subresource="status")


async def test_nodes_that_are_not_read_say_why(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await configure(cluster, {"nodeCollector.excludeNodes": "pool=excluded"})
        taint = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
        await make_node(cluster, "excluded")
        await make_node(cluster, "cordoned", unschedulable=True)
        await make_node(cluster, "tainted", taints=[taint])
        await make_node(cluster, "windows", system="windows")
        await make_node(cluster, "broken", ready="False")
        async with reading_nodes(cluster):
            scans = await cluster.until(
                lambda found: sum(one.get("status", {}).get("phase") == "Skipped" for one in found) == 5,
                NODESCANS,
            )
            await until_reported(cluster, NODE)
            made = jobs_made(cluster)

    reasons = {one["metadata"]["name"]: one["status"].get("reason") for one in scans}
    assert (
        reasons.items()
        >= {
            "excluded": "Excluded",
            "cordoned": "Unschedulable",
            "tainted": "Tainted",
            "windows": "NotLinux",
            "broken": "NotReady",
        }.items()
    )
    assert "dedicated=gpu:NoSchedule" in status_of(scans, "tainted")["message"]
    assert made == 1


async def test_node_is_read_when_it_is_uncordoned(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await cluster.api.patch(NODES, KEY, {"spec": {"unschedulable": True}})
        async with reading_nodes(cluster):
            await until_phase(cluster, "Skipped")
            await cluster.api.patch(NODES, KEY, {"spec": {"unschedulable": None}})
            await until_phase(cluster, "Succeeded")
            await until_reported(cluster, NODE)


async def test_report_of_a_node_goes_when_the_node_is_excluded(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await configure(cluster, {"nodeCollector.excludeNodes": "leave=out"})
        async with reading_nodes(cluster):
            await until_reported(cluster, NODE)
            await cluster.api.patch(NODES, KEY, {"metadata": {"labels": {"leave": "out"}}})
            await until_phase(cluster, "Skipped")
            await until_reported(cluster)
            await cluster.api.patch(NODES, KEY, {"metadata": {"labels": {"leave": None}}})
            await until_reported(cluster, NODE)
            made = jobs_made(cluster)

    assert made == 1


@pytest.mark.parametrize("what", ["INFRA_ASSESSMENT", "CONFIG_AUDIT"])
async def test_reports_on_nodes_go_when_they_are_switched_off(tmp_path: Path, what: str) -> None:
    async with running_cluster(tmp_path) as cluster:
        async with reading_nodes(cluster):
            (report,) = await until_reported(cluster, NODE)
        meta = report["metadata"]
        others = {**meta["annotations"], "trivyop.dev/operator": "somebody-elses"}
        for field in ("uid", "resourceVersion", "managedFields", "creationTimestamp"):
            del meta[field]
        other = {**report, "metadata": {**meta, "name": "node-other", "annotations": others}}
        await cluster.api.create(CLUSTERINFRAASSESSMENTREPORTS, other)
        off = {f"OPERATOR_{what}_SCANNER_ENABLED": "false"}
        async with reading_nodes(cluster, off):
            (left,) = await cluster.until(lambda found: len(found) == 1, CLUSTERINFRAASSESSMENTREPORTS)
            await cluster.until(lambda found: not found, NODESCANS)

    assert left["metadata"]["name"] == "node-other"


async def test_deleted_report_comes_back_without_another_pod_on_the_node(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster, reading_nodes(cluster):
        (before,) = await until_reported(cluster, NODE)
        await cluster.api.delete(CLUSTERINFRAASSESSMENTREPORTS, ObjectKey("", f"node-{NODE}"))
        uid = before["metadata"]["uid"]
        (after,) = await cluster.until(
            lambda found: len(found) == 1 and found[0]["metadata"]["uid"] != uid,
            CLUSTERINFRAASSESSMENTREPORTS,
        )
        made = jobs_made(cluster)

    assert after["report"] == before["report"]
    assert made == 1


async def test_node_that_never_answers_fails_and_holds_up_no_other(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with (
        running_cluster(tmp_path, clock=clock) as cluster,
        another_node(cluster, "silent", "linux/amd64") as silent,
    ):
        silent.faults.rules.append(lambda _pod: Fault(Kind.HANG))
        environ = {"OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT": "2"}
        async with reading_nodes(cluster, environ, clock) as operator:
            await until_phase(cluster, "Running", "silent")
            await until_reported(cluster, NODE)
            clock.leap(301)  # the deadline of the Job
            status = await until_phase(cluster, "Failed", "silent")
            events = await cluster.until(
                lambda found: any(is_about(one, "", "silent") for one in found), EVENTS, what="told"
            )
            failures = sample(operator, "trivyop_node_scan_failures_total", **{"class": "timeout"})
            await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)

    (event,) = [one for one in events if is_about(one, "", "silent")]
    assert status["reason"] == "timeout"
    assert status["nextRetry"] > status["lastAttempt"]
    assert (event["reason"], event["type"], event["involvedObject"]["kind"]) == (
        "NodeScanFailed",
        "Warning",
        "Node",
    )
    assert failures == 1


async def test_failing_collector_shows_its_class_and_is_tried_again_in_time(tmp_path: Path) -> None:
    """The state outlives the operator, so a restart does not begin from the start."""
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        kubelet = cluster.sandbox.kubelet
        assert kubelet is not None
        kubelet.faults.fail_next(Fault(Kind.EXIT, 3))
        async with reading_nodes(cluster, clock=clock):
            failed = await until_phase(cluster, "Failed")
        async with reading_nodes(cluster, clock=clock) as operator:
            made_before = jobs_made(cluster)
            await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)
            clock.leap_to(failed["nextRetry"])
            succeeded = await until_phase(cluster, "Succeeded")
            await until_reported(cluster, NODE)
            assert sample(operator, "trivyop_node_scans", phase="Succeeded") == 1

    assert failed["reason"] == "scanner"
    assert "exit code 3" in failed["message"]
    assert failed["consecutiveFailures"] == 1
    assert made_before == 1
    assert succeeded["attempts"] == 2
    assert (failed["scanReason"], succeeded["scanReason"]) == ("first", "retry")
    assert "reason" not in succeeded


async def test_namespace_that_forbids_collectors_is_named_with_what_helps(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster:
        label = "pod-security.kubernetes.io/enforce"
        namespace = ObjectKey("", NAMESPACE)
        await cluster.api.patch(NAMESPACES, namespace, {"metadata": {"labels": {label: "restricted"}}})
        async with reading_nodes(cluster, clock=clock):
            failed = await until_phase(cluster, "Failed")
            made = jobs_made(cluster)
            await cluster.api.patch(NAMESPACES, namespace, {"metadata": {"labels": {label: "privileged"}}})
            clock.leap_to(failed["nextRetry"])
            await until_phase(cluster, "Succeeded")

    assert failed["reason"] == "admission"
    assert "OPERATOR_NODE_COLLECTOR_NAMESPACE" in failed["message"]
    assert made == 0


async def test_job_that_gets_no_pod_fails_long_before_its_deadline(tmp_path: Path) -> None:
    """Admission refuses pods, not Jobs; here because there is no such service account."""
    clock = LeapingClock()
    environ = {"OPERATOR_NODE_COLLECTOR_SERVICE_ACCOUNT": "nobody"}
    async with running_cluster(tmp_path, clock=clock) as cluster, reading_nodes(cluster, environ, clock):
        await cluster.until(lambda jobs: len(jobs) == 1, JOBS, NAMESPACE)
        await until_phase(cluster, "Running")
        clock.leap(61)
        failed = await until_phase(cluster, "Failed")
        await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)

    assert failed["reason"] == "admission"
    assert NAMESPACE in failed["message"]


async def test_collector_whose_pod_is_refused_says_why_at_once_and_runs_when_it_may(tmp_path: Path) -> None:
    clock = LeapingClock()
    quota = Resource("", "v1", "resourcequotas", "ResourceQuota")
    meta = {"name": "none", "namespace": NAMESPACE}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "0"}}}
    async with running_cluster(tmp_path, clock=clock) as cluster:
        await cluster.api.create(quota, body)
        async with reading_nodes(cluster, clock=clock):
            failed = await until_phase(cluster, "Failed")
            await cluster.api.delete(quota, ObjectKey(NAMESPACE, "none"))
            clock.leap_to(failed["nextRetry"])
            await until_phase(cluster, "Succeeded")

    assert failed["reason"] == "admission"
    assert "exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0" in failed["message"]


async def test_other_policies_are_evaluated_on_what_was_read_before(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster, reading_nodes(cluster):
        (before,) = await until_reported(cluster, NODE)
        await set_policies(cluster, {"policy.nodes.rego": POLICY, "policy.nodes.kinds": "NodeInfo"})
        hash_before = before["metadata"]["labels"]["plugin-config-hash"]
        (after,) = await cluster.until(
            lambda found: found[0]["metadata"]["labels"]["plugin-config-hash"] != hash_before,
            CLUSTERINFRAASSESSMENTREPORTS,
        )
        made = jobs_made(cluster)

    assert after["report"]["checks"] == before["report"]["checks"]
    assert made == 1


async def test_node_is_read_again_when_what_was_read_is_old(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with running_cluster(tmp_path, clock=clock) as cluster, reading_nodes(cluster, clock=clock):
        await until_reported(cluster, NODE)
        before = await until_phase(cluster, "Succeeded")
        clock.leap_to(before["nextRefresh"])
        await cluster.until(
            lambda found: status_of(found, NODE).get("lastSuccess", "") > before["lastSuccess"], NODESCANS
        )
        after = await until_phase(cluster, "Succeeded")
        made = jobs_made(cluster)

    assert made == 2
    assert after["scanReason"] == "too-old"


async def test_restart_reads_nothing_again_and_writes_nothing(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        async with reading_nodes(cluster):
            (before,) = await until_reported(cluster, NODE)
            await until_phase(cluster, "Succeeded")
            await cluster.until(lambda jobs: not jobs, JOBS, NAMESPACE)
        async with reading_nodes(cluster) as operator:
            async with patience(60):
                while not looked(operator):  # noqa: ASYNC110 - as the harness waits
                    await asyncio.sleep(0.1)
            (after,) = await until_reported(cluster, NODE)
            made = jobs_made(cluster)

    assert after == before
    assert made == 1


async def test_job_of_a_former_life_is_read_and_not_made_again(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        async with reading_nodes(cluster):
            await cluster.until(
                lambda jobs: [one["metadata"]["name"] for one in jobs] == [collector_job_name(NODE)],
                JOBS,
                NAMESPACE,
            )
        async with reading_nodes(cluster):
            await until_reported(cluster, NODE)
            made = jobs_made(cluster)

    assert made == 1


async def test_scan_of_a_node_goes_with_it(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await make_node(cluster, "short-lived", unschedulable=True)
        async with reading_nodes(cluster):
            await until_phase(cluster, "Skipped", "short-lived")
            await cluster.api.delete(NODES, ObjectKey("", "short-lived"))
            await cluster.until(
                lambda found: "short-lived" not in {one["metadata"]["name"] for one in found}, NODESCANS
            )
