"""Running: which images a workload runs, as its template says and its pods and their nodes tell.

What runs is the template's containers, plus containers that only pods have (sidecars injected on admission,
debug containers). The digest is the one a node reports for the same container and the same image text, so
that during a rollout the old pods of a StatefulSet do not speak for its new template. Only where a template
cannot change (ReplicaSet, Job) a pod with another image text is believed: admission rewrote it.

Promises: the order of the pods does not matter; the newest one that knows an answer gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from trivyop.kube.resources import ObjectKey
from trivyop.workload.images import ContainerImage, ContainerKind, repo_digest
from trivyop.workload.objects import Container, ContainerStatus, Node, Pod, PodSpec
from trivyop.workload.owners import Lister


class Seen(NamedTuple):
    """A container as one pod has it."""

    kind: ContainerKind
    container: Container
    status: ContainerStatus | None
    pod: Pod


def newest_first(pods: Iterable[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name), reverse=True)


def containers_of(spec: PodSpec) -> Iterator[tuple[ContainerKind, Container]]:
    """All containers of a pod spec, of every kind."""
    for kind, containers in (
        (ContainerKind.REGULAR, spec.containers),
        (ContainerKind.INIT, spec.init_containers),
        (ContainerKind.EPHEMERAL, spec.ephemeral_containers),
    ):
        for container in containers:
            yield kind, container


def running_images(
    template: PodSpec, pods: Iterable[Pod], nodes: Lister[Node], *, template_is_fixed: bool
) -> list[ContainerImage]:
    """Tell the image of every container: the template's in its order, then those only pods have, by name.

    ``template_is_fixed``: all of the pods were made from this template.
    """
    seen: dict[str, list[Seen]] = {}
    for pod in _telling(newest_first(pods)):
        statuses = {status.name: status for status in _statuses(pod)}
        for kind, container in containers_of(pod.spec):
            sight = Seen(kind, container, statuses.get(container.name), pod)
            seen.setdefault(container.name, []).append(sight)

    images: list[ContainerImage] = []
    for kind, container in containers_of(template):
        sights = seen.pop(container.name, [])
        same = [sight for sight in sights if sight.container.image == container.image]
        if sights and not same and template_is_fixed:
            container, same = sights[0].container, sights  # noqa: PLW2901 - the pod's container is the real one
        images.append(_running_image(kind, container, same, nodes))
    for _, sights in sorted(seen.items()):
        images.append(_running_image(sights[0].kind, sights[0].container, sights, nodes))
    return images


def _telling(pods: Iterable[Pod]) -> Iterator[Pod]:
    """The pods that tell more than those before them.

    Of a thousand replicas nearly all say the same, and informers keep that once (``objects.Slim``), so that
    it is enough to see whether it is the same object.
    """
    told: set[tuple[int | bool, ...]] = set()
    for pod in pods:
        spec = pod.spec
        parts = (spec.containers, spec.init_containers, spec.ephemeral_containers, pod.status)
        words = (*map(id, parts), bool(spec.node_name))
        if words not in told:
            told.add(words)
            yield pod


def _running_image(
    kind: ContainerKind, container: Container, sights: Sequence[Seen], nodes: Lister[Node]
) -> ContainerImage:
    """What the sights of one container say, the newest first."""
    witness = next((sight for sight in sights if sight.pod.spec.node_name), None)
    digest = repo_digest(container.image)  # pinned in the spec: known before any pod starts
    if digest is None:
        knowing = next(
            (sight for sight in sights if sight.status and repo_digest(sight.status.image_id)), None
        )
        if knowing is not None and knowing.status is not None:
            witness, digest = knowing, repo_digest(knowing.status.image_id)
    node = nodes.get(ObjectKey("", witness.pod.spec.node_name)) if witness else None
    newest = sights[0].status if sights else None
    return ContainerImage(
        container=container.name,
        kind=kind,
        image=container.image,
        digest=digest,
        platform=node.platform if node else None,
        waiting_reason=newest.state.waiting.reason if newest and newest.state.waiting else "",
    )


def _statuses(pod: Pod) -> Iterator[ContainerStatus]:
    yield from pod.status.container_statuses
    yield from pod.status.init_container_statuses
    yield from pod.status.ephemeral_container_statuses
