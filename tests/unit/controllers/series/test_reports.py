"""What is served of reports, and what is not."""

from __future__ import annotations

import pytest

from tests.series import EVERYTHING, labels_of, of
from tests.unit.controllers.series.world import World, report, summary, vulnerability
from trivyop.controllers.series.labels import ResourceLabels, label_name
from trivyop.kube.resources import (
    CLUSTERCOMPLIANCEREPORTS,
    CLUSTERCONFIGAUDITREPORTS,
    CLUSTERRBACASSESSMENTREPORTS,
    CONFIGAUDITREPORTS,
    VULNERABILITYREPORTS,
    ObjectKey,
)
from trivyop.report import keys
from trivyop.report.kinds import all_families
from trivyop.settings.operator import MetricsSettings

COUNTED = "trivy_image_vulnerabilities"
KEY = ObjectKey("shop", "replicaset-web-1-app")
IMAGE = {
    "artifact": {"repository": "shop/web", "tag": "1.0", "digest": "sha256:abc"},
    "registry": {"server": "registry.example.com"},
}


def limited(limit: int) -> MetricsSettings:
    return MetricsSettings(vulnerability_id_enabled=True, series_limit=limit)


def test_counts_come_from_metadata_alone() -> None:
    world = World()

    world.write(VULNERABILITYREPORTS, report(counts=(1, 2, 3, 4, 5)))

    assert {
        dict(labels)["severity"]: value for (_, labels), value in of(world.scrape(), COUNTED).items()
    } == {
        "Critical": 1,
        "High": 2,
        "Medium": 3,
        "Low": 4,
        "Unknown": 5,
    }
    assert world.reads == []


def test_what_has_a_fix_is_counted_of_the_two_worst_severities() -> None:
    world = World()
    world.write(
        VULNERABILITYREPORTS,
        report(counts=(2, 2, 9, 0, 0), annotations={keys.FIXABLE: "c=1,h=2,m=3,l=0,u=0"}),
    )

    found = of(world.scrape(), "trivyop_image_fixable_vulnerabilities")

    assert sorted((dict(labels)["severity"], value) for (_, labels), value in found.items()) == [
        ("Critical", 1),
        ("High", 2),
    ]


def test_no_series_outlives_its_report() -> None:
    world = World()
    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0)))

    world.delete(VULNERABILITYREPORTS, KEY)

    assert world.page() == ""


def test_nothing_is_served_while_another_replica_leads() -> None:
    world = World()
    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0)))

    world.switch.active = False

    assert world.page() == ""
    assert world.own("trivyop_series_ready", metric=COUNTED) == 0


def test_metric_waits_until_its_reports_are_listed_and_others_do_not() -> None:
    world = World()
    world.mirrors[VULNERABILITYREPORTS].synced = False
    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0)))
    world.write(CONFIGAUDITREPORTS, report("pod-web", container="", counts=(0, 1, 0, 0, 0)))

    assert {name for name, _ in world.scrape()} == {"trivy_resource_configaudits"}
    world.mirrors[VULNERABILITYREPORTS].synced = True
    assert COUNTED in {name for name, _ in world.scrape()}


async def test_report_of_another_operator_is_read_once_and_waited_for() -> None:
    world = World()
    world.listing(done=False)
    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0)))
    body = {**IMAGE, "summary": summary(0, 7), "vulnerabilities": []}
    world.write(VULNERABILITYREPORTS, report("other", **body))
    world.listing(done=True)

    early = world.page()
    await world.read_all()
    world.page()

    assert early == ""
    values = of(world.scrape(), COUNTED)
    assert len(values) == 10
    assert sum(values.values()) == 8
    assert world.reads == ["vulnerabilityreports shop/other"]


