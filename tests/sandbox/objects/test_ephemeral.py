"""Debug containers are added to a pod that runs, through a subresource of their own."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.sandbox.objects.making import POD, create, obj_of, write
from trivyop.sandbox.apiserver.objects import writing
from trivyop.sandbox.apiserver.objects.refusals import Refused

STRATEGIC = "application/strategic-merge-patch+json"
DEBUGGER = {"name": "debugger", "image": "shop/debugger:1"}


def pod() -> dict[str, Any]:
    return create(POD, obj_of(POD, spec={"containers": [{"name": "web", "image": "shop/web:1"}]}))


def add(live: dict[str, Any], **spec: Any) -> dict[str, Any]:
    changes = write(name="x", subresource="ephemeralcontainers")
    return writing.patch(POD, live, orjson.dumps({"spec": spec}), STRATEGIC, changes).obj


def test_debug_container_is_added() -> None:
    (added,) = add(pod(), ephemeralContainers=[DEBUGGER])["spec"]["ephemeralContainers"]

    assert added["name"] == "debugger"
    assert added["imagePullPolicy"] == "IfNotPresent"


def test_nothing_else_changes_with_it() -> None:
    live = pod()

    after = add(live, ephemeralContainers=[DEBUGGER], activeDeadlineSeconds=1)

    del after["spec"]["ephemeralContainers"]
    assert after["spec"] == live["spec"]


def test_debug_container_stays_as_it_is() -> None:
    """It runs; what it is cannot be made another."""
    live = add(pod(), ephemeralContainers=[DEBUGGER])

    with pytest.raises(Refused, match="may not be changed or removed"):
        add(live, ephemeralContainers=[{**DEBUGGER, "image": "shop/other:1"}])
