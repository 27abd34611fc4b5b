"""Rollout: how a Deployment's ReplicaSets should stand. Pure.

``next_scales`` gives the one next step of a rollout; each step's effect (Pods that become ready) brings the
next. Minimum ready time, pausing half way and the progress deadline are left out: a Pod is available once
it is ready.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from trivyop.sandbox.changes import Json, find_condition, part, set_condition, without_empty
from trivyop.sandbox.controllers.objects import Workload

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def plain_template(template: Mapping[str, Any]) -> Json:
    """``template`` without the hash label, to compare a ReplicaSet's with its Deployment's."""
    meta = dict(part(template, "metadata"))
    labels = {name: value for name, value in part(meta, "labels").items() if name != HASH_LABEL}
    meta.pop("labels", None)
    if labels:
        meta["labels"] = labels
    return {"metadata": meta, "spec": part(template, "spec")}


def find_new(deployment: Workload, sets: Sequence[Workload]) -> Workload | None:
    """The ReplicaSet that has the Deployment's template now; the oldest one if there are several."""
    wanted = plain_template(deployment.spec["template"])
    same = [s for s in sets if plain_template(s.spec["template"]) == wanted]
    return min(same, key=lambda s: (s.metadata.creation_timestamp, s.metadata.name), default=None)


def revision(workload: Workload) -> int:
    """The number of the revision annotation, zero without one."""
    text = (workload.metadata.annotations or {}).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def _resolve(value: int | str | None, replicas: int, *, up: bool) -> int:
    if isinstance(value, str):
        part = int(value.removesuffix("%")) * replicas / 100
        return math.ceil(part) if up else math.floor(part)
    return value or 0


def bounds(deployment: Workload) -> tuple[int, int]:
    """How many Pods more than wanted there may be, and how many fewer; not both are zero."""
    strategy = part(deployment.spec, "strategy")
    if strategy.get("type") == "Recreate":
        return 0, deployment.replicas
    rolling = part(strategy, "rollingUpdate")
    surge = _resolve(rolling.get("maxSurge", "25%"), deployment.replicas, up=True)
    missing = _resolve(rolling.get("maxUnavailable", "25%"), deployment.replicas, up=False)
    if surge == 0 and missing == 0:
        missing = 1
    return surge, min(missing, deployment.replicas)


def max_replicas(deployment: Workload) -> int:
    """The most Pods there may be during a rollout."""
    return deployment.replicas + bounds(deployment)[0] if deployment.replicas else 0


def first_replicas(deployment: Workload, old: Sequence[Workload]) -> int:
    """How many Pods a new ReplicaSet may start with."""
    total = sum(s.replicas for s in old)
    if not total:
        return deployment.replicas
    if part(deployment.spec, "strategy").get("type") == "Recreate" or deployment.spec.get("paused"):
        return 0
    return max(0, min(deployment.replicas, deployment.replicas + bounds(deployment)[0] - total))


def next_scales(deployment: Workload, new: Workload, old: Sequence[Workload]) -> dict[str, int]:
    """The ReplicaSets (by name) to scale now, and to what."""
    if deployment.spec.get("paused"):
        return {}
    live = [s for s in old if s.replicas > 0]
    if part(deployment.spec, "strategy").get("type") == "Recreate":
        if live:
            return dict.fromkeys((s.metadata.name for s in live), 0)
        if any(s.count("replicas") for s in old) or new.replicas == deployment.replicas:
            return {}
        return {new.metadata.name: deployment.replicas}
    if not live:
        return {} if new.replicas == deployment.replicas else {new.metadata.name: deployment.replicas}
    return _rolling_step(deployment, new, live)