async def test_unreadable_report_holds_nothing_up_and_is_told_of() -> None:
    world = World()
    world.listing(done=False)
    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0)))
    world.write(VULNERABILITYREPORTS, report("other", **IMAGE, summary=summary(0, 7)))
    world.listing(done=True)
    world.broken = True
    before = world.page()

    await world.read_all()

    assert before == ""
    assert sum(of(world.scrape(), COUNTED).values()) == 1
    assert world.own("trivyop_reports_unread", kind="VulnerabilityReport") == 1
    world.broken = False
    world.clock.advance(10)
    await world.read_all()
    assert sum(of(world.scrape(), COUNTED).values()) == 8
    assert world.own("trivyop_reports_unread", kind="VulnerabilityReport") == 0


async def test_changed_report_is_shown_as_it_was_until_it_is_read_again() -> None:
    world = World()
    world.write(VULNERABILITYREPORTS, report("other", **IMAGE, summary=summary(0, 7)))
    await world.read_all()

    world.write(VULNERABILITYREPORTS, report("other", **IMAGE, summary=summary(0, 9)))

    assert sum(of(world.scrape(), COUNTED).values()) == 7
    await world.read_all()
    assert sum(of(world.scrape(), COUNTED).values()) == 9


async def test_image_is_read_once_for_all_its_containers() -> None:
    world = World(limited(1000))
    rows = [vulnerability(1), vulnerability(2, "LOW"), vulnerability(1)]
    for name in ("a", "b", "c"):
        world.write(VULNERABILITYREPORTS, report(name, counts=(0, 2, 0, 1, 0), vulnerabilities=rows))

    await world.read_all()

    found = labels_of(world.scrape(), "trivy_vulnerability_id")
    assert len(world.reads) == 1
    assert sorted((labels["name"], labels["vuln_id"]) for labels in found) == [
        (name, f"CVE-2026-{number}") for name in ("a", "b", "c") for number in (1, 2)
    ]


async def test_targets_are_those_of_the_reports_own_reference() -> None:
    """One image under two references: the findings are the same, but the target names the reference."""
    world = World(EVERYTHING)
    for name, reference in (("a", "nginx:1"), ("b", "docker.io/library/nginx:1"), ("c", "nginx:1")):
        rows = [vulnerability(1, target=f"{reference} (debian 12)")]
        annotations = {keys.REFERENCE: reference}
        document = report(name, counts=(0, 1, 0, 0, 0), annotations=annotations, vulnerabilities=rows)
        world.write(VULNERABILITYREPORTS, document)

    await world.read_all()

    found = labels_of(world.scrape(), "trivy_vulnerability_id")
    assert {(labels["name"], labels["target"]) for labels in found} == {
        ("a", "nginx:1 (debian 12)"),
        ("b", "docker.io/library/nginx:1 (debian 12)"),
        ("c", "nginx:1 (debian 12)"),
    }
    once = labels_of(world.scrape(), "trivyop_image_vulnerability_info")
    assert [labels["target"] for labels in once] == ["docker.io/library/nginx:1 (debian 12)"]
    assert len(world.reads) == 2


async def test_report_without_findings_is_not_read() -> None:
    world = World(EVERYTHING)

    world.write(VULNERABILITYREPORTS, report(counts=(0, 0, 0, 0, 0)))
    await world.read_all()

    assert world.reads == []


async def test_counts_do_not_wait_for_findings() -> None:
    """After a restart there is no gap in what always is there."""
    world = World(limited(1000))
    world.listing(done=False)

    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0), vulnerabilities=[vulnerability(1)]))
    world.listing(done=True)

    assert "trivy_vulnerability_id" not in world.page()
    assert COUNTED in world.page()


async def test_findings_are_let_go_with_their_last_report() -> None:
    world = World(limited(1000))
    world.write(VULNERABILITYREPORTS, report(counts=(0, 1, 0, 0, 0), vulnerabilities=[vulnerability(1)]))
    await world.read_all()

    world.delete(VULNERABILITYREPORTS, KEY)
    world.write(VULNERABILITYREPORTS, report(counts=(0, 1, 0, 0, 0), vulnerabilities=[vulnerability(1)]))
    await world.read_all()

    assert len(world.reads) == 2


