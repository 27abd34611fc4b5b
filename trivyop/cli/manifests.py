"""The manifests that come with the source: where they are, and bringing them into a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _Loader  # ten times as fast
except ImportError:  # a PyYAML that was built without libyaml
    from yaml import SafeLoader as _Loader

from trivyop.errors import TerminalError

_ROOT = Path(__file__).resolve().parents[2]


def crds() -> Iterator[dict[str, Any]]:
    """The custom resource definitions. Raises ``TerminalError`` where the source tree is not at hand."""
    return _resources(_ROOT / "manifests" / "crds")


def specifications() -> Iterator[dict[str, Any]]:
    """The ClusterComplianceReports for a cluster of any distribution; raises as `crds`."""
    return _resources(_ROOT / "manifests" / "compliance")


def _resources(directory: Path) -> Iterator[dict[str, Any]]:
    """What a kustomization lists."""
    kustomization = directory / "kustomization.yaml"
    if not kustomization.is_file():
        raise TerminalError(f"there is no {kustomization}: run this from a source checkout")
    for name in yaml.load(kustomization.read_text(), _Loader)["resources"]:
        text = (directory / name).read_text()
        yield from (document for document in yaml.load_all(text, _Loader) if document)
