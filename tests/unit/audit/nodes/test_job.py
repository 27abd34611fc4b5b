"""Collector Jobs, compared with the Go operator's for the same settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from tests.unit.audit.nodes.making import node, settings
from trivyop.audit.nodes.job import (
    NODE_ANNOTATION,
    CollectorJob,
    build_collector_job,
    collector_job_name,
    pinned,
)
from trivyop.kube.resources import ObjectKey

GOLDEN = Path(__file__).parents[3] / "data" / "golden-jobs" / "node-collector.json"
RESOURCES = {
    "trivy.resources.requests.cpu": "100m",
    "trivy.resources.requests.memory": "100M",
    "trivy.resources.limits.cpu": "500m",
    "trivy.resources.limits.memory": "500M",
}
Json = dict[str, Any]


def job(config: dict[str, str] | None = None, name: str = "n1", **environ: str) -> Json:
    return build_collector_job(
        node(name), settings(config, RESOURCES, **environ), platform="k8s", scan_uid="s-1"
    )


def pod_of(document: Json) -> Json:
    return document["spec"]["template"]["spec"]


def container_of(document: Json) -> Json:
    (container,) = pod_of(document)["containers"]
    return container


def test_job_is_the_go_operators() -> None:
    golden, ours = json.loads(GOLDEN.read_text()), job()

    assert ours["metadata"]["name"] == golden["metadata"]["name"]
    assert ours["metadata"]["namespace"] == golden["metadata"]["namespace"]
    assert ours["metadata"]["labels"] == golden["metadata"]["labels"]
    for field in ("activeDeadlineSeconds", "backoffLimit", "completions"):
        assert ours["spec"][field] == golden["spec"][field]


def test_pod_is_the_go_operators() -> None:
    golden, ours = pod_of(json.loads(GOLDEN.read_text())), pod_of(job())

    for field in (
        "hostPID",
        "restartPolicy",
        "nodeSelector",
        "serviceAccountName",
        "automountServiceAccountToken",
        "securityContext",
    ):
        assert ours[field] == golden[field], field
    for volume in golden["volumes"]:
        assert volume["hostPath"].pop("type") == ""
    assert ours["volumes"] == golden["volumes"]


def test_container_is_the_go_operators_but_for_what_is_packed_in_its_arguments() -> None:
    golden, ours = container_of(json.loads(GOLDEN.read_text())), container_of(job())

    for field in (
        "name",
        "image",
        "command",
        "resources",
        "volumeMounts",
        "imagePullPolicy",
        "securityContext",
    ):
        assert ours[field] == golden[field], field
    assert ours["args"][:4] == golden["args"][:4]
    assert ours["args"][4::2] != []
    assert ours["args"][3::2] == golden["args"][3::2]


def test_pod_carries_the_labels_by_which_it_is_known_as_ours() -> None:
    labels = job()["spec"]["template"]["metadata"]["labels"]

    assert labels["app"] == "node-collector"
    assert labels["app.kubernetes.io/managed-by"] == "trivy-operator"


def test_job_goes_with_the_scan_of_its_node() -> None:
    (owner,) = job()["metadata"]["ownerReferences"]

    assert (owner["kind"], owner["name"], owner["uid"]) == ("NodeScan", "n1", "s-1")


def test_settings_of_the_collector_show() -> None:
    made = job(
        {
            "node.collector.imageRef": "registry.local/collector:9",
            "node.collector.imagePullSecret": "pull",
            "nodeCollector.tolerations": '[{"operator":"Exists"}]',
            "nodeCollector.volumes": '[{"name":"etc","hostPath":{"path":"/etc"}}]',
            "nodeCollector.volumeMounts": '[{"name":"etc","mountPath":"/etc/kubernetes"}]',
            "scanJob.annotations": "a=b,team=platform",
            "scanJob.podPriorityClassName": "low",
            "scanJob.podTemplatePodSecurityContext": '{"runAsUser":7}',
            "scanJob.podTemplateContainerSecurityContext": '{"privileged":true}',
        },
        OPERATOR_SCAN_JOB_TIMEOUT="90s",
        OPERATOR_NODE_COLLECTOR_NAMESPACE="collectors",
        OPERATOR_NODE_COLLECTOR_SERVICE_ACCOUNT="reader",
    )
    pod, container = pod_of(made), container_of(made)

    assert container["image"] == "registry.local/collector:9"
    assert container["securityContext"] == {"privileged": True}
    assert container["volumeMounts"] == [{"name": "etc", "mountPath": "/etc/kubernetes"}]
    assert pod["volumes"] == [{"name": "etc", "hostPath": {"path": "/etc"}}]
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "low"
    assert pod["securityContext"] == {"runAsUser": 7}
    assert pod["serviceAccountName"] == "reader"
    assert made["spec"]["activeDeadlineSeconds"] == 90
    assert made["metadata"]["namespace"] == "collectors"
    assert made["spec"]["template"]["metadata"]["annotations"] == {"a": "b", "team": "platform"}


def test_pod_is_pinned_to_its_node_without_a_node_selector_too() -> None:
    """Else it would tell of another node's settings."""
    term = '{"matchExpressions":[{"key":"a","operator":"Exists"}]}'
    required = f'{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{term}]}}}}'
    affinity = f'{{"nodeAffinity":{required}}}'
    made = pod_of(job({"node.collector.nodeSelector": "false", "scanJob.affinity": affinity}))

    assert "nodeSelector" not in made
    pinned_to = made["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert pinned_to["nodeSelectorTerms"] == [
        {
            "matchExpressions": [{"key": "a", "operator": "Exists"}],
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}],
        }
    ]


def test_node_without_a_hostname_label_is_found_by_its_name() -> None:
    made = build_collector_job(node(labels={}), settings(), platform="k8s")

    assert "nodeSelector" not in pod_of(made)
    assert pod_of(made)["affinity"] == pinned(None, "n1")


def test_node_whose_name_is_no_label_has_a_job_all_the_same() -> None:
    name = "a" * 70 + ".example.com"
    made = job(name=name)
    read = msgspec.convert(made, CollectorJob)

    assert made["metadata"]["name"] == collector_job_name(name)
    assert "trivy-operator.resource.name" not in made["metadata"]["labels"]
    assert read.node == name
    assert made["metadata"]["annotations"][NODE_ANNOTATION] == name


def test_job_of_the_go_operator_is_read_as_one_of_the_same_node() -> None:
    read = msgspec.convert(json.loads(GOLDEN.read_text()), CollectorJob)

    assert read.node == "n1"
    assert read.key == ObjectKey("trivy-system", collector_job_name("n1"))
    assert not read.finished
