"""Reports of any size, written to an API server: nothing stale stays, and what is of others does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from trivyop.cli.manifests import crds
from trivyop.controllers.writing import LARGE_BYTES, write_report
from trivyop.errors import NotFoundError
from trivyop.kube.client import FIELD_MANAGER, Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.resources import CRDS, NAMESPACES, VULNERABILITYREPORTS, ObjectKey
from trivyop.report.budget import size_of
from trivyop.sandbox.apiserver.server import ApiServer

Json = dict[str, Any]
KEY = ObjectKey("shop", "pod-web-web")
OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "1"}
OTHERS: Json = {
    "labels": {"team": "payments"},
    "annotations": {"note": "seen"},
    "finalizers": ["example.com/keep"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "2"}],
}


@pytest.fixture
async def server() -> AsyncGenerator[ApiServer]:
    async with ApiServer() as running:
        yield running


@pytest.fixture
async def api(server: ApiServer) -> AsyncGenerator[Api]:
    """A client of a cluster that has the CRDs and a namespace."""
    config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
    async with Api(config, user_agent="somebody") as client:
        for crd in crds():
            await client.apply(CRDS, crd)
        await client.create(NAMESPACES, {"metadata": {"name": KEY.namespace}})
        for _ in range(500):
            try:
                await client.list(VULNERABILITYREPORTS, type=Json)
                break
            except NotFoundError:
                await asyncio.sleep(0.01)
        yield client


def report(number: int, *, large: bool) -> Json:
    """A report with fields that no report of another number has."""
    title = "x" * (2 * LARGE_BYTES if large else 10)
    row = {
        "vulnerabilityID": f"CVE-{number}",
        "resource": "a",
        "installedVersion": "1",
        "fixedVersion": "",
        "severity": "LOW",
        "title": title,
        "publishedDate": "",
        "lastModifiedDate": "",
        "target": "",
        "links": [],
    }
    summary = {f"{name}Count": number for name in ("critical", "high", "medium", "low", "unknown")}
    return {
        "apiVersion": "aquasecurity.github.io/v1alpha1",
        "kind": "VulnerabilityReport",
        "metadata": {
            "namespace": KEY.namespace,
            "name": KEY.name,
            "labels": {f"ours-{number}": "1", "app": str(number)},
            "annotations": {f"trivyop.dev/{number}": "1"},
            "ownerReferences": [OWNER],
        },
        "report": {
            "artifact": {"repository": "web", **({"tag": "1"} if number % 2 else {})},
            "os": {"family": "debian", **({"eosl": True} if number % 2 else {})},
            "registry": {"server": "example.com"},
            "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "1"},
            "summary": summary,
            "updateTimestamp": "2026-01-01T00:00:00Z",
            "vulnerabilities": [row],
        },
    }


async def write(api: Api, body: Json, *, there: bool = True) -> Json:
    await write_report(api, VULNERABILITYREPORTS, body, size=size_of(body), there=there, foreign=False)
    found = await api.get_dict(VULNERABILITYREPORTS, KEY)
    assert found is not None
    return found


def said(found: Json) -> Json:
    """What a report says, without what the server adds."""
    fields = ("labels", "annotations", "ownerReferences", "finalizers", "name", "namespace")
    meta = {field: found["metadata"][field] for field in fields if field in found["metadata"]}
    return {**found, "metadata": meta}


@pytest.mark.parametrize("sizes", list(itertools.product([True, False], repeat=4)))
async def test_no_field_of_an_earlier_report_stays(api: Api, sizes: tuple[bool, ...]) -> None:
    for number, large in enumerate(sizes):
        body = report(number, large=large)

        found = await write(api, body, there=number > 0)

        assert said(found) == body
        managers = {(one["manager"], one["operation"]) for one in found["metadata"]["managedFields"]}
        assert {manager for manager, _ in managers} == {FIELD_MANAGER}
        assert large or managers == {(FIELD_MANAGER, "Apply")}


async def test_large_reports_are_created_and_replaced_and_small_ones_applied(
    server: ApiServer, api: Api
) -> None:
    server.requests.clear()
    for number, large in enumerate((True, True, False)):
        await write_report(
            api,
            VULNERABILITYREPORTS,
            report(number, large=large),
            size=size_of(report(number, large=large)),
            there=number > 0,
            foreign=False,
        )

    methods = [one.method for one in server.requests if one.method != "GET"]
    assert methods == ["POST", "PUT", "PATCH", "PATCH", "PATCH"]  # the last two: once, after a replace


@pytest.mark.parametrize("large", [True, False])
async def test_what_others_set_on_a_report_stays(api: Api, *, large: bool) -> None:
    await write(api, report(0, large=True), there=False)
    await api.apply(
        VULNERABILITYREPORTS,
        {
            "apiVersion": "aquasecurity.github.io/v1alpha1",
            "kind": "VulnerabilityReport",
            "metadata": {"namespace": KEY.namespace, "name": KEY.name, **OTHERS},
        },
        field_manager="team",
    )

    for number in (1, 2):
        body = report(number, large=large)
        found = said(await write(api, body))["metadata"]

        ours = body["metadata"]
        assert found["labels"] == {**ours["labels"], **OTHERS["labels"]}
        assert found["annotations"] == {**ours["annotations"], **OTHERS["annotations"]}
        assert found["finalizers"] == OTHERS["finalizers"]
        assert {owner["uid"] for owner in found["ownerReferences"]} == {"1", "2"}


async def test_large_report_is_applied_where_others_hold_a_field_of_it(server: ApiServer, api: Api) -> None:
    """A replace would lose it."""
    await write(api, report(0, large=True), there=False)
    await api.patch(
        VULNERABILITYREPORTS, KEY, {"report": {"artifact": {"mimeType": "x"}}}, field_manager="team"
    )
    server.requests.clear()

    found = await write(api, report(2, large=True))

    assert found["report"]["artifact"]["mimeType"] == "x"
    assert "PUT" not in {one.method for one in server.requests}
    assert found["metadata"]["labels"] == report(2, large=True)["metadata"]["labels"]


@pytest.mark.parametrize("there", [True, False])
async def test_view_that_is_behind_is_no_hindrance(api: Api, *, there: bool) -> None:
    """What seemed to be there is gone, or the other way round."""
    if not there:
        await write(api, report(0, large=True), there=False)

    found = await write(api, report(1, large=True), there=there)

    assert said(found) == report(1, large=True)
