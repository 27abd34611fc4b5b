"""Choices: what settings that are one of a few words may be."""

from __future__ import annotations

from enum import StrEnum


class TrivyMode(StrEnum):
    STANDALONE = "Standalone"
    CLIENT_SERVER = "ClientServer"


class TrivyCommand(StrEnum):
    IMAGE = "image"
    FILESYSTEM = "filesystem"
    ROOTFS = "rootfs"


class PullPolicy(StrEnum):
    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class SbomSource(StrEnum):
    OCI = "oci"
    REKOR = "rekor"


class VulnType(StrEnum):
    OS = "os"
    LIBRARY = "library"


class AdditionalField(StrEnum):
    """Fields of a vulnerability that reports leave out unless asked for."""

    DESCRIPTION = "Description"
    LINKS = "Links"
    CVSS = "CVSS"
    TARGET = "Target"
    CLASS = "Class"
    PACKAGE_TYPE = "PackageType"
    PACKAGE_PATH = "PackagePath"
