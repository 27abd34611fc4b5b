"""Admission: what a new object must find in the cluster, and what it gets from there.

The namespace must be there and not be terminating, the definition of a custom resource likewise, and a Pod's
service account must be there, from which it has its image pull secrets, as must its priority class. A Pod
keeps the LimitRanges and the Pod Security level of its namespace, and all that is new its ResourceQuotas.

Not here: webhooks; admission that looks at the object alone (``objects``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import limitranges, podsecurity, priorities, quotas, status

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.crds import Definitions
    from trivyop.sandbox.apiserver.kinds import Kinds, Served
    from trivyop.sandbox.apiserver.namespaces import Namespaces

Obj = dict[str, Any]
_TOKEN_VOLUME = "kube-api-access-"  # noqa: S105  # the name of a volume


class Admission:
    """Asked before anything new is stored."""

    def __init__(self, kinds: Kinds, namespaces: Namespaces, definitions: Definitions) -> None:
        self._kinds = kinds
        self._namespaces = namespaces
        self._definitions = definitions

    def admit(self, served: Served, obj: Obj) -> None:
        """Complete a new object in place; raises the 403 or 404 if it may not be."""
        kind, metadata = served.kind, obj["metadata"]
        if kind.namespaced:
            shown = metadata.get("generateName") or metadata["name"]
            self._namespaces.admit(kind.group, kind.plural, metadata["namespace"], shown)
        if kind.custom:
            self._definitions.admit(kind.group, kind.plural, metadata["name"])
        if (kind.group, kind.plural) == ("", "pods"):
            limitranges.admit(obj, self._all("limitranges", metadata["namespace"]))
            self._admit_pod(obj)
            classes = self._kinds.get(priorities.GROUP, "v1", "priorityclasses").bucket
            priorities.admit(obj, (stored.obj() for stored in classes.list("")))
            self._check_security(obj)
        held = self._all("resourcequotas", metadata["namespace"]) if kind.namespaced else []
        if held:
            there = (stored.obj() for stored in served.bucket.list(metadata["namespace"]))
            quotas.check(kind.group, kind.plural, obj, there, held)

    def _all(self, plural: str, namespace: str) -> list[Obj]:
        return [stored.obj() for stored in self._kinds.get("", "v1", plural).bucket.list(namespace)]

    def _check_security(self, pod: Obj) -> None:
        metadata = pod["metadata"]
        namespace = self._kinds.get("", "v1", "namespaces").bucket.get("", metadata["namespace"])
        labels: Mapping[str, str] = namespace.labels if namespace else {}
        level = labels.get(podsecurity.ENFORCE, "privileged")
        version = labels.get(f"{podsecurity.ENFORCE}-version") or "latest"
        if why := podsecurity.violations(level, version, pod["spec"]):
            raise status.forbidden("", "pods", metadata["name"], why)

    def _admit_pod(self, pod: Obj) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        namespace, name = metadata["namespace"], spec.get("serviceAccountName") or "default"
        stored = self._kinds.get("", "v1", "serviceaccounts").bucket.get(namespace, name)
        if stored is None:
            why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
            raise status.forbidden("", "pods", metadata["name"], why)
        account = stored.obj()
        if secrets := account.get("imagePullSecrets"):
            spec.setdefault("imagePullSecrets", secrets)
        if account.get("automountServiceAccountToken") is False:
            _unmount_token(spec)


def _unmount_token(spec: Obj) -> None:
    """Take out the token that was mounted because the Pod itself did not say no."""
    if spec.get("automountServiceAccountToken"):
        return
    volumes: list[Obj] = spec.get("volumes") or []
    spec["volumes"] = [volume for volume in volumes if not volume["name"].startswith(_TOKEN_VOLUME)]
    for container in (*spec["containers"], *(spec.get("initContainers") or ())):
        mounts: list[Obj] = container.get("volumeMounts") or []
        container["volumeMounts"] = [m for m in mounts if not m["name"].startswith(_TOKEN_VOLUME)]
