"""References: under which names the image that runs can be had from a registry, the most likely first.

A digest belongs to the repository that the runtime named with it, which need not be the workload's:

* containerd (1.6, 1.7, 2.x) keeps one image for each configuration, with all names that it was pulled by. The
  status of a container has the first of their repository digests in order of the alphabet
  (``internal/cri/server/container_status.go``: ``repoDigests[0]``; the store merges and sorts references in
  ``internal/cri/store/image/image.go``, in 1.x below ``pkg/cri``). So a pod of ``team/prod:1`` may have
  ``team/dev@sha256:...`` with a digest that ``team/prod`` lacks, and another name once more is pulled.
  Of an image whose names are all gone there is the digest of its configuration alone.
* CRI-O writes the first repository digest of the image too, when the container is created, or the bare id of
  an image without a name (``server/container_create.go``, ``internal/oci/container.go``). It joins each name
  of the image with each digest of it (``makeRepoDigests`` in ``internal/storage/image.go``), so that there
  are pairs that no registry has. Such a pair with the workload's own repository ends as *not found*: it
  cannot be distinguished from an image that was deleted, and its tag may have moved.
* cri-dockerd writes ``docker-pullable://repository@sha256:...`` with the first of Docker's repository
  digests as of now, or ``docker://sha256:...`` for an image that was built or loaded on the node
  (``toPullableImageID`` in ``core/convert.go``).

Of a digest that came with the workload's own repository there is nothing else to try. Otherwise both
repositories are: that of the runtime first if it is in the same registry, where the workload's credentials
count; else the workload's own, because images that were copied keep their digest as a rule. The last is
the image as the workload names it, which is what is scanned when no digest is known, too: of a tag that has
moved since it is another image.

Promises: pure; a digest that the workload itself names is the only one.
Not here: mirrors (`command.py`), which of them is tried next (`controllers.images`).
"""

from __future__ import annotations

from collections.abc import Iterable

from trivyop.workload.images import ImageName, ImageRefError


def references(image: str, reported: Iterable[str]) -> list[str]:
    """The references to try for an image that a workload names so; "repository@digest" or as it is written.

    `reported`: what runtimes say of it, as ``repo_reference`` reads it. Raises ``ImageRefError`` for an image
    that cannot be read.
    """
    own = ImageName.parse(image)
    if own.digest is not None:
        return [own.pinned(own.digest)]
    names = [name for text in reported if (name := _parsed(text)) is not None]
    ours = [name.pinned(name.digest) for name in names if name.name == own.name and name.digest]
    if ours:
        return ours[:1]
    found: dict[str, None] = {}
    for name in names:
        if name.digest:
            pair = [own.pinned(name.digest), name.pinned(name.digest)]
            near = name.registry == own.registry
            found |= dict.fromkeys(reversed(pair) if near else pair)
    return [*found, image]


def in_order(choices: Iterable[list[str]], known_good: str = "") -> list[str]:
    """All references of several workloads that run one image: first choices first, each once.

    The one that was scanned before, `known_good`, comes before all of them.
    """
    lists = list(choices)
    found: dict[str, None] = {known_good: None} if known_good else {}
    for rank in range(max(map(len, lists), default=0)):
        found |= dict.fromkeys(choice[rank] for choice in lists if rank < len(choice))
    return list(found)


def _parsed(text: str) -> ImageName | None:
    try:
        return ImageName.parse(text)
    except ImageRefError:
        return None  # a runtime's word for something of its own
