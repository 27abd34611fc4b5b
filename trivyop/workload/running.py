"""Running: which images a workload runs, as its pods show, and the nodes that they are on.

What pods run counts, whatever their template says: admission may rewrite images and add containers, and a
template that changed says nothing about the pods that were made before. The template counts as long as there
are no pods to look at.

A container may run several images at once, in different pods: both sides of a rollout, or a tag that moved.
Each of them is listed, under a place of its own: what a report is called by, within its workload. Mostly
that is the container's name. It is given, in this order, to an image that has started somewhere, that of the
template, that of the newest pod. Other places hold a dot, which no name of a container does:

* ``<container>.<8 hex digits>`` for each further image, after the image's name and digest;
* ``volume.<name of the volume>`` for the image of a volume.

Promises: the order of the pods does not matter. A place is a valid label value; different things have
different places. A pod whose digest is not known yet adds no image while another pod has one for the
same text.
Not here: which pods count as running (`resolve.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from trivyop.kube.resources import ObjectKey
from trivyop.workload.images import ContainerImage, ContainerKind, any_digest, repo_digest, repo_reference
from trivyop.workload.objects import Container, ContainerStatus, Node, Pod, PodSpec, PodStatus
from trivyop.workload.owners import Lister

Same = Callable[[str, str | None], str | None]
"""Answers with the digest that an image is scanned by, if this is another digest of it for that platform."""

MAX_REPORTED = 5  # names of one image, from its nodes


def different(_digest: str, _platform: str | None) -> None:
    """Nothing is known to be the same as something else."""


Wanted = Callable[[ContainerKind, str], bool]
"""Whether an image, used in that way, counts at all."""


class Named(NamedTuple):
    """An image as a pod spec names it."""

    place: str  # the container's name, or the place of a volume
    kind: ContainerKind
    image: str  # as the spec has it


class Seen(NamedTuple):
    """An image as one pod has it."""

    named: Named
    image_id: str  # as the status has it; "" when it does not say
    waiting_reason: str
    in_use: bool  # the pod has got it, whether it says its digest or not
    digest: str | None  # that of the spec, known before any pod starts; else the one that the node reports
    pod: Pod


def newest_first(pods: Iterable[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name), reverse=True)


def containers_of(spec: PodSpec) -> Iterator[tuple[ContainerKind, Container]]:
    """All containers of a pod spec, of every kind."""
    for container in spec.containers:
        yield ContainerKind.REGULAR, container
    for container in spec.init_containers:
        goes_on = container.restart_policy == "Always"
        yield ContainerKind.SIDECAR if goes_on else ContainerKind.INIT, container
    for container in spec.ephemeral_containers:
        yield ContainerKind.EPHEMERAL, container


def images_of(spec: PodSpec) -> Iterator[Named]:
    """All images that a pod spec names, those of volumes last."""
    for kind, container in containers_of(spec):
        yield Named(container.name, kind, container.image)
    for volume in spec.volumes:
        if volume.image is not None and volume.image.reference:
            yield Named(place_of_volume(volume.name), ContainerKind.VOLUME, volume.image.reference)


def running_images(
    template: PodSpec,
    pods: Iterable[Pod],
    nodes: Lister[Node],
    wanted: Wanted,
    *,
    same: Same = different,
    one_each: bool = False,
) -> list[ContainerImage]:
    """List the images: first one for each place, the template's in its order; then all further ones.

    `pods` are those that count, of any age; ``one_each`` leaves the further ones out.
    """
    seen: dict[str, list[Seen]] = {}
    for pod in _distinct(newest_first(pods)):
        for sight in _sights(pod, nodes, same):
            if wanted(sight.named.kind, sight.named.image):
                seen.setdefault(sight.named.place, []).append(sight)

    named = [one for one in images_of(template) if wanted(one.kind, one.image)]
    if not seen:
        return [_image(one, (), nodes) for one in named]
    images: list[ContainerImage] = []
    others: list[ContainerImage] = []
    of_template = {one.place: one.image for one in named}
    for place in (*of_template, *sorted(seen.keys() - of_template.keys())):
        first, *further = _different(seen.get(place, ()), of_template.get(place)) or [()]
        if first:
            images.append(_image(first[0].named, first, nodes))
        if not one_each:
            others += (_further(sights, nodes) for sights in further)
    return images + sorted(others, key=lambda image: image.container)


def _different(sights: Sequence[Seen], of_template: str | None) -> list[Sequence[Seen]]:
    """Sort the sights of one place (the newest first) by image; that which has the place comes first."""
    by_image: dict[str, dict[str | None, list[Seen]]] = {}
    for sight in sights:
        by_image.setdefault(sight.named.image, {}).setdefault(sight.digest, []).append(sight)
    found: list[Sequence[Seen]] = []
    for by_digest in by_image.values():
        untold = by_digest.pop(None, [])
        if not by_digest:
            by_digest[None] = []
        # A pod that waits may get any of them; its reason to wait is for people, and said once.
        newest, *older = by_digest.values()
        found += [[*newest, *untold], *older]
    return sorted(
        found,
        key=lambda group: (
            not any(sight.image_id or sight.in_use for sight in group),
            group[0].named.image != of_template,
        ),
    )


def _further(sights: Sequence[Seen], nodes: Lister[Node]) -> ContainerImage:
    named = sights[0].named
    digest = next(filter(None, (sight.digest for sight in sights)), None)
    place = place_of_another(named.place, named.image, digest)
    return _image(named._replace(place=place), sights, nodes)


def _distinct(pods: Iterable[Pod]) -> Iterator[Pod]:
    """The pods that add something to those before them.

    Of a thousand replicas nearly all say the same, and informers keep that once (``objects.Slim``), so that
    it is enough to see whether it is the same object.
    """
    known: set[tuple[int | bool, ...]] = set()
    for pod in pods:
        spec = pod.spec
        parts = (spec.containers, spec.init_containers, spec.ephemeral_containers, spec.volumes, pod.status)
        words = (*map(id, parts), bool(spec.node_name))
        if words not in known:
            known.add(words)
            yield pod


def _sights(pod: Pod, nodes: Lister[Node], same: Same) -> Iterator[Seen]:
    platform = _platform(pod, nodes)

    def seen(named: Named, image_id: str, reason: str, *, in_use: bool = False) -> Seen:
        observed = any_digest(image_id)
        digest = repo_digest(named.image)
        if digest is None and observed is not None:
            digest = same(observed, platform) or repo_digest(image_id)
        return Seen(named, image_id, reason, in_use, digest, pod)

    statuses = {status.name: status for status in _statuses(pod.status)}
    started = any(status.image_id for status in statuses.values())  # not before all volumes are there
    mounted = {
        place_of_volume(mount.name): mount.image_ref
        for status in statuses.values()
        for mount in status.volume_mounts
    }
    for named in images_of(pod.spec):
        if named.kind is ContainerKind.VOLUME:
            yield seen(named, mounted.get(named.place, ""), "", in_use=started)
        else:
            status = statuses.get(named.place)
            waiting = status.state.waiting if status else None
            yield seen(named, status.image_id if status else "", waiting.reason if waiting else "")


def _image(named: Named, sights: Sequence[Seen], nodes: Lister[Node]) -> ContainerImage:
    """What the sights of one image say, the newest first."""
    newest = max(sights, key=_age, default=None)
    knowing = next((sight for sight in sights if sight.digest), None)
    witness = knowing or next((sight for sight in sights if sight.pod.spec.node_name), None)
    if repo_digest(named.image):  # known without any node, so any will do for the platform
        witness = next((sight for sight in sights if sight.pod.spec.node_name), None)
    digest = repo_digest(named.image) or (knowing.digest if knowing else None)
    reported = dict.fromkeys(filter(None, (repo_reference(sight.image_id) for sight in sights)))
    return ContainerImage(
        container=named.place,
        kind=named.kind,
        image=named.image,
        digest=digest,
        platform=_platform(witness.pod, nodes) if witness else None,
        waiting_reason=newest.waiting_reason if newest else "",
        digest_may_come=digest is None and not any(sight.in_use for sight in sights),
        reported=tuple(islice(reported, MAX_REPORTED)),
    )


def _platform(pod: Pod, nodes: Lister[Node]) -> str | None:
    node = nodes.get(ObjectKey("", pod.spec.node_name)) if pod.spec.node_name else None
    return node.platform if node else None


def _age(sight: Seen) -> tuple[str, str]:
    return sight.pod.metadata.creation_timestamp, sight.pod.metadata.name


def _statuses(status: PodStatus) -> Iterator[ContainerStatus]:
    yield from status.container_statuses
    yield from status.init_container_statuses
    yield from status.ephemeral_container_statuses


_VOLUME: Final = "volume"
_MAX: Final = 63  # of a label value
_DIGITS: Final = 8


def place_of_volume(volume: str) -> str:
    """The place of a volume's image."""
    place = f"{_VOLUME}.{volume}"
    return place if len(place) <= _MAX else f"{_VOLUME}.{_shortened(volume, volume, len(_VOLUME) + 1)}"


def place_of_another(place: str, image: str, digest: str | None) -> str:
    """The place of one more image of what has `place` already."""
    return _shortened(place, "\0".join((place, image, digest or "")))


def _shortened(text: str, hashed: str, taken: int = 0) -> str:
    """As much of `text` as there is room for beside a hash of `hashed`."""
    digits = hashlib.sha256(hashed.encode()).hexdigest()[:_DIGITS]
    room = _MAX - _DIGITS - 1 - taken
    return f"{text[:room].rstrip('-.')}.{digits}"
