"""Namespaces: they must be there before anything is made in them, and come with a service account.

Promises: no new content in a namespace that is missing or terminating; every new namespace soon has the
ServiceAccount ``default`` and the ConfigMap ``kube-root-ca.crt``, which Pods' tokens come with.
Not here: emptying a namespace that terminates (a controller does).
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import deletes, encoding, status
from trivyop.sandbox.apiserver.objects.plain import fields_at, list_at
from trivyop.sandbox.apiserver.request import Reply
from trivyop.sandbox.apiserver.stamps import now

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Kinds, Served
    from trivyop.sandbox.apiserver.request import Request
    from trivyop.sandbox.apiserver.storage import Change

INITIAL = ("default", "kube-system", "kube-public", "kube-node-lease")
_CA_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as"
    " the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of"
    " Kubernetes clusters."
)


class Namespaces:
    """Admission into namespaces, and what each is furnished with."""

    def __init__(self, kinds: Kinds, ca_pem: str) -> None:
        self._kinds = kinds
        self._ca_pem = ca_pem
        self._bucket = kinds.get("", "v1", "namespaces").bucket

    def start(self) -> None:
        """Make the namespaces of a fresh cluster, and furnish these and all later ones."""
        self._bucket.watchers.add(self._changed)
        for name in INITIAL:
            self._bucket.put(
                {
                    "metadata": _metadata(name) | {"labels": {"kubernetes.io/metadata.name": name}},
                    "spec": {"finalizers": ["kubernetes"]},
                    "status": {"phase": "Active"},
                }
            )

    def admit(self, group: str, plural: str, namespace: str, name: str) -> None:
        """Refuse a new object in a namespace that is missing or terminating."""
        stored = self._bucket.get("", namespace)
        if stored is None:
            raise status.not_found("", "namespaces", namespace)
        if stored.fields["status.phase"] == "Terminating":
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise status.forbidden(group, plural, name, why, [cause])

    def finalize(self, request: Request, served: Served) -> Reply:
        """PUT of ``finalize``: set what the namespace still waits for; with nothing left it goes."""
        live = served.named("", request.info.name)
        wanted, obj = request.decoded(), served.obj(live)
        if rv := fields_at(wanted, "metadata").get("resourceVersion"):
            _check_version(live.rv, rv, live.name)
        finalizers = list_at(wanted, "spec", "finalizers")
        obj["spec"] = {"finalizers": finalizers} if finalizers else {}
        if deletes.finished(served, obj):
            served.bucket.remove(live)
            stored = served.preview(obj, live.rv)
        else:
            stored = served.put(obj)
        return Reply(200, encoding.one(served, stored, request.accepted.form))

    def _changed(self, change: Change) -> None:
        if change.old is None and change.new is not None:
            # A write within a write would reach watchers before the one it follows from.
            asyncio.get_running_loop().call_soon(self._furnish, change.new.name)

    def _furnish(self, namespace: str) -> None:
        if self._bucket.get("", namespace) is None:
            return
        accounts = self._kinds.get("", "v1", "serviceaccounts").bucket
        if accounts.get(namespace, "default") is None:
            accounts.put({"metadata": _metadata("default", namespace)})
        maps = self._kinds.get("", "v1", "configmaps").bucket
        if maps.get(namespace, "kube-root-ca.crt") is None:
            metadata = _metadata("kube-root-ca.crt", namespace)
            metadata["annotations"] = {"kubernetes.io/description": _CA_NOTE}
            maps.put({"metadata": metadata, "data": {"ca.crt": self._ca_pem}})


def _metadata(name: str, namespace: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
    return metadata | {"namespace": namespace} if namespace else metadata


def _check_version(live: int, sent: str, name: str) -> None:
    if sent != str(live):
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise status.conflict("", "namespaces", name, why)
