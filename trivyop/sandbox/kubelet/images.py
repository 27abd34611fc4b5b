"""Images: which digest a node reports for a reference, and how a failed pull looks.

Nothing is pulled. A resolver says what a registry holds; from its answer, or its refusal, come the container
statuses that containerd and a kubelet would give.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

DOCKER_HUB = "docker.io"
PULL_FAILED = "ErrImagePull"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?:[A-Za-z0-9.-]+(?::\d+)?/)?{_PART}(?:/{_PART})*(?::[\w][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)


class ImagePullError(Exception):
    """The image cannot be had; the message is the runtime's."""

    reason = PULL_FAILED


class ImageNotFoundError(ImagePullError):
    """The registry does not have it."""


class ImageUnauthorizedError(ImagePullError):
    """The registry does not give it to us."""


class ImageNameError(ImagePullError):
    """The text names no image."""

    reason = "InvalidImageName"


class ImageResolver(Protocol):
    """Knows the digest of a reference; raises an ``ImagePullError`` if there is none for us.

    It may answer with ``repository@digest``, for a node that has the image under several names.
    """

    async def resolve(self, reference: str, platform: str) -> str: ...


@dataclass(frozen=True, slots=True)
class FamiliarName:
    """A reference as containerd spells it out: ``nginx`` is ``docker.io/library/nginx:latest``."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, reference: str) -> FamiliarName:
        """Spell out a reference as a Pod gives it."""
        name, _, digest = reference.partition("@")
        head, slash, last = name.rpartition("/")
        last, _, tag = last.partition(":")
        repository = f"{head}{slash}{last}"
        first, slash, rest = repository.partition("/")
        if not slash or not ("." in first or ":" in first or first == "localhost"):
            repository = f"{DOCKER_HUB}/{repository}" if slash else f"{DOCKER_HUB}/library/{repository}"
        elif first == "index.docker.io":
            repository = f"{DOCKER_HUB}/{rest}"
        return cls(repository, tag or ("" if digest else "latest"), digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"

    def image_id(self, digest: str) -> str:
        """A container status's ``imageID``; `digest` may come with the repository that the node names."""
        return digest if "@" in digest else f"{self.repository}@{digest}"


@dataclass(frozen=True, slots=True)
class InventedImages:
    """Every image exists, with a digest made from its name, but for those in ``missing`` and
    ``forbidden``.
    """

    missing: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    digests: Mapping[str, str] = field(default_factory=dict[str, str])

    async def resolve(self, reference: str, platform: str) -> str:
        """The digest; the same for the same reference and platform."""
        if not _NAME.fullmatch(reference):
            raise ImageNameError(invalid_message(reference))
        if reference in self.missing:
            raise ImageNotFoundError(not_found_message(reference))
        if reference in self.forbidden:
            raise ImageUnauthorizedError(unauthorized_message(reference))
        name = FamiliarName.parse(reference)
        known = self.digests.get(reference) or name.digest
        return known or f"sha256:{sha256(f'{name} {platform}'.encode()).hexdigest()}"


def invalid_message(reference: str) -> str:
    """What a kubelet says of a text that is no reference."""
    return (
        f'Failed to apply default image tag "{reference}": couldn\'t parse image name "{reference}": '
        "invalid reference format"
    )


def not_found_message(reference: str) -> str:
    """What containerd says of a manifest that is not there."""
    name = FamiliarName.parse(reference)
    return (
        f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": {name}: not found'
    )


def unauthorized_message(reference: str) -> str:
    """What containerd says if the registry wants other credentials, or none will do."""
    name = FamiliarName.parse(reference)
    return (
        f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": '
        "pull access denied, repository does not exist or may require authorization: "
        "authorization failed: no basic auth credentials"
    )


def back_off_message(reference: str, error: ImagePullError) -> str:
    """What a kubelet says between two tries."""
    return f'Back-off pulling image "{reference}": ErrImagePull: {error}'
