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
    directory = _ROOT / "manifests" / "crds"
    files = sorted(path for path in directory.glob("*.yaml") if path.name != "kustomization.yaml")
    if not files:
        raise TerminalError(f"there are no CRDs in {directory}: run this from a source checkout")
    for path in files:
        yield from (document for document in yaml.load_all(path.read_text(), _Loader) if document)
