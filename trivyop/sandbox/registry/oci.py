"""OCI content made on the spot: layers, images, indexes and artifacts as bytes.

The same input gives the same bytes on every machine and every Python: times are fixed, JSON is sorted,
and layers are gzip members of *stored* blocks, because what a compressor makes of its input depends on
the version of zlib. Digests can therefore be written down in tests and documents.

Promises: what is built here is complete (each digest a manifest names is among its blobs).
Not here: names and tags (`server.py`), what is in the samples (`samples.py`).
Format: the OCI image specification, version 1.1 (github.com/opencontainers/image-spec).
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"

AMD64 = "linux/amd64"
ARM64 = "linux/arm64"

_PROGRAM = b"\x7fELF"
CREATED = "2026-01-01T00:00:00Z"
MTIME = 1_767_225_600  # CREATED, as the number that tar and zip want


class ImageNotFoundError(LookupError):
    """No such repository, tag or digest, or no image in it for that platform."""


class ImageUnauthorizedError(PermissionError):
    """The repository is private, and the one who asks has no login for it."""


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def tar(files: Mapping[str, bytes]) -> bytes:
    """One tar archive with ``files`` (path without leading slash -> content) and the folders above them."""
    folders = {folder for path in files for folder in _folders_above(path)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted({*folders, *files}):
            entry = tarfile.TarInfo(path)
            entry.mtime = MTIME
            if path in files:
                entry.size = len(files[path])
                entry.mode = 0o755 if files[path].startswith(_PROGRAM) else 0o644
                archive.addfile(entry, io.BytesIO(files[path]))
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
    return buffer.getvalue()


def _folders_above(path: str) -> Iterable[str]:
    parts = path.split("/")[:-1]
    return ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))


def gzip_stored(data: bytes) -> bytes:
    """``data`` as a gzip member of stored blocks (RFC 1951, 3.2.4): larger, and the same everywhere."""
    blocks = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)] or [b""]
    body = b"".join(
        struct.pack("<BHH", index == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for index, block in enumerate(blocks)
    )
    header = b"\x1f\x8b\x08\x00" + b"\x00\x00\x00\x00" + b"\x00\xff"  # no name, no time, unknown system
    return header + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with their media type; what a descriptor points at."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data), **more}


@dataclass(frozen=True, slots=True)
class Image:
    """What one tag can point at: an image, an artifact, or an index with an image per platform."""

    manifest: Blob
    blobs: tuple[Blob, ...] = ()
    platforms: tuple[tuple[str, Image], ...] = ()  # of an index: ("linux/amd64", its image), ...
    platform: str | None = None  # of an image: what it runs on; None for artifacts and indexes

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @classmethod
    def build(
        cls,
        *layers: Mapping[str, bytes],
        platform: str = AMD64,
        env: Mapping[str, str] | None = None,
        entrypoint: tuple[str, ...] = (),
    ) -> Self:
        """An image whose layers hold these files (path -> content), lowest layer first."""
        archives = [tar(files) for files in layers]
        blobs = [Blob(LAYER, gzip_stored(archive)) for archive in archives]
        system, _, architecture = platform.partition("/")
        config = {
            "architecture": architecture,
            "os": system,
            "created": CREATED,
            "config": {
                "Env": [
                    f"{name}={value}" for name, value in {"PATH": "/usr/bin:/bin", **(env or {})}.items()
                ],
                "Entrypoint": list(entrypoint),
            },
            "history": [{"created": CREATED, "created_by": "made by the sandbox"} for _ in archives],
            "rootfs": {"type": "layers", "diff_ids": [digest_of(archive) for archive in archives]},
        }
        config_blob = Blob(CONFIG, to_json(config))
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config_blob.descriptor(),
            "layers": [blob.descriptor() for blob in blobs],
        }
        return cls(Blob(MANIFEST, to_json(manifest)), (config_blob, *blobs), platform=platform)

    @classmethod
    def index(cls, *images: Image) -> Self:
        """One name for several platforms."""
        platforms = tuple((image.platform, image) for image in images if image.platform is not None)
        if len(platforms) != len(images):
            raise ValueError("an index takes images of one platform each")
        manifest = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                image.manifest.descriptor(
                    platform={"os": platform.partition("/")[0], "architecture": platform.partition("/")[2]}
                )
                for platform, image in platforms
            ],
        }
        return cls(Blob(INDEX, to_json(manifest)), platforms=platforms)

    @classmethod
    def artifact(cls, artifact_type: str, layer: Blob, title: str) -> Self:
        """A file in a registry: one layer that bears the file's name, and an empty configuration."""
        config = Blob(EMPTY, b"{}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": config.descriptor(),
            "layers": [layer.descriptor(annotations={TITLE: title})],
            "annotations": {"org.opencontainers.image.created": CREATED},
        }
        return cls(Blob(MANIFEST, to_json(manifest)), (config, layer))

    def for_platform(self, platform: str) -> Image | None:
        """The image that a node of ``platform`` runs; ``None`` when there is none for it."""
        if self.platforms:
            return dict(self.platforms).get(platform)
        return self if self.platform == platform else None
