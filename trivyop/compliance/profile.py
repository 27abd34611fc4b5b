"""Profile: what sort of cluster this is, and which of the specifications fit it.

Told apart by what the API gives without further rights: the server's version, its API groups, and labels of
nodes. A cluster that nothing is known of is a plain one.

Promises: pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Platform(StrEnum):
    """Who makes the distribution, or runs the control plane."""

    EKS = "eks"
    GKE = "gke"
    AKS = "aks"
    OPENSHIFT = "openshift"
    RKE2 = "rke2"
    PLAIN = "k8s"


@dataclass(frozen=True, slots=True)
class Profile:
    """What follows from the platform."""

    platform: Platform
    managed_control_plane: bool  # nobody but the provider sees its pods and nodes
    specifications: tuple[str, ...]  # names of those that fit


_EVERYWHERE = ("k8s-nsa-1.0", "k8s-pss-baseline-0.1", "k8s-pss-restricted-0.1")
_BENCHMARKS: Final = {Platform.EKS: "eks-cis-1.4", Platform.RKE2: "rke2-cis-1.24"}
_MANAGED: Final = frozenset({Platform.EKS, Platform.GKE, Platform.AKS})
_IN_VERSION: Final = {"-eks-": Platform.EKS, "-gke.": Platform.GKE, "+rke2": Platform.RKE2}
_IN_LABELS: Final = {
    "eks.amazonaws.com/": Platform.EKS,
    "cloud.google.com/gke-": Platform.GKE,
    "kubernetes.azure.com/": Platform.AKS,
}
_OPENSHIFT_GROUP: Final = "config.openshift.io"


def detect_profile(
    version: str, api_groups: Collection[str], node_labels: Iterable[Mapping[str, str]]
) -> Profile:
    """Tell the platform by the server's ``gitVersion``, its API groups, and the labels of nodes."""
    platform = _platform(version, api_groups, node_labels)
    benchmark = _BENCHMARKS.get(platform, "k8s-cis-1.23")
    return Profile(platform, platform in _MANAGED, (benchmark, *_EVERYWHERE))


def _platform(
    version: str, api_groups: Collection[str], node_labels: Iterable[Mapping[str, str]]
) -> Platform:
    if _OPENSHIFT_GROUP in api_groups:  # also on a cloud that labels the nodes
        return Platform.OPENSHIFT
    for mark, platform in _IN_VERSION.items():
        if mark in version:
            return platform
    for labels in node_labels:
        for prefix, platform in _IN_LABELS.items():
            if any(key.startswith(prefix) for key in labels):
                return platform
    return Platform.PLAIN
