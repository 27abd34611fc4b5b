"""Artifact: the parts of a report that say which image it is about, and who looked at it."""

from __future__ import annotations

from trivyop.report import keys
from trivyop.workload.images import ContainerImage, ImageName, ImageRefError, repo_digest

SCANNER_NAME = "Trivy"
SCANNER_VENDOR = "Aqua Security"


def image_fields(container: ContainerImage, scanned_digest: str | None = None) -> dict[str, dict[str, str]]:
    """Build ``artifact`` and ``registry`` from the image string of a container.

    The digest is the image string's own, else the one that runs, else the one that was scanned. A string that
    is no image reference (nothing runs it, but a report may exist) is shown as it is.
    """
    try:
        name = ImageName.parse(container.image)
    except ImageRefError:
        name = ImageName("", container.image, None, None)
    artifact = {"repository": name.repository}
    if name.tag:
        artifact["tag"] = name.tag
    if digest := name.digest or container.digest or scanned_digest:
        artifact["digest"] = digest
    return {"artifact": artifact, "registry": {"server": name.registry}}


def first_digest(repo_digests: tuple[str, ...]) -> str | None:
    """The digest of ``quay.io/a/b@sha256:...``, the first of them."""
    return repo_digest(repo_digests[0]) if repo_digests else None


def scanner_fields(version: str) -> dict[str, str]:
    """Build ``scanner``: the program that really looked, whatever image it came in."""
    return {"name": SCANNER_NAME, "vendor": SCANNER_VENDOR, "version": version}


def image_annotations(container: ContainerImage, image: dict[str, dict[str, str]]) -> dict[str, str]:
    """Build the annotations that say which image this is, for readers of metadata alone."""
    artifact = image["artifact"]
    server, tag, digest = image["registry"]["server"], artifact.get("tag"), artifact.get("digest")
    text = (
        f"{server}/{artifact['repository']}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    )
    annotations = {
        keys.IMAGE: text,
        keys.REFERENCE: container.image,
        keys.IMAGE_DIGEST: container.digest or digest,
        keys.PLATFORM: container.platform,
    }
    return {key: value for key, value in annotations.items() if value}


def os_annotation(family: str, name: str, *, eosl: bool) -> dict[str, str]:
    """Build the annotation with the operating system: ``debian/12.4``, ``alpine/3.18.3/eosl``."""
    return {keys.OS: f"{family}/{name}" + ("/eosl" if eosl else "")} if family else {}