async def test_beyond_the_limit_the_worst_are_served_and_the_rest_is_counted() -> None:
    world = World(limited(4))
    for name in ("b", "a"):
        rows = [
            vulnerability(3, "LOW"),
            vulnerability(1, "CRITICAL"),
            vulnerability(2, "MEDIUM", title=name),
            vulnerability(4, "LOW"),
        ]
        world.write(
            VULNERABILITYREPORTS,
            report(name, counts=(1, 0, 1, 2, 0), annotations={keys.PLATFORM: name}, vulnerabilities=rows),
        )
    await world.read_all()

    first, second = world.scrape(), world.scrape()

    found = labels_of(first, "trivy_vulnerability_id")
    assert sorted((labels["severity"], labels["name"]) for labels in found) == [
        ("Critical", "a"),
        ("Critical", "b"),
        ("Medium", "a"),
        ("Medium", "b"),
    ]
    assert second == first
    assert world.own("trivyop_series_dropped_total", metric="trivy_vulnerability_id") == 8


async def test_limit_within_a_severity_takes_the_first_by_name() -> None:
    world = World(limited(3))
    for name in ("b", "a"):
        rows = [vulnerability(1), vulnerability(2, title=name)]
        annotations = {keys.PLATFORM: name}
        world.write(
            VULNERABILITYREPORTS,
            report(name, counts=(0, 2, 0, 0, 0), annotations=annotations, vulnerabilities=rows),
        )
    await world.read_all()

    found = labels_of(world.scrape(), "trivy_vulnerability_id")

    assert sorted(labels["name"] for labels in found) == ["a", "a", "b"]


async def test_vulnerabilities_of_an_image_are_there_once_and_lead_to_who_runs_it() -> None:
    world = World(MetricsSettings(image_vulnerability_info_enabled=True))
    for name in ("a", "b"):
        world.write(
            VULNERABILITYREPORTS, report(name, counts=(0, 1, 0, 0, 0), vulnerabilities=[vulnerability(1)])
        )
    await world.read_all()

    served = world.scrape()

    (once,) = labels_of(served, "trivyop_image_vulnerability_info")
    users = labels_of(served, "trivyop_image_used_by")
    assert (once["image_digest"], once["vuln_id"]) == ("sha256:abc", "CVE-2026-1")
    assert {(user["image_digest"], user["name"]) for user in users} == {
        ("sha256:abc", "a"),
        ("sha256:abc", "b"),
    }


async def test_text_that_would_end_a_label_is_escaped() -> None:
    world = World(EVERYTHING)
    title = 'a "quoted" \\ title\nover two lines'
    row = vulnerability(1, title=title, score=7)
    world.write(VULNERABILITYREPORTS, report(counts=(0, 1, 0, 0, 0), vulnerabilities=[row]))
    await world.read_all()

    (labels,) = labels_of(world.scrape(), "trivy_vulnerability_id")

    assert (labels["vuln_title"], labels["vuln_score"]) == (title, "7")


def test_annotations_that_somebody_broke_are_not_believed() -> None:
    world = World()

    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0), annotations={keys.SUMMARY: "c=many"}))

    assert COUNTED not in world.page()
    assert world.own("trivyop_reports_unread", kind="VulnerabilityReport") == 1


def cluster_role(name: str, critical: int) -> dict[str, object]:
    return report(name, "", kind="ClusterRole", owner="admin", container="", counts=(critical, 0, 0, 0, 0))


