"""Bursts: what somebody changes while very much arrives is audited first."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.auditing import auditing, create, need_namespace, role, service, until_report
from tests.e2e.harness import TRIVY, Cluster, running_cluster
from trivyop.controllers.audits.turns import BURST
from trivyop.kube.client import PatchKind
from trivyop.kube.resources import CONFIGAUDITREPORTS, RBACASSESSMENTREPORTS, ROLES, SERVICES, ObjectKey

MARK = "bulk"
COUNT = 3 * BURST


def trivy_that_is_slow_with_the_bulk(directory: Path) -> dict[str, str]:
    """The environment of an operator whose Trivy does not end with such Roles until there is a file "go"."""
    program = directory / "waiting-trivy"
    program.write_text(f"""#!/bin/sh
if [ "$1" = config ]; then
  while grep -rqs {MARK} inputs && [ ! -e {directory}/go ]; do sleep 0.1; done
fi
exec {TRIVY} "$@"
""")
    program.chmod(0o755)
    return {"OPERATOR_TRIVY_PROGRAM": str(program), "OPERATOR_AUDIT_PROCESSES": "2"}


def arrive_at_once(cluster: Cluster) -> None:
    """Many Roles, put where the server keeps them."""
    served = cluster.server.dispatch.kinds.get(ROLES.group, ROLES.version, ROLES.plural)
    for n in range(COUNT):
        body = role(f"role-{n}", uid=f"role-{n}", labels={"comes-in": MARK})
        body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        served.put(body)


async def test_change_in_the_instant_of_a_burst_waits_for_no_batch_of_it(tmp_path: Path) -> None:
    """Neither a new object, nor one of the burst itself, which by then is in a batch of the backlog."""
    async with running_cluster(tmp_path) as cluster:
        await need_namespace(cluster, "shop")
        await create(cluster, SERVICES, service("first"))
        async with auditing(cluster, trivy_that_is_slow_with_the_bulk(tmp_path)):
            await until_report(cluster, CONFIGAUDITREPORTS, "service-first")
            arrive_at_once(cluster)
            await create(cluster, SERVICES, service("mine"))

            await until_report(cluster, CONFIGAUDITREPORTS, "service-mine")
            assert await cluster.list(RBACASSESSMENTREPORTS, "shop") == []

            label = {"metadata": {"labels": {"comes-in": "mine"}}}
            await cluster.api.patch(ROLES, ObjectKey("shop", "role-7"), label, kind=PatchKind.MERGE)
            await until_report(cluster, RBACASSESSMENTREPORTS, "role-role-7")
            assert len(await cluster.list(RBACASSESSMENTREPORTS, "shop")) == 1

            (tmp_path / "go").touch()
            await cluster.until(lambda found: len(found) == COUNT, RBACASSESSMENTREPORTS, "shop", seconds=120)
