"""`trivyop demo` as a new user meets it: a program in a directory of theirs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.harness import pod
from tests.e2e.programs import TRIVYOP, Kubectl, left_of, processes_of, run, started
from tests.patience import patience
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import PODS

REPORTS = {
    "vulnerabilityreports": "NAMESPACE NAME REPOSITORY TAG SCANNER AGE CRITICAL HIGH MEDIUM LOW UNKNOWN",
    "exposedsecretreports": "NAMESPACE NAME REPOSITORY TAG SCANNER AGE CRITICAL HIGH MEDIUM LOW",
    "sbomreports": "NAMESPACE NAME REPOSITORY TAG SCANNER AGE COMPONENTS DEPENDENCIES",
    "clustersbomreports": "NAME REPOSITORY TAG SCANNER AGE COMPONENTS DEPENDENCIES",
}
AUDIT_REPORTS = {
    "configauditreports": "NAMESPACE NAME SCANNER AGE CRITICAL HIGH MEDIUM LOW",
    "rbacassessmentreports": "NAMESPACE NAME SCANNER AGE CRITICAL HIGH MEDIUM LOW",
    "clusterrbacassessmentreports": "NAME SCANNER AGE CRITICAL HIGH MEDIUM LOW",
}
SHORT_NAMES = (
    *("vuln", "vulns", "exposedsecret", "exposedsecrets", "sbom", "sboms", "clustersbom"),
    *("configaudit", "configaudits", "rbacassessment", "clusterrbacassessmentreport"),
)
TROUBLE = "127.0.0.1:1/shop/unreachable:1"


@dataclass(frozen=True)
class Demo:
    """A demo that has found everything, and stays up."""

    kubectl: Kubectl
    said: list[str]  # so far

    async def trivyop(self, *arguments: str) -> str:
        """What another trivyop, pointed at the demo's cluster, prints."""
        done = await run(TRIVYOP, *arguments, KUBECONFIG=str(self.kubectl.kubeconfig))
        assert (done.code, done.err) == (0, "")
        return done.out


def is_auditing(directory: Path) -> bool:
    """Whether a demo has processes beside its own, and a Trivy that is kept ready."""
    return len(processes_of(directory)) > 1 + len(list(directory.rglob("inputs/.git")))


@asynccontextmanager
async def running_demo(directory: Path) -> AsyncGenerator[Demo]:
    """A demo, ended by Ctrl-C, after which nothing may be left of it."""
    kubectl_home, directory = directory, directory / "demo"
    directory.mkdir()
    async with started(TRIVYOP, "demo", cwd=directory, TMPDIR=str(directory)) as process:
        assert process.stdout is not None
        said: list[str] = []
        async with patience(90):
            while not any("Look around" in line for line in said):
                line = await process.stdout.readline()
                assert line, "the demo has ended: " + "".join(said)
                said.append(line.decode())
            while "/metrics" not in said[-1]:
                said.append((await process.stdout.readline()).decode())
        async with patience(20):
            while is_auditing(directory):  # noqa: ASYNC110 - what changed meanwhile
                await asyncio.sleep(0.1)
        yield Demo(Kubectl(kubectl_home, directory / ".demo" / "kubeconfig"), said)
        process.send_signal(signal.SIGINT)
        async with patience(15):
            out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"\nEnding.\n", b"")
    assert left_of(directory) == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Demo]:
    """One demo to look at; it takes a core half a minute."""
    async with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo


def rows(table: str) -> list[dict[str, str]]:
    """The rows of a table of kubectl or ours: cells by column. Columns start where their headers do."""
    header, *lines = table.splitlines()
    names = header.split("   ")
    starts: dict[str, int] = {}
    for name in (name.strip() for name in names if name.strip()):
        starts[name] = header.index(name, max(starts.values(), default=-1) + 1)
    ends = [*list(starts.values())[1:], None]
    return [
        {name: line[start:end].strip() for (name, start), end in zip(starts.items(), ends, strict=True)}
        for line in lines
    ]


def summary_of(said: str) -> dict[str, dict[str, str]]:
    """The rows of the demo's summary, by image."""
    lines = said.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("NAMESPACE"))
    last = lines.index("", first)
    return {row["IMAGE"]: row for row in rows("\n".join(lines[first:last]))}


def audits_of(said: str) -> dict[str, dict[str, str]]:
    """The rows of the table of audits, by kind of report."""
    lines = said.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("REPORTS"))
    last = lines.index("", first)
    return {row["REPORTS"]: row for row in rows("\n".join(lines[first:last]))}


