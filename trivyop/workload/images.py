"""Images: how a container names its image, and which image a node really runs.

``ImageName`` reads the text of a pod spec, ``repo_digest`` the text of a container status, ``ImageKey`` is
what is scanned once however many workloads run it. Nothing here talks to a registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from trivyop.errors import TerminalError

DOCKER_HUB = "index.docker.io"
DEFAULT_TAG = "latest"

_REGISTRY = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_REPOSITORY = re.compile(r"[a-z0-9_./-]{2,255}")
_TAG = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


class ImageRefError(TerminalError):
    """The text names no image; only a change of the pod spec can help."""


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image reference as a registry client reads it: Docker Hub's short forms spelled out."""

    registry: str  # host[:port] in lower case, for hosts are equal in any; Docker Hub is "index.docker.io"
    repository: str  # "library/nginx"
    tag: str | None  # "latest" when neither tag nor digest is given; None only beside a digest
    digest: str | None  # "sha256:..."

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an image string of a pod spec; raises ``ImageRefError`` when it is none.

        The first part is a registry only if it has a dot or a colon or is ``localhost``; ``docker.io`` is
        Docker Hub; a Docker Hub repository of one part gets ``library/``.
        """
        base, at, digest = text.partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise ImageRefError(f"image {text!r}: {digest!r} is not a digest")
        name, colon, tag = base.rpartition(":")
        if not colon or "/" in tag:  # the colon, if any, belongs to the registry's port
            name, tag = base, ""
        if tag and not _TAG.fullmatch(tag):
            raise ImageRefError(f"image {text!r}: {tag!r} is not a tag")

        first, slash, rest = name.partition("/")
        if slash and ("." in first or ":" in first or first.lower() == "localhost"):
            registry, repository = first.lower(), rest
        else:
            registry, repository = DOCKER_HUB, name
        if registry == "docker.io":
            registry = DOCKER_HUB
        if not _REGISTRY.fullmatch(registry):
            raise ImageRefError(f"image {text!r}: {registry!r} is not a registry")
        if not _REPOSITORY.fullmatch(repository):
            why = ": its letters must be lower case" if _REPOSITORY.fullmatch(repository.lower()) else ""
            raise ImageRefError(f"image {text!r}: {repository!r} is not a repository{why}")
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        return cls(registry, repository, tag or (None if at else DEFAULT_TAG), digest if at else None)

    @property
    def name(self) -> str:
        """Registry and repository: ``index.docker.io/library/nginx``."""
        return f"{self.registry}/{self.repository}"

    @property
    def identifier(self) -> str:
        """The digest if there is one, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    def pinned(self, digest: str) -> str:
        """The reference of this repository's image with that digest."""
        return f"{self.name}@{digest}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}@{self.digest}" if self.digest else f"{self.name}{tag}"


def repo_digest(image_id: str) -> str | None:
    """Read the registry's digest from a container status's ``imageID``; None when it holds none.

    Runtimes write ``repo@sha256:...``, Docker's shim ``docker-pullable://repo@sha256:...``. A bare
    ``sha256:...`` (also as ``docker://sha256:...``) is the digest of the image's configuration: an image
    that was loaded or built on the node, which no registry knows by that name.
    """
    _, at, digest = image_id.rpartition("@")
    return digest if at and _DIGEST.fullmatch(digest) else None


def repo_reference(image_id: str) -> str:
    """Read "repository@sha256:..." from a container status's ``imageID``; "" when it has no repository."""
    return image_id.removeprefix("docker-pullable://") if repo_digest(image_id) else ""


def any_digest(image_id: str) -> str | None:
    """The digest in a container status's ``imageID``, also one that is of the configuration only."""
    digest = re.split("[@/]", image_id)[-1]
    return digest if _DIGEST.fullmatch(digest) else None


@dataclass(frozen=True, slots=True)
class ImageKey:
    """What is scanned once: one image, for one platform."""

    digest: str  # "sha256:..."
    platform: str | None  # "linux/arm64"; None when no node reported it


class ContainerKind(StrEnum):
    """What an image is for: which list of the pod spec names it, and how long it runs."""

    REGULAR = "containers"
    INIT = "initContainers"
    SIDECAR = "sidecarContainers"  # in the list of init containers, but they go on running
    EPHEMERAL = "ephemeralContainers"
    VOLUME = "volumes"  # mounted, and not run


@dataclass(frozen=True, slots=True)
class ContainerImage:
    """One image of a workload: of a container or a volume, as far as its pods report it."""

    container: str  # the container's name, or another place (`running.py`)
    kind: ContainerKind
    image: str  # as the pod spec has it
    digest: str | None = None  # None until a node has pulled it
    platform: str | None = None
    waiting_reason: str = ""  # "ImagePullBackOff" and the like, "" when it does not wait
    digest_may_come: bool = True  # False: it is in use already, and no node reported a digest
    reported: tuple[str, ...] = ()  # what nodes call it: "repository@sha256:...", not always with `digest`

    @property
    def key(self) -> ImageKey | None:
        """What to scan, or None as long as no digest is known."""
        return None if self.digest is None else ImageKey(self.digest, self.platform)
