"""Audits on the sandbox, with the real Trivy: which reports there are, and when they change, come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.auditing import (
    SECRETS_CHECK,
    auditing,
    basis,
    create,
    failed,
    names,
    role,
    service,
    until_gone,
    until_idle,
    until_report,
)
from tests.e2e.harness import configure, deployment, pod, running_cluster
from trivyop.kube.client import PatchKind
from trivyop.kube.resources import (
    CLUSTERCONFIGAUDITREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    CLUSTERROLES,
    CONFIGAUDITREPORTS,
    DEPLOYMENTS,
    INFRAASSESSMENTREPORTS,
    INGRESSES,
    LIMITRANGES,
    PERSISTENTVOLUMES,
    RBACASSESSMENTREPORTS,
    ROLES,
    SERVICES,
    ObjectKey,
)
from trivyop.report import keys
from trivyop.workload.audited import LAST_APPLIED

Json = dict[str, Any]


async def test_resources_have_the_reports_of_their_kind(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        image = cluster.image("library/single:1")
        await cluster.create(deployment("web", "shop", web=image), pod("etcd-n1", "kube-system", etcd=image))
        await create(cluster, SERVICES, service("web"))
        await create(cluster, ROLES, role("reader"), role("system:reader"))
        volume: Json = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "disk"},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/x"},
            },
        }
        await create(cluster, PERSISTENTVOLUMES, volume)
        limits: Json = {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "limits", "namespace": "shop"},
            "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]},
        }
        await create(cluster, LIMITRANGES, limits)
        async with auditing(cluster, {"OPERATOR_INFRA_ASSESSMENT_SCANNER_ENABLED": "true"}) as operator:
            reader = await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", check=SECRETS_CHECK)
            infra = await until_report(cluster, INFRAASSESSMENTREPORTS, "pod-etcd-n1", "kube-system")
            await until_report(cluster, CLUSTERCONFIGAUDITREPORTS, "persistentvolume-disk", "")
            await until_report(cluster, CLUSTERRBACASSESSMENTREPORTS, "clusterrole-admin", "")
            await until_report(cluster, CONFIGAUDITREPORTS, "limitrange-limits")
            await until_report(cluster, CONFIGAUDITREPORTS, "service-web")
            await until_idle(operator)
            config = await cluster.list(CONFIGAUDITREPORTS)
            roles = await cluster.list(RBACASSESSMENTREPORTS)
            cluster_roles = await cluster.list(CLUSTERRBACASSESSMENTREPORTS)
        all_roles = await cluster.list(CLUSTERROLES)

    replica_set, *others = sorted(names(config), key=lambda name: not name.startswith("replicaset-web-"))
    assert replica_set.startswith("replicaset-web-")
    assert sorted(others) == ["limitrange-limits", "pod-etcd-n1", "service-web"]
    assert len(names(roles)) == 2
    assert len(cluster_roles) == len(all_roles)
    owner = reader["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Role", "reader", True)
    assert reader["report"]["summary"]["mediumCount"] + reader["report"]["summary"]["highCount"] > 0
    assert reader["report"]["scanner"]["name"] == "Trivy"
    assert all(row["checkID"].startswith("AVD-KCV-") for row in infra["report"]["checks"])
    assert infra["report"]["checks"]


async def test_only_what_checks_can_see_calls_for_an_audit(tmp_path: Path) -> None:
    """A status is written every few seconds; a spec, a label or an annotation is not."""
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, SERVICES, service("web"))
        await create(cluster, ROLES, role("reader"))
        async with auditing(cluster) as operator:
            first = await until_report(cluster, CONFIGAUDITREPORTS, "service-web")
            reader = await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader")
            before = await until_idle(operator)
            key = ObjectKey("shop", "web")
            status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
            await cluster.api.patch(SERVICES, key, status, kind=PatchKind.MERGE, subresource="status")
            trigger = {
                "metadata": {"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "now"}}
            }
            await cluster.api.patch(SERVICES, key, trigger, kind=PatchKind.MERGE)
            await cluster.api.apply(ROLES, role("reader", verbs=("*",)))
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", but=reader)
            after_spec = await until_idle(operator)
            (unchanged,) = await cluster.list(CONFIGAUDITREPORTS, "shop")
            label = {"metadata": {"labels": {"team": "checkout"}}}
            await cluster.api.patch(SERVICES, key, label, kind=PatchKind.MERGE)
            await until_report(cluster, CONFIGAUDITREPORTS, "service-web", but=first)
            after_label = await until_idle(operator)

    assert after_spec == before + 1
    assert after_label == before + 2
    assert basis(unchanged) == basis(first)


async def test_deleted_report_comes_back_and_goes_with_its_resource(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"))
        shared = {**role("shared"), "kind": "ClusterRole", "metadata": {"name": "shared"}}
        await create(cluster, CLUSTERROLES, shared)
        async with auditing(cluster):
            first = await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader")
            first_shared = await until_report(cluster, CLUSTERRBACASSESSMENTREPORTS, "clusterrole-shared", "")
            await cluster.api.delete(RBACASSESSMENTREPORTS, ObjectKey("shop", "role-reader"))
            await cluster.api.delete(CLUSTERRBACASSESSMENTREPORTS, ObjectKey("", "clusterrole-shared"))
            again = await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", but=first)
            await until_report(
                cluster, CLUSTERRBACASSESSMENTREPORTS, "clusterrole-shared", "", but=first_shared
            )
            await cluster.api.delete(ROLES, ObjectKey("shop", "reader"))
            await cluster.api.delete(CLUSTERROLES, ObjectKey("", "shared"))
            await until_gone(cluster, RBACASSESSMENTREPORTS, "role-reader")
            await until_gone(cluster, CLUSTERRBACASSESSMENTREPORTS, "clusterrole-shared")

    assert failed(again) == failed(first)


async def test_restart_audits_nothing_again_unless_settings_ask_for_it(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"))
        await create(cluster, SERVICES, service("web"))
        async with auditing(cluster) as operator:
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader")
            await until_report(cluster, CONFIGAUDITREPORTS, "service-web")
            await until_idle(operator)
        everything = await cluster.list(RBACASSESSMENTREPORTS)

        await create(cluster, ROLES, role("late"))
        async with auditing(cluster) as operator:
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-late")
            again = await until_idle(operator)

        await configure(cluster, {"report.recordFailedChecksOnly": "true"})
        async with auditing(cluster):
            await cluster.until(
                lambda reports: all(len(one["report"]["checks"]) == len(failed(one)) for one in reports),
                CONFIGAUDITREPORTS,
                seconds=90,
            )

        async with auditing(cluster, {"OPERATOR_MERGE_RBAC_FINDING_WITH_CONFIG_AUDIT": "true"}):
            merged = await until_report(cluster, CONFIGAUDITREPORTS, "role-reader")
            await until_report(cluster, CLUSTERCONFIGAUDITREPORTS, "clusterrole-admin", "")
            await cluster.until(lambda reports: not reports, RBACASSESSMENTREPORTS, seconds=90)
            await cluster.until(lambda reports: not reports, CLUSTERRBACASSESSMENTREPORTS, seconds=90)

    assert again == 1
    assert SECRETS_CHECK in failed(merged)
    assert "late" not in str(names(everything))


async def test_namespaces_labels_and_kinds_decide_what_has_reports(tmp_path: Path) -> None:
    """What is left out loses its reports, and gets them back when it is not left out any more."""
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("a", "one"), role("b", "two"), role("c", "three"))
        await create(cluster, SERVICES, service("web", "one"))
        async with auditing(cluster, {"OPERATOR_EXCLUDE_NAMESPACES": "two"}):
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-a", "one")
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-c", "three")
            await until_report(cluster, CONFIGAUDITREPORTS, "service-web", "one")
            first = await cluster.list(RBACASSESSMENTREPORTS)
        skip = {
            "OPERATOR_EXCLUDE_NAMESPACES": "on*",
            "OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED": "true",
        }
        await configure(cluster, {"skipResourceByLabels": "audit-me-not"})
        async with auditing(cluster, skip):
            await until_gone(cluster, RBACASSESSMENTREPORTS, "role-a")
            await until_gone(cluster, CONFIGAUDITREPORTS, "service-web")
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-b", "two")
            label: Json = {"metadata": {"labels": {"audit-me-not": "true"}}}
            await cluster.api.patch(ROLES, ObjectKey("three", "c"), label, kind=PatchKind.MERGE)
            await until_gone(cluster, RBACASSESSMENTREPORTS, "role-c")
            label["metadata"]["labels"]["audit-me-not"] = None
            await cluster.api.patch(ROLES, ObjectKey("three", "c"), label, kind=PatchKind.MERGE)
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-c", "three")
        async with auditing(cluster, {"OPERATOR_RBAC_ASSESSMENT_SCANNER_ENABLED": "false"}):
            await cluster.until(lambda reports: not reports, RBACASSESSMENTREPORTS, seconds=90)
            await until_report(cluster, CONFIGAUDITREPORTS, "service-web", "one")

    assert names(first) == {"role-a", "role-c"}


async def test_only_the_current_revision_of_a_deployment_has_a_report(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        web = deployment("web", "shop", web=cluster.image("library/single:1"))
        await cluster.create(web)
        async with auditing(cluster):
            (first,) = await cluster.until(
                lambda found: len(found) == 1, CONFIGAUDITREPORTS, "shop", seconds=90
            )
            web["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
            await cluster.api.apply(DEPLOYMENTS, web)
            (second,) = await cluster.until(
                lambda found: len(found) == 1 and names(found) != names([first]),
                CONFIGAUDITREPORTS,
                "shop",
                seconds=90,
            )

    assert "AVD-KSV-0017" in failed(second)
    assert "AVD-KSV-0017" not in failed(first)


async def test_outdated_version_is_found_in_what_was_applied(tmp_path: Path) -> None:
    """The server has converted it; what was applied is in the note of kubectl."""
    rules = [{"host": "example.com"}]
    applied = (
        '{"apiVersion":"networking.k8s.io/v1beta1","kind":"Ingress",'
        '"metadata":{"name":"old","namespace":"shop"},"spec":{"rules":[]}}'
    )
    ingress: Json = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "new", "namespace": "shop"},
        "spec": {"rules": rules},
    }
    old = {
        **ingress,
        "metadata": {"name": "old", "namespace": "shop", "annotations": {LAST_APPLIED: applied}},
    }
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, INGRESSES, ingress, old)
        async with auditing(cluster):
            new_report = await until_report(cluster, CONFIGAUDITREPORTS, "ingress-new")
            old_report = await until_report(cluster, CONFIGAUDITREPORTS, "ingress-old")

    assert "AVD-KSV-0107" in failed(old_report)
    assert "AVD-KSV-0107" not in failed(new_report)


async def test_report_of_the_go_operator_is_taken_over(tmp_path: Path) -> None:
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("reader"))
        owner = await cluster.api.get_dict(ROLES, ObjectKey("shop", "reader"))
        assert owner is not None
        body: Json = {
            "apiVersion": "aquasecurity.github.io/v1alpha1",
            "kind": "RbacAssessmentReport",
            "metadata": {
                "name": "role-reader",
                "namespace": "shop",
                "labels": {
                    keys.MANAGED_BY: keys.MANAGED_BY_VALUE,
                    keys.RESOURCE_KIND: "Role",
                    keys.RESOURCE_NAME: "reader",
                    keys.RESOURCE_NAMESPACE: "shop",
                    keys.SPEC_HASH: "6fd4999bb",
                    keys.POLICIES_HASH: "9f85fb657",
                },
                "ownerReferences": [
                    {
                        "apiVersion": owner["apiVersion"],
                        "kind": "Role",
                        "name": "reader",
                        "uid": owner["metadata"]["uid"],
                        "controller": True,
                        "blockOwnerDeletion": False,
                    }
                ],
            },
            "report": {
                "checks": [
                    {"checkID": "AVD-KSV-0049", "severity": "MEDIUM", "success": False, "messages": ["old"]}
                ],
                "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.32.0"},
                "summary": {"criticalCount": 0, "highCount": 0, "mediumCount": 1, "lowCount": 0},
            },
        }
        await cluster.api.create(RBACASSESSMENTREPORTS, body)
        async with auditing(cluster):
            report = await until_report(cluster, RBACASSESSMENTREPORTS, "role-reader", check=SECRETS_CHECK)

    assert failed(report) == {SECRETS_CHECK}
    assert len(report["metadata"]["ownerReferences"]) == 1


async def test_target_namespaces_that_are_others_now_lose_and_gain_reports(tmp_path: Path) -> None:
    """Also where the mirrors do not look any more; what another operator wrote stays."""
    async with running_cluster(tmp_path) as cluster:
        await create(cluster, ROLES, role("a", "one"), role("b", "two"), role("c", "three"))
        async with auditing(cluster, {"OPERATOR_TARGET_NAMESPACES": "one,three"}):
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-a", "one")
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-c", "three")
            first = await cluster.list(RBACASSESSMENTREPORTS)
        foreign = {"metadata": {"annotations": {keys.OPERATOR: "elsewhere"}}}
        await cluster.api.patch(
            RBACASSESSMENTREPORTS, ObjectKey("three", "role-c"), foreign, kind=PatchKind.MERGE
        )
        async with auditing(cluster, {"OPERATOR_TARGET_NAMESPACES": "two"}):
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-b", "two")
            await until_gone(cluster, RBACASSESSMENTREPORTS, "role-a")
            second = await cluster.list(RBACASSESSMENTREPORTS)

    assert names(first) == {"role-a", "role-c"}
    assert names(second) == {"role-b", "role-c"}