@pytest.mark.parametrize(("merged", "counts"), [(False, 1), (True, 2)])
def test_cluster_role_with_two_reports_is_told_by_the_one_that_is_written_now(
    merged: bool, counts: int
) -> None:
    world = World(merged_roles=merged)
    world.write(CLUSTERRBACASSESSMENTREPORTS, cluster_role("clusterrole-admin", 1))
    world.write(CLUSTERCONFIGAUDITREPORTS, cluster_role("clusterrole-admin", 2))
    world.write(CLUSTERCONFIGAUDITREPORTS, {**report("psp", "", kind="PodSecurityPolicy", counts=(9,) * 5)})

    found = of(world.scrape(), "trivy_clusterrole_clusterrbacassessments")

    assert (len(found), sum(found.values())) == (4, counts)
    assert all("namespace" not in dict(labels) for _, labels in found)


async def test_reports_on_compliance_with_one_title_make_no_series_twice() -> None:
    world = World(EVERYTHING)
    for name, failed in (("b", 5), ("a", 3)):
        document = {
            "metadata": {"name": name},
            "spec": {"compliance": {"title": "CIS", "description": ""}},
            "status": {
                "summary": {"failCount": failed, "passCount": 1},
                "summaryReport": {
                    "controlCheck": [
                        {"id": "1", "name": "One", "severity": "HIGH", "totalFail": failed},
                        {"id": "2", "name": "Two", "severity": "LOW", "totalFail": 0},
                        {"id": "3", "name": "By hand", "severity": "LOW"},
                    ]
                },
            },
        }
        world.write(CLUSTERCOMPLIANCEREPORTS, document)
    await world.read_all()

    served = world.scrape()

    assert sorted(of(served, "trivy_cluster_compliance").values()) == [1, 3]
    controls = of(served, "trivy_compliance_info").items()
    assert sorted((dict(labels)["compliance_id"], value) for (_, labels), value in controls) == [
        ("1", 3),
        ("2", 1),
    ]


def test_labels_of_the_workload_follow_with_their_prefix() -> None:
    keys_shown = ("app.kubernetes.io/name", "TeamOwner", "absent")
    world = World(MetricsSettings(resource_labels_prefix="k8s_label_"), keys_shown)
    labels = {"app.kubernetes.io/name": "web", "TeamOwner": "shop"}
    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0), labels=labels))

    page = world.page()

    end = 'k8s_label_app_kubernetes_io_name="web",k8s_label_team_owner="shop",k8s_label_absent=""} 1'
    assert f'severity="Critical",{end}\n' in page
    assert len(world.scrape()) == 7


def test_label_whose_name_is_taken_is_left_out() -> None:
    labels = ResourceLabels(("namespace", "a/b", "a.b", "ok"), "", {"namespace"})

    assert labels.names == ["a_b", "ok"]
    assert [problem.split()[1] for problem in labels.problems] == ["namespace", "a.b"]
    assert labels.render(("1", "2", "3", "4")) == ',a_b="2",ok="4"'


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("app.kubernetes.io/name", "app_kubernetes_io_name"),
        ("TeamOwner", "team_owner"),
        ("k8s-App2Go", "k8s_app2_go"),
    ],
)
def test_label_names_are_the_go_operators(key: str, name: str) -> None:
    assert label_name(key) == name


def test_without_counts_there_is_nothing_whatever_else_is_on() -> None:
    world = World(MetricsSettings(findings_enabled=False, vulnerability_id_enabled=True))
    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0)))

    assert world.page() == ""
    assert world.own("trivyop_series_ready", metric=COUNTED) is None


def test_metric_that_fails_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.write(VULNERABILITYREPORTS, report(counts=(1, 0, 0, 0, 0)))
    world.write(CONFIGAUDITREPORTS, report("pod-web", container="", counts=(0, 1, 0, 0, 0)))
    monkeypatch.setattr("trivyop.controllers.series.scrape.split_image", lambda _text: 1 / 0)

    served = {name for name, _ in world.scrape()}

    assert served == {"trivy_resource_configaudits"}
    assert world.own("trivyop_series_failures_total", metric=COUNTED) == 1


def test_families_have_names_and_labels_once() -> None:
    assert len({family.name for family in all_families()}) == len(all_families())
    assert all(len(set(family.labels)) == len(family.labels) for family in all_families())
