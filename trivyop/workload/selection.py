"""Selection: which namespaces, kinds, labels and images the settings ask for.

Promises: an exclusion always counts, whatever the targets are; an excluded image is as if its container did
not exist, so a workload with some images excluded is complete without them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Self

from trivyop.workload.globs import Glob
from trivyop.workload.images import ImageName, ImageRefError
from trivyop.workload.owners import WorkloadKind

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "trivy-operator"  # our own objects carry it, and are not scanned


class InstallMode(StrEnum):
    """How much of the cluster an installation sees; follows from its target namespaces."""

    OWN_NAMESPACE = auto()
    SINGLE_NAMESPACE = auto()
    MULTI_NAMESPACE = auto()
    ALL_NAMESPACES = auto()


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Which namespaces are looked at. Cluster-scoped objects (namespace "") always are."""

    operator: str
    targets: tuple[Glob, ...] = ()  # none: all
    excluded: tuple[Glob, ...] = ()

    @classmethod
    def parse(cls, operator: str, targets: Iterable[str] = (), excluded: Iterable[str] = ()) -> Self:
        """Read names and globs; raises ``ValueError`` for a malformed pattern."""
        return cls(operator, _parse_globs(targets), _parse_globs(excluded))

    @property
    def mode(self) -> InstallMode:
        match self.targets:
            case ():
                return InstallMode.ALL_NAMESPACES
            case (only,) if only.pattern == self.operator:
                return InstallMode.OWN_NAMESPACE
            case (only,) if not only.is_pattern:
                return InstallMode.SINGLE_NAMESPACE
            case _:
                return InstallMode.MULTI_NAMESPACE

    @property
    def watched(self) -> tuple[str, ...]:
        """The namespaces that informers have to cover; ("",) is all of them, as for any target pattern."""
        if not self.targets or any(target.is_pattern for target in self.targets):
            return ("",)
        return tuple(sorted({target.pattern for target in self.targets}))

    def includes(self, namespace: str) -> bool:
        if not namespace:
            return True
        if any(glob.matches(namespace) for glob in self.excluded):
            return False
        return not self.targets or any(glob.matches(namespace) for glob in self.targets)


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a cluster is scanned."""

    namespaces: Namespaces
    kinds: frozenset[WorkloadKind] = frozenset(WorkloadKind)
    skip_label_keys: frozenset[str] = frozenset()
    excluded_images: tuple[Glob, ...] = field(default=())
    only_current_revisions: bool = True
    skip_init_containers: bool = False

    def excludes_image(self, image: str) -> bool:
        """Whether an exclusion matches an image, as its pod spec writes it or by its full name."""
        names = _spellings(image) if self.excluded_images else ()
        return any(glob.matches(name) for glob in self.excluded_images for name in names)


def _spellings(image: str) -> tuple[str, ...]:
    """The image as written, and its full name; Docker Hub's in both ways it is known."""
    try:
        full = str(ImageName.parse(image))
    except ImageRefError:
        return (image,)
    return image, full, full.removeprefix("index.")


def parse_image_globs(patterns: Iterable[str]) -> tuple[Glob, ...]:
    """Read the patterns of ``scanJob.excludeImages``; raises ``ValueError`` for a malformed one."""
    return _parse_globs(patterns)


def _parse_globs(patterns: Iterable[str]) -> tuple[Glob, ...]:
    return tuple(Glob.parse(pattern) for pattern in map(str.strip, patterns) if pattern)
