"""Garbage collection and namespaces, for kinds that the server knows and kinds that it learns."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.controllers.jumpclock import JumpClock
from tests.sandbox.controllers.world import (
    Json,
    controllers,
    template,
    until,
    until_gone,
    until_one,
    workload,
)
from trivyop.errors import InvalidError
from trivyop.kube.client import Api
from trivyop.kube.resources import (
    CONFIGMAPS,
    CRDS,
    JOBS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICEACCOUNTS,
    ObjectKey,
    Resource,
)
from trivyop.sandbox.controllers.run import Name

REPORTS = Resource("example.com", "v1", "reports", "Report")


def definition() -> Json:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "reports", "singular": "report", "kind": "Report", "listKind": "ReportList"}
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": "reports.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def until_established(api: Api) -> None:
    await until_one(
        api,
        CRDS,
        "reports.example.com",
        lambda c: any(x["type"] == "Established" for x in c.get("status", {}).get("conditions", ())),
    )


def reference(kind: str, made: Json) -> Json:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "name": made["metadata"]["name"],
        "uid": made["metadata"]["uid"],
    }


def thing(resource: Resource, name: str, **meta: Any) -> Json:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name, **meta}}


async def test_custom_resource_goes_with_its_built_in_owner(api: Api, clock: JumpClock) -> None:
    """The definition comes after the collector has started: it has to learn of it."""
    async with controllers(api, clock, Name.GARBAGE_COLLECTOR):
        await api.create(CRDS, definition())
        await until_established(api)
        owner = await api.create(CONFIGMAPS, thing(CONFIGMAPS, "owner"), namespace="default")
        owners = [reference("ConfigMap", owner)]
        await api.create(REPORTS, thing(REPORTS, "report", ownerReferences=owners), namespace="default")

        await api.delete(CONFIGMAPS, ObjectKey("default", "owner"))

        await until_gone(api, REPORTS, "report")


async def test_object_with_its_owner_in_another_namespace_goes(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.GARBAGE_COLLECTOR):
        owner = await api.create(CONFIGMAPS, thing(CONFIGMAPS, "owner"), namespace="kube-system")
        owners = [reference("ConfigMap", owner)]

        await api.create(SECRETS, thing(SECRETS, "child", ownerReferences=owners), namespace="default")

        await until_gone(api, SECRETS, "child")
        assert await api.get(CONFIGMAPS, ObjectKey("kube-system", "owner")) is not None


async def test_chain_of_owners_goes_from_the_top(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.GARBAGE_COLLECTOR):
        owners: list[Json] = []
        for resource, name in ((CONFIGMAPS, "o0"), (SECRETS, "o1"), (CONFIGMAPS, "o2")):
            body = thing(resource, name, ownerReferences=owners)
            owners = [reference(resource.kind, await api.create(resource, body, namespace="default"))]

        await api.delete(CONFIGMAPS, ObjectKey("default", "o0"))

        await until_gone(api, SECRETS, "o1")
        await until_gone(api, CONFIGMAPS, "o2")


async def test_pods_of_an_orphaned_job_are_let_go(api: Api, clock: JumpClock) -> None:
    """Without their finalizer taken off they could never be deleted."""
    async with controllers(api, clock, Name.JOB, Name.GARBAGE_COLLECTOR):
        await api.create(JOBS, workload(JOBS, "scan", template=template(restartPolicy="Never")))
        [pod] = await until(api, PODS, lambda pods: len(pods) == 1)

        await api.delete(JOBS, ObjectKey("default", "scan"), propagation="Orphan")

        await until_gone(api, JOBS, "scan")
        name = pod["metadata"]["name"]
        left = await until_one(api, PODS, name, lambda p: not p["metadata"].get("finalizers"))
        assert "ownerReferences" not in left["metadata"]


async def test_namespace_takes_its_content_along(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.NAMESPACE, Name.NAMESPACE_DEFAULTS):
        await api.create(NAMESPACES, thing(NAMESPACES, "shop"))
        await until_one(api, SERVICEACCOUNTS, "default", lambda _: True, namespace="shop")
        await until_one(api, CONFIGMAPS, "kube-root-ca.crt", lambda _: True, namespace="shop")
        await api.create(SECRETS, thing(SECRETS, "held", finalizers=["example.com/hold"]), namespace="shop")

        await api.delete(NAMESPACES, ObjectKey("", "shop"))

        held = await until_one(api, NAMESPACES, "shop", lambda n: len(n["status"].get("conditions", ())) == 5)
        messages = {c["type"]: c["message"] for c in held["status"]["conditions"]}
        assert messages["NamespaceContentRemaining"].endswith("secrets. has 1 resource instances")
        assert messages["NamespaceFinalizersRemaining"].endswith("example.com/hold in 1 resource instances")
        await api.patch(SECRETS, ObjectKey("shop", "held"), {"metadata": {"finalizers": None}})
        await until_gone(api, NAMESPACES, "shop")


async def test_namespace_keeps_everything_else_until_its_pods_are_gone(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.NAMESPACE):
        await api.create(NAMESPACES, thing(NAMESPACES, "shop"))
        await api.create(SECRETS, thing(SECRETS, "login"), namespace="shop")
        pod = {**thing(PODS, "held", finalizers=["example.com/hold"]), "spec": template()["spec"]}
        await api.create(PODS, pod, namespace="shop")

        await api.delete(NAMESPACES, ObjectKey("", "shop"))

        held = await until_one(api, NAMESPACES, "shop", lambda n: len(n["status"].get("conditions", ())) == 5)
        messages = {c["type"]: c["message"] for c in held["status"]["conditions"]}
        assert messages["NamespaceContentRemaining"].endswith("pods. has 1 resource instances")
        assert await api.get(SECRETS, ObjectKey("shop", "login")) is not None
        await api.patch(PODS, ObjectKey("shop", "held"), {"metadata": {"finalizers": None}})
        await until_gone(api, NAMESPACES, "shop")


async def test_custom_resources_are_selected_by_the_fields_of_their_definition(
    api: Api, clock: JumpClock
) -> None:
    """Fields that are named later count for objects that are there already."""
    async with controllers(api, clock, Name.GARBAGE_COLLECTOR):
        await api.apply(CRDS, definition())
        await until_established(api)
        for name, spec in (
            ("a", {"color": "blue", "size": 3}),
            ("b", {"color": "red", "big": True}),
            ("c", {}),
        ):
            await api.create(REPORTS, {**thing(REPORTS, name), "spec": spec}, namespace="default")
        with pytest.raises(InvalidError, match="field label not supported"):
            await selected(api, "spec.color=blue")

        body = definition()
        fields = [{"jsonPath": f".spec.{name}"} for name in ("color", "size", "big")]
        body["spec"]["versions"][0]["selectableFields"] = fields
        await api.apply(CRDS, body)

        assert await selected(api, "spec.color=blue") == ["a"]
        assert await selected(api, "spec.color!=blue") == ["b", "c"]
        assert await selected(api, "spec.size=3") == ["a"]
        assert await selected(api, "spec.big=true,metadata.namespace=default") == ["b"]
        assert await selected(api, "spec.big=") == ["a", "c"]


async def selected(api: Api, selector: str) -> list[str]:
    listing = await api.list(REPORTS, type=Json, namespace="default", field_selector=selector)
    return sorted(one["metadata"]["name"] for one in listing.items)


async def test_default_service_account_comes_back(api: Api, clock: JumpClock) -> None:
    async with controllers(api, clock, Name.NAMESPACE_DEFAULTS):
        first = await until_one(api, SERVICEACCOUNTS, "default", lambda _: True)

        await api.delete(SERVICEACCOUNTS, ObjectKey("default", "default"))

        uid = first["metadata"]["uid"]
        await until_one(api, SERVICEACCOUNTS, "default", lambda a: a["metadata"]["uid"] != uid)
