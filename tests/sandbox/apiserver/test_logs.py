"""Logs come from the kubelet of the Pod's node, as they are and as they come."""

from __future__ import annotations

import asyncio

from tests.sandbox.apiserver.client import Client
from tests.sandbox.apiserver.kubelets import PODS, log_kubelet, run_pod
from trivyop.sandbox.apiserver.server import ApiServer

MAIN = "/containerLogs/default/web/main"


async def test_log_is_read_with_the_servers_certificate(server: ApiServer, admin: Client) -> None:
    async with log_kubelet(server, admin) as kubelet:
        kubelet.logs[MAIN] = b"one\ntwo\n"
        await run_pod(admin, "web", "main")

        answer = await admin.get(f"{PODS}/web/log?tailLines=5&limitBytes=100&previous=true")

        assert (answer.status, answer.body) == (200, "one\ntwo\n")
        query = {"tailLines": "5", "limitBytes": "100", "previous": "true"}
        assert kubelet.asked == [(MAIN, query, "kube-apiserver-kubelet-client")]


async def test_followed_log_arrives_while_it_is_written(server: ApiServer, admin: Client) -> None:
    async with log_kubelet(server, admin) as kubelet:
        written: asyncio.Queue[bytes | None] = asyncio.Queue()
        kubelet.logs[MAIN] = written
        await run_pod(admin, "web", "main")

        async with admin.stream(f"{PODS}/web/log?follow=true") as pieces:
            written.put_nowait(b"first\n")
            assert await anext(pieces) == b"first\n"
            written.put_nowait(b"second\n")
            assert await anext(pieces) == b"second\n"
            written.put_nowait(None)
            assert [piece async for piece in pieces] == []


async def test_the_kubelets_refusal_is_passed_on(server: ApiServer, admin: Client) -> None:
    async with log_kubelet(server, admin):
        await run_pod(admin, "web", "main")

        answer = await admin.get(f"{PODS}/web/log")

    assert answer.status == 400
    assert answer.body["message"] == "container is waiting to start: ContainerCreating"


async def test_kubelet_out_of_reach_is_an_internal_error(server: ApiServer, admin: Client) -> None:
    async with log_kubelet(server, admin):
        await run_pod(admin, "web", "main")

    assert (await admin.get(f"{PODS}/web/log")).status == 500


async def test_annotation_chooses_among_containers(server: ApiServer, admin: Client) -> None:
    async with log_kubelet(server, admin) as kubelet:
        kubelet.logs[MAIN] = b"main\n"
        await run_pod(admin, "web", "side", "main")
        assert (await admin.get(f"{PODS}/web/log")).status == 400

        note = {"metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "main"}}}
        await admin.do("PATCH", f"{PODS}/web", note, Content_Type="application/merge-patch+json")

        assert (await admin.get(f"{PODS}/web/log")).body == "main\n"
