"""Targets: what to scan for a container, and for whom a scan is.

A container whose digest a node has reported is scanned by digest. Before that it waits a little, because most
containers start within seconds; then the reference is scanned as written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from trivyop.controllers.usage import Usage
from trivyop.scan.imagescan import (
    MAX_REQUESTED_BY,
    ImageScanSpec,
    Requester,
    image_scan_name,
    image_scan_name_by_reference,
)
from trivyop.scan.podconfig import ScanVariant, scan_variant
from trivyop.scan.references import in_order, references
from trivyop.settings.values import Settings
from trivyop.workload.images import ContainerImage, ImageName, ImageRefError
from trivyop.workload.owners import WorkloadKind, WorkloadRef
from trivyop.workload.resolve import Listers, Skipped, Workload, resolve
from trivyop.workload.selection import Selection

DIGEST_PATIENCE_SECONDS = 30.0  # a node pulls most images in less; a scan of the tag is the second best

# The node cannot pull the image, so no digest will come; the scan will say why, better than the node does.
_HOPELESS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)


@dataclass(frozen=True, slots=True)
class Target:
    """One container of one workload, as the scan that it needs sees it."""

    workload: Workload
    container: ContainerImage
    variant: ScanVariant


class Targets:
    """Answers from what runs, the settings and the usage."""

    def __init__(
        self,
        listers: Listers,
        sole_platform: Callable[[], str | None],
        usage: Usage,
        settings: Settings,
        selection: Selection,
    ) -> None:
        """`sole_platform` answers with the platform of the nodes, if they all have the same."""
        self._listers = listers
        self._sole_platform = sole_platform
        self._usage = usage
        self._settings = settings
        self._selection = selection
        self._shared = settings.operator.share_scans_across_namespaces

    def resolve(self, ref: WorkloadRef) -> Workload | Skipped | None:
        return resolve(ref.kind, ref.key, self._listers, self._selection)

    def of(self, scan: str) -> Iterator[Target]:
        """The containers that need `scan` now; each is resolved when it is its turn, for there may be
        thousands.
        """
        for workload, container in self._usage.of(scan):
            yield from self._within(self.resolve(workload), {container})

    def first_of(self, scan: str) -> list[Target]:
        """The first of them, as many as an ImageScan names."""
        return list(islice(self.of(scan), MAX_REQUESTED_BY))

    def of_workloads(self, scan: str, refs: Iterable[WorkloadRef]) -> Iterator[Target]:
        """Those of some workloads; as `of`."""
        for ref in refs:
            yield from self.of_workload(scan, ref, self.resolve(ref))

    def of_workload(
        self, scan: str, ref: WorkloadRef, workload: Workload | Skipped | None
    ) -> Iterator[Target]:
        """Those of a workload that is resolved already."""
        needs = self._usage.scans_of(ref).items()
        yield from self._within(workload, {name for name, need in needs if need == scan})

    def _within(self, workload: Workload | Skipped | None, containers: Collection[str]) -> Iterator[Target]:
        if isinstance(workload, Workload):
            for container in workload.containers:
                if container.container in containers:
                    yield Target(workload, container, self.variant(workload))

    def variant(self, workload: Workload) -> ScanVariant:
        """How the images of a workload are to be scanned."""
        return scan_variant(
            self._settings,
            namespace=workload.key.namespace,
            name=workload.key.name,
            annotations=workload.annotations,
        )

    def scan_name(self, workload: Workload, container: ContainerImage) -> str:
        """The scan that a container needs, as things are now."""
        platform = container.platform or self._sole_platform()
        namespace = None if self._shared else workload.key.namespace
        variant = self.variant(workload).key
        if container.digest is not None:
            return image_scan_name(container.digest, platform, namespace, variant=variant)
        return image_scan_name_by_reference(_name_of(container.image), platform, namespace, variant=variant)

    def spec(self, scan: str, targets: list[Target]) -> ImageScanSpec:
        """What the ImageScan says; `targets` (at least one) are the first that need it."""
        first = targets[0]
        return ImageScanSpec(
            image=first.container.image,
            digest=first.container.digest or "",
            platform=first.container.platform or self._sole_platform() or "",
            namespace="" if self._shared else first.workload.key.namespace,
            requested_by=tuple(
                Requester(
                    kind=target.workload.kind,
                    namespace=target.workload.key.namespace,
                    name=target.workload.key.name,
                    container=target.container.container,
                )
                for target in targets
            ),
            requesters=self._usage.count(scan),
        )


class Place(NamedTuple):
    """One way to get at an image."""

    reference: str  # "repository@sha256:...", or the image as a workload names it
    target: Target  # whose image, and whose credentials


def references_of(targets: list[Target], digest: str, *, known_good: str = "") -> list[Place]:
    """What to scan, the most likely first; `targets` (at least one) need the image of that digest, if any.

    Raises ``ImageRefError`` for an image that cannot be read.
    """
    if not digest:
        images = dict.fromkeys(target.container.image for target in targets)
        return [Place(image, _first(targets, image)) for image in images]
    whose: dict[str, Target] = {}
    choices: list[list[str]] = []
    for target in targets:
        image, reported = target.container.image, target.container.reported
        found = references(image, reported or (ImageName.parse(image).pinned(digest),))
        choices.append(found)
        for reference in found:
            whose.setdefault(reference, target)
    return [Place(one, whose.get(one, targets[0])) for one in in_order(choices, known_good)]


def _first(targets: list[Target], image: str) -> Target:
    return next(target for target in targets if target.container.image == image)


def digest_may_come(workload: Workload, container: ContainerImage) -> bool:
    """Whether it is worth waiting for a node to report the digest."""
    if container.digest is not None or not container.digest_may_come:
        return False
    if container.waiting_reason in _HOPELESS:
        return False
    never_ran = workload.kind == WorkloadKind.CRON_JOB and not workload.node_name
    return not never_ran


def pinned(container: ContainerImage, digest: str, platform: str) -> ContainerImage:
    """The container with the image that was scanned for it."""
    return replace(container, digest=digest or container.digest, platform=platform or container.platform)


def _name_of(image: str) -> ImageName:
    """The image's name; one that cannot be read stands for itself, and its scan fails saying so."""
    try:
        return ImageName.parse(image)
    except ImageRefError:
        return ImageName("", image, None, None)
