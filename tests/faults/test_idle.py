"""What an operator costs the API server while nothing changes: open watches, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.harness import NAMESPACE, deployment, pod, running_cluster, running_operator
from tests.e2e.leaping import LeapingClock
from tests.e2e.looking import looks, until_looked
from tests.faults.scanner import WITHOUT_DATABASE, Scanner, image
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import IMAGESCANS

RESYNC_SECONDS = 300
ENVIRON = {**WITHOUT_DATABASE, "OPERATOR_RESYNC_INTERVAL": f"{RESYNC_SECONDS}s"}


async def test_idle_operator_reads_and_writes_nothing(tmp_path: Path) -> None:
    """Over an hour, with several resyncs, and with watches that end and are resumed."""
    clock = LeapingClock()
    scanner = Scanner.install(tmp_path / "programs")
    async with running_cluster(tmp_path, programs_first=scanner.directory) as cluster:
        server = cluster.sandbox.server
        assert server is not None
        access = server.kubeconfig("idle", ("system:masters",))
        await cluster.create(
            deployment("web", "shop", replicas=2, app=image(0), side=image(1)),
            *(pod(f"w{n}", "shop", app=image(n)) for n in range(3)),
        )
        async with (
            Api(await ClusterConfig.from_kubeconfig_dict(access), clock=clock) as api,
            running_operator(cluster, environ=ENVIRON, clock=clock, api=api) as operator,
        ):
            await cluster.until(lambda scans: len(scans) == 3, IMAGESCANS, NAMESPACE)
            await cluster.until_settled()

            first = len(server.requests)
            for _ in range(10):  # of six minutes
                before = looks(operator)
                clock.leap(1.2 * RESYNC_SECONDS)
                await until_looked(operator, before)
            requests = [one for one in list(server.requests)[first:] if one.user == "idle"]

            await cluster.create(pod("late", "shop", app=image(9)))
            await cluster.until(lambda scans: len(scans) == 4, IMAGESCANS, NAMESPACE)

    assert requests, "else it has seen no watch come to its end"
    # When the clock leaps, a watch may look cut short, after which the server's version is looked at once.
    assert [
        one for one in requests if "watch=true" not in one.query and not one.query.endswith("limit=1")
    ] == []