async def test_demo_once_finds_what_is_in_its_images(tmp_path: Path) -> None:
    done = await run(TRIVYOP, "demo", "--once", cwd=tmp_path, TMPDIR=str(tmp_path))

    assert (done.code, done.err) == (0, "")
    found = summary_of(done.out)
    assert "CVE-2021-44228" in found["shop/orders:2.3.1"]["WORST VULNERABILITY"]
    assert found["shop/payments:0.9"]["SECRETS"] == "4"
    clean = found["library/clean:1"]
    assert [clean[column] for column in ("CRITICAL", "HIGH", "SECRETS", "WORST VULNERABILITY")] == [
        *("0", "0", "0"),
        "none",
    ]
    assert not any(value == "-" for row in found.values() for value in row.values())
    audits = audits_of(done.out)
    assert int(audits["ConfigAuditReport"]["COUNT"]) >= 10  # nine workloads, a Service
    assert int(audits["ConfigAuditReport"]["HIGH"]) > 0
    assert int(audits["RbacAssessmentReport"]["CRITICAL"]) > 0
    (lines,) = [part for part in done.out.split("\n\n") if part.startswith("SPECIFICATION")]
    standards = {row["SPECIFICATION"]: row for row in rows(lines)}
    assert set(standards) == {"k8s-cis-1.23", "k8s-nsa-1.0", "k8s-pss-baseline-0.1", "k8s-pss-restricted-0.1"}
    assert int(standards["k8s-pss-restricted-0.1"]["FAILED"]) > 0
    assert int(standards["k8s-pss-baseline-0.1"]["PASSED"]) > 0
    assert "export KUBECONFIG" not in done.out  # of a cluster that is gone
    assert left_of(tmp_path) == []


async def test_demo_ends_with_1_and_says_so_when_time_runs_out(tmp_path: Path) -> None:
    done = await run(TRIVYOP, "demo", "--once", "--timeout", "0.01", cwd=tmp_path, TMPDIR=str(tmp_path))

    assert (done.code, done.err) == (1, "")
    assert "Not all reports came within 0.01 s." in done.out
    assert left_of(tmp_path) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_demo_that_stays_up_can_be_looked_at_with_kubectl(demo: Demo) -> None:
    tables = {name: await demo.kubectl("get", name, "-A", "-o", "wide") for name in REPORTS}
    audits = {name: await demo.kubectl("get", name, "-A", "-o", "wide") for name in AUDIT_REPORTS}
    scans = await demo.kubectl("get", "imagescans", "-A", "-o", "wide")
    short = [(await demo.kubectl("get", name, "-A", "-o", "name")).out for name in SHORT_NAMES]
    described = await demo.kubectl("describe", "vuln", "-n", "shop", "statefulset-orders-orders")
    status = await demo.trivyop("status")
    url = demo.said[-1].split()[-1]
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        metrics = await answer.text()

    for name, columns in REPORTS.items():
        assert tables[name].out.splitlines()[0].split() == columns.split()
        assert len(rows(tables[name].out)) == 10  # of bills of materials one is of the cluster itself
    for name, columns in AUDIT_REPORTS.items():
        assert audits[name].out.splitlines()[0].split() == columns.split()
    assert "role-everything" in {row["NAME"] for row in rows(audits["rbacassessmentreports"].out)}
    assert "PHASE" in scans.out
    assert {row["PHASE"] for row in rows(scans.out)} == {"Succeeded"}
    assert all(short)
    assert "CVE-2021-44228" in described.out
    assert "\n10 containers: 10 Succeeded\n" in status
    assert "ConfigAuditReport" in audits_of(f"{status}\n")
    assert "trivyop_images_scanned 9.0" in metrics


@pytest.mark.asyncio(loop_scope="module")
async def test_failure_shows_where_people_look(demo: Demo) -> None:
    """In the Events of the workload, in the ImageScan, and in `trivyop status`; later tests see it too."""
    config = await ClusterConfig.load(str(demo.kubectl.kubeconfig))
    async with Api(config) as api, patience(60):
        await api.create(PODS, pod("lost", "shop", app=TROUBLE))
        status = ""
        while "Failed" not in status:
            status = await demo.trivyop("status", "-n", "shop")
    described = ""
    async with patience(10):
        while "ImageScanFailed" not in described:
            described = (await demo.kubectl("describe", "pod", "-n", "shop", "lost")).out
    scans = await demo.kubectl("get", "imagescans", "-A")

    (event,) = (line for line in described.splitlines() if "ImageScanFailed" in line)
    assert "network: " in event
    assert f"{TROUBLE}: network: " in status
    assert "(next try in " in status
    assert "\n5 containers: 1 Failed, 4 Succeeded\n" in status
    (row,) = (row for row in rows(scans.out) if row["IMAGE"] == TROUBLE)
    assert (row["PHASE"], row["REASON"]) == ("Failed", "network")


async def test_ctrl_c_amid_scans_ends_them_too(tmp_path: Path) -> None:
    async with started(TRIVYOP, "demo", cwd=tmp_path, TMPDIR=str(tmp_path)) as process, patience(60):
        assert process.stdout is not None
        while b"4 scans running" not in await process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()

    assert (process.returncode, err) == (0, b"")
    assert left_of(tmp_path) == []


async def test_demo_leaves_a_kubeconfig_of_another_cluster_alone(tmp_path: Path) -> None:
    mine = tmp_path / "config"
    text = "apiVersion: v1\nkind: Config\nclusters:\n- name: production\n  cluster: {server: 'https://x'}\n"
    mine.write_text(text)

    done = await run(TRIVYOP, "demo", "--once", "--kubeconfig", mine, cwd=tmp_path, TMPDIR=str(tmp_path))

    assert done.code == 1
    assert done.err.startswith(f"trivyop: --kubeconfig {mine}: there is another cluster's kubeconfig")
    assert mine.read_text() == text
    assert left_of(tmp_path) == [str(mine)]
