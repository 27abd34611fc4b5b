"""Discovery on servers that do not tell all in one document; tests/client has those that do."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.unit.kube.toy import api_to, status
from trivyop.errors import TransientError
from trivyop.kube.discovery import discover
from trivyop.kube.resources import DEPLOYMENTS, IMAGESCANS, JOBS, PODS

CORE = {"kind": "APIResourceList", "resources": [{"name": "pods", "verbs": ["get"]}, {"name": "pods/log"}]}
APPS = {"kind": "APIResourceList", "resources": [{"name": "deployments", "verbs": ["list", "watch"]}]}


def old_server(**documents: Any) -> Any:
    known = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "groups": [
                {"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]},
                {"name": "batch", "versions": [{"groupVersion": "batch/v1", "version": "v1"}]},
            ],
        },
        "/api/v1": CORE,
        "/apis/apps/v1": APPS,
    } | documents

    async def handler(request: web.BaseRequest) -> web.Response:
        document = known.get(request.path)
        return web.json_response(document) if document else status(503, "ServiceUnavailable")

    return handler


async def test_old_server_is_asked_group_by_group_and_a_group_that_is_down_is_left_out() -> None:
    async with api_to(old_server()) as api:
        found = await discover(api)

    assert found.serves(PODS)
    assert found.verbs(DEPLOYMENTS) == {"list", "watch"}
    assert not found.serves(JOBS)
    assert not found.serves(IMAGESCANS)
    assert not any("/" in plural for _, _, plural in found.kinds)


async def test_without_the_core_group_there_is_no_answer() -> None:
    async with api_to(old_server(**{"/api/v1": None})) as api:
        with pytest.raises(TransientError):
            await discover(api)
