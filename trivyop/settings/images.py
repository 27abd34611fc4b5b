"""Kinds of settings that name images: Trivy's own, those that databases are in, mirrors.

Promises: what is accepted is a reference that container runtimes accept, so that a typing mistake is found at
the start and not by a pod that cannot start.
Not here: images of workloads (``workload/images.py``), which are read more leniently.
"""

from __future__ import annotations

import re
from typing import Final

from trivyop.settings.kinds import Kind, matching, no_items, show_list, show_text, split_words

_DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*"
_MAX_REPOSITORY: Final = 255

IMAGE = matching(
    "image",
    "an image such as registry.example.com:5000/team/name:tag, without https://",
    re.compile(rf"{_REPOSITORY}(?::{_TAG})?(?:@(?:{_DIGEST}))?"),
    512,
)


def _parse_repository(text: str) -> str:
    text = text.strip()
    if re.fullmatch(_REPOSITORY, text) and len(text) <= _MAX_REPOSITORY:
        return text
    if _WITH_MORE.fullmatch(text):
        raise ValueError(f"{text!r} has a tag or a digest, which belongs into the setting of the tag")
    raise ValueError(f"{text!r} is not an image name{', which has no https://' if '://' in text else ''}")


_WITH_MORE = re.compile(rf"{_REPOSITORY}(?::{_TAG})?(?:@.+)?")
REPOSITORY: Kind[str] = Kind(
    "image", "an image name without a tag or digest", _parse_repository, show_text, str
)
TAG = matching(
    "tag",
    "an image tag, a digest such as sha256:..., or tag@digest",
    re.compile(rf"{_TAG}(?:@(?:{_DIGEST}))?|{_DIGEST}"),
    270,
)


def _parse_images(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(IMAGE.parse(item) for item in split_words(text)))


IMAGES: Kind[tuple[str, ...]] = Kind(
    "list of images", f"comma list; each item {IMAGE.allowed}", _parse_images, show_list, no_items
)


# --- registries ------------------------------------------------------------------------------------------

_REGISTRY = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_DOCKER_HUB = {"docker.io": "index.docker.io"}


def _parse_registry(text: str) -> str:
    """The registry as full names of images have it: hosts are equal in any case, and have no scheme."""
    host = re.sub(r"^https?://", "", text.strip().lower()).rstrip("/")
    if not _REGISTRY.fullmatch(host):
        raise ValueError(f"{text!r} is not the host[:port] of one registry")
    return _DOCKER_HUB.get(host, host)


REGISTRY: Kind[str] = Kind("registry", "host[:port] of one registry", _parse_registry, show_text, str)

# --- mirrors ---------------------------------------------------------------------------------------------

_PLACE = re.compile(rf"{_HOST}(?:/[a-z0-9._/-]*)?")


def split_mirrors(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of a value like ``quay.io:443/team=mirror.example.com``; the first is "" for a lone place."""
    pairs: list[tuple[str, str]] = []
    for item in split_words(text):
        prefix, equals, place = item.rpartition("=")
        for part in (prefix, place) if equals else (place,):
            if not _PLACE.fullmatch(part):
                raise ValueError(f"{part!r} is not a registry, or one with a path, without https://")
        pairs.append((prefix, place))
    if len(pairs) > 1 and not all(prefix for prefix, _ in pairs):
        raise ValueError(f"{text!r} is neither one place nor a list of beginning=place")
    return tuple(pairs)


def _parse_mirrors(text: str) -> str:
    return ",".join(f"{prefix}={place}" if prefix else place for prefix, place in split_mirrors(text))


MIRRORS: Kind[str] = Kind(
    "mirror",
    "host[:port][/path]; or, with any name in the key, a comma list of host[:port][/path]=host[:port][/path]",
    _parse_mirrors,
    show_text,
    str,
)


# --- Trivy's image ---------------------------------------------------------------------------------------

# The first with `--db-repository` as a list and `registry login`; `--pkg-types` came with 0.55.0. What came
# later (no requests for news, with 0.63.0) is asked for by variables, which an older Trivy passes over.
FIRST_VERSION: Final = (0, 57, 0)
# CVE-2026-33634: published by somebody else, to steal what a scanner gets to see.
MALICIOUS_VERSIONS: Final = frozenset({(0, 69, 4), (0, 69, 5), (0, 69, 6)})
TAG_ALLOWED: Final = "0.57.0 or later, but for 0.69.4 to 0.69.6"
_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:[-_.].*)?")


def image_reference(repository: str, tag: str) -> str:
    """The image of a repository and a tag, a digest, or both."""
    return f"{repository}{'@' if _is_digest(tag) else ':'}{tag}"


def tag_without_digest(tag: str) -> str:
    """``0.76.0`` of ``0.76.0@sha256:...``; a lone digest stays."""
    return tag.partition("@")[0]


def tag_version(tag: str) -> tuple[int, int, int] | None:
    """The version that a tag names; None if it names none (`latest`, a digest, a build of one's own)."""
    found = _VERSION.fullmatch(tag_without_digest(tag))
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def tag_problem(tag: str) -> str:
    """Why the Trivy of that tag is not used; "" if it is."""
    version = tag_version(tag)
    if version in MALICIOUS_VERSIONS:
        return "this release of Trivy was malicious (CVE-2026-33634): it stole credentials from where it ran"
    if version is not None and version < FIRST_VERSION:
        return "this release of Trivy lacks options that scans need; 0.57.0 is the first with all of them"
    return ""


def _is_digest(tag: str) -> bool:
    return ":" in tag and "@" not in tag