def _rolling_step(deployment: Workload, new: Workload, live: Sequence[Workload]) -> dict[str, int]:
    scales: dict[str, int] = {}
    surge, missing = bounds(deployment)
    total = new.replicas + sum(s.replicas for s in live)
    if new.replicas > deployment.replicas:
        scales[new.metadata.name] = deployment.replicas
        total -= new.replicas - deployment.replicas
    elif (room := min(deployment.replicas + surge - total, deployment.replicas - new.replicas)) > 0:
        return {new.metadata.name: new.replicas + room}
    at_least = deployment.replicas - missing
    new_unready = max(0, new.replicas - new.count("availableReplicas"))
    removable = total - at_least - new_unready
    available = new.count("availableReplicas") + sum(s.count("availableReplicas") for s in live)
    for s in sorted(live, key=lambda s: (s.metadata.creation_timestamp, s.metadata.name)):
        if removable <= 0:
            break
        unready = max(0, s.replicas - s.count("availableReplicas"))
        healthy = min(s.replicas - unready, max(0, available - at_least))
        remove = min(removable, unready + healthy)
        if remove > 0:
            scales[s.metadata.name] = s.replicas - remove
            removable -= remove
            available -= max(0, remove - unready)
    return scales


def to_clean_up(deployment: Workload, old: Sequence[Workload]) -> list[Workload]:
    """Old, empty ReplicaSets beyond the history limit, oldest revision first."""
    limit = deployment.spec.get("revisionHistoryLimit")
    empty = [s for s in old if s.replicas == 0 and s.count("replicas") == 0 and not s.deleting]
    surplus = len(empty) - (10 if limit is None else int(limit))
    return sorted(empty, key=revision)[:surplus] if surplus > 0 else []


def build_replica_set(deployment: Workload, owner: Json, name: str, hash_: str, replicas: int) -> Json:
    """The ReplicaSet for the Deployment's template."""
    template = part(deployment.spec, "template")
    meta = part(template, "metadata")
    labels = part(meta, "labels") | {HASH_LABEL: hash_}
    selector = part(deployment.spec, "selector")
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "replicas": replicas,
            "selector": {
                **selector,
                "matchLabels": part(selector, "matchLabels") | {HASH_LABEL: hash_},
            },
            "template": {**template, "metadata": {**meta, "labels": labels}},
        },
    }


def build_status(deployment: Workload, new: Workload | None, sets: Sequence[Workload], now: str) -> Json:
    """The Deployment's status; ``now`` is for conditions that change."""
    replicas = sum(s.count("replicas") for s in sets)
    available = sum(s.count("availableReplicas") for s in sets)
    updated = new.count("replicas") if new else 0
    enough = available >= deployment.replicas - bounds(deployment)[1]
    conditions = set_condition(
        deployment.conditions,
        {
            "type": "Available",
            "status": "True" if enough else "False",
            "lastUpdateTime": now,
            "lastTransitionTime": now,
            "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
            "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        },
        touch="lastUpdateTime",
    )
    if new is not None:
        done = updated == deployment.replicas == replicas == available
        before = find_condition(conditions, "Progressing")
        stays = before is not None and before.get("reason") == "NewReplicaSetAvailable"
        if done or not (stays and updated == deployment.replicas):  # a restarted Pod is no new rollout
            reason = "NewReplicaSetAvailable" if done else "ReplicaSetUpdated"
            verb = "has successfully progressed" if done else "is progressing"
            conditions = set_condition(
                conditions,
                {
                    "type": "Progressing",
                    "status": "True",
                    "lastUpdateTime": now,
                    "lastTransitionTime": now,
                    "reason": reason,
                    "message": f'ReplicaSet "{new.metadata.name}" {verb}.',
                },
                touch="lastUpdateTime",
            )
    return without_empty(
        {
            "observedGeneration": deployment.metadata.generation,
            "replicas": replicas,
            "updatedReplicas": updated,
            "readyReplicas": sum(s.count("readyReplicas") for s in sets),
            "availableReplicas": available,
            "unavailableReplicas": max(0, sum(s.replicas for s in sets) - available),
            "collisionCount": deployment.status.get("collisionCount"),
            "conditions": conditions,
        }
    )
