"""Pods' subresources: logs from the kubelet of the Pod's node, binding to a node, eviction.

Not here: how a kubelet is asked (``kubelets``); exec, attach, port forwarding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import deletes, status
from trivyop.sandbox.apiserver.objects.plain import fields_at
from trivyop.sandbox.apiserver.request import Reply
from trivyop.sandbox.apiserver.selectors import matches, selector_of
from trivyop.sandbox.apiserver.stamps import now

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Kinds, Served
    from trivyop.sandbox.apiserver.kubelets import Kubelets
    from trivyop.sandbox.apiserver.request import Request, Streamed
    from trivyop.sandbox.apiserver.storage import Stored

Obj = dict[str, Any]

_NUMBERS = {"limitBytes": 1, "sinceSeconds": 1, "tailLines": 0}  # the least allowed
_PASSED_ON = (*_NUMBERS, "follow", "previous", "sinceTime", "timestamps", "stream")
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_SUCCESS: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Pods:
    """The handlers."""

    def __init__(self, kinds: Kinds, kubelets: Kubelets) -> None:
        self._kinds = kinds
        self._kubelets = kubelets

    def _pod(self, request: Request, served: Served) -> tuple[Stored, Obj]:
        stored = served.named(request.info.namespace, request.info.name)
        return stored, served.obj(stored)

    async def log(self, request: Request, served: Served) -> Reply | Streamed:
        """GET of a container's log."""
        query, name = request.query, request.info.name
        _check_log_options(name, query)
        _, pod = self._pod(request, served)
        container = _container(pod, query.get("container", ""))
        node_name = pod["spec"].get("nodeName", "")
        if not node_name:
            return Reply(204, b"", media_type="")
        node = self._kinds.get("", "v1", "nodes").bucket.get("", node_name)
        if node is None:
            raise status.not_found("", "pods", node_name)
        path = f"/containerLogs/{request.info.namespace}/{name}/{container}"
        passed_on = {key: query[key] for key in _PASSED_ON if key in query}
        return await self._kubelets.log(node.obj(), path, passed_on)

    def bind(self, request: Request, served: Served) -> Reply:
        """POST of a Binding: the scheduler's decision."""
        body = request.decoded()
        target: Obj = body.get("target") or {}
        if not target.get("name"):
            raise status.Refused(500, "", "target.name: Required value")
        _, pod = self._pod(request, served)
        spec, name = pod["spec"], request.info.name
        if bound := spec.get("nodeName"):
            raise status.conflict(
                "", "pods/binding", name, f'pod {name} is already assigned to node "{bound}"'
            )
        spec["nodeName"] = target["name"]
        conditions = pod.setdefault("status", {}).setdefault("conditions", [])
        conditions[:] = [c for c in conditions if c["type"] != "PodScheduled"]
        conditions.append(
            {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now()}
        )
        if not request.dry_run:
            served.put(pod)
        return Reply.json(_SUCCESS, 201)

    def evict(self, request: Request, served: Served) -> Reply:
        """POST of an Eviction: a delete that disruption budgets may refuse."""
        body = request.decoded()
        wanted = fields_at(body, "metadata").get("name")
        if wanted and wanted != request.info.name:
            raise status.bad_request("name in URL does not match name in Eviction object")
        stored, pod = self._pod(request, served)
        options: Obj = body.get("deleteOptions") or {}
        if pod.get("status", {}).get("phase") in ("Running", "Pending"):
            self._spend_budget(stored, dry_run=bool(options.get("dryRun")) or request.dry_run)
        deletes.delete_one(served, stored, options | ({"dryRun": ["All"]} if request.dry_run else {}))
        return Reply.json(_SUCCESS, 201)

    def _spend_budget(self, pod: Stored, *, dry_run: bool) -> None:
        budgets = self._kinds.get("policy", "v1", "poddisruptionbudgets")
        for stored in budgets.bucket.list(pod.namespace):
            budget = budgets.obj(stored)
            selector = budget["spec"].get("selector")
            if selector is None or not matches(selector_of(selector), pod.labels):
                continue
            state = budget.get("status", {})
            if state.get("disruptionsAllowed", 0) < 1:
                raise _over_budget(stored.name, state)
            if not dry_run:
                state["disruptionsAllowed"] -= 1
                state.setdefault("disruptedPods", {})[pod.name] = now()
                budgets.put(budget)


def _check_log_options(name: str, query: Mapping[str, str]) -> None:
    errors: list[status.FieldError] = []
    for option, least in _NUMBERS.items():
        if (text := query.get(option)) is None:
            continue
        try:
            number = int(text)
        except ValueError:
            raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
        if number < least:
            why = f"must be greater than or equal to {least}" if least == 0 else "must be greater than 0"
            errors.append(status.FieldError("FieldValueInvalid", option, f"Invalid value: {number}: {why}"))
    if "sinceSeconds" in query and "sinceTime" in query:
        why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        errors.append(status.FieldError("FieldValueForbidden", "[]", why))
    if errors:
        raise status.invalid("PodLogOptions", "", name, errors)


def _container(pod: Obj, wanted: str) -> str:
    spec, name = pod["spec"], pod["metadata"]["name"]
    regular = [container["name"] for container in spec["containers"]]
    init = [container["name"] for container in spec.get("initContainers") or ()]
    ephemeral = [container["name"] for container in spec.get("ephemeralContainers") or ()]
    names = [*init, *regular, *ephemeral]
    if wanted:
        if wanted not in names:
            raise status.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    annotated: str = fields_at(pod, "metadata", "annotations").get(_DEFAULT_CONTAINER, "")
    if annotated in regular:
        return annotated
    if len(names) > 1:
        choice = f"[{' '.join(names)}]"
        raise status.bad_request(
            f"a container name must be specified for pod {name}, choose one of: {choice}"
        )
    return names[0]


def _over_budget(name: str, state: Obj) -> status.Refused:
    desired, current = state.get("desiredHealthy", 0), state.get("currentHealthy", 0)
    message = f"The disruption budget {name} needs {desired} healthy pods and has {current} currently"
    cause = {"reason": "DisruptionBudget", "message": message}
    return status.Refused(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        {"causes": [cause]},
    )
