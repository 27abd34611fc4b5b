"""Defaults: what every namespace has from the start: the service account ``default`` and the root
certificate.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from trivyop.errors import AlreadyExistsError, ForbiddenError
from trivyop.kube.informer import Informer
from trivyop.kube.resources import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS, ObjectKey
from trivyop.sandbox.controllers.cluster import Cluster, enqueue
from trivyop.sandbox.controllers.objects import Metadata

ACCOUNT = "default"
CERTIFICATE = "kube-root-ca.crt"
_ABOUT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints "
    "such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across "
    "distributions of Kubernetes clusters."
)


class NamespaceDefaults:
    """The controller."""

    def __init__(self, cluster: Cluster, root_ca: str) -> None:
        self.queue = cluster.queue()
        self._cluster = cluster
        self._root_ca = root_ca
        self._namespaces = cluster.workloads(NAMESPACES)
        self._namespaces.add_handler(enqueue(self.queue))
        self._accounts = self._watched(
            cluster,
            Informer(
                cluster.api,
                SERVICEACCOUNTS,
                Metadata,
                field_selector=f"metadata.name={ACCOUNT}",
                metadata_only=True,
            ),
        )
        self._certificates = self._watched(
            cluster,
            Informer(
                cluster.api,
                CONFIGMAPS,
                Metadata,
                field_selector=f"metadata.name={CERTIFICATE}",
                metadata_only=True,
            ),
        )

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Create what the namespace lacks."""
        namespace = self._namespaces.store.get(key)
        if namespace is None or namespace.deleting:
            return None
        name = key.name
        create = self._cluster.api.create
        # Forbidden: the namespace has begun to terminate, as we will hear.
        with suppress(AlreadyExistsError, ForbiddenError):
            if self._accounts.store.get(ObjectKey(name, ACCOUNT)) is None:
                account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
                await create(SERVICEACCOUNTS, account, namespace=name)
        with suppress(AlreadyExistsError, ForbiddenError):
            if self._certificates.store.get(ObjectKey(name, CERTIFICATE)) is None:
                certificate = {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": CERTIFICATE, "annotations": {"kubernetes.io/description": _ABOUT}},
                    "data": {"ca.crt": self._root_ca},
                }
                await create(CONFIGMAPS, certificate, namespace=name)
        return None

    def _watched(self, cluster: Cluster, informer: Informer[Metadata]) -> Informer[Metadata]:
        informer.add_handler(self._gone)
        cluster.own(informer)
        return informer

    def _gone(self, key: ObjectKey, old: Any, new: Any) -> None:  # noqa: ARG002 - a handler
        if new is None:
            self.queue.add(ObjectKey("", key.namespace))
