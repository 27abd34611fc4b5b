"""Paths and keys are spelled as the API spells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.kube.resources import DEPLOYMENTS, NODES, PODS, ObjectKey, Resource

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (PODS.path(), "/api/v1/pods"),
        (PODS.path("shop"), "/api/v1/namespaces/shop/pods"),
        (PODS.path("shop", "web", "log"), "/api/v1/namespaces/shop/pods/web/log"),
        (DEPLOYMENTS.path("shop", "web"), "/apis/apps/v1/namespaces/shop/deployments/web"),
        (NODES.path("", "n1", "status"), "/api/v1/nodes/n1/status"),
        (NODES.path("shop", "n1"), "/api/v1/nodes/n1"),
    ],
)
def test_path(path: str, expected: str) -> None:
    assert path == expected


def test_names_cannot_leave_their_place_in_a_path() -> None:
    """Names come from objects that anybody may have made."""
    roles = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")

    assert roles.path("kube-system", "system:node").endswith("/roles/system:node")
    assert PODS.path("shop", "a/../b?x#y").endswith("/pods/a%2F..%2Fb%3Fx%23y")


def test_resources_are_called_what_kubectl_calls_them() -> None:
    assert (PODS.name, PODS.api_version) == ("pods", "v1")
    assert (DEPLOYMENTS.name, DEPLOYMENTS.api_version) == ("deployments.apps", "apps/v1")


@given(st.one_of(st.just(""), NAMES), NAMES)
def test_key_is_read_back_from_its_text(namespace: str, name: str) -> None:
    key = ObjectKey(namespace, name)

    assert ObjectKey.parse(str(key)) == key
