"""What several kinds of pods take from the settings of Trivy's: their resources."""

from __future__ import annotations

from typing import Any

from trivyop.settings.trivy import TrivySettings


def pod_resources(trivy: TrivySettings) -> dict[str, Any]:
    """The ``resources`` of a container; what is not set is left out."""
    found = {
        "requests": {
            "cpu": trivy.requests_cpu,
            "memory": trivy.requests_memory,
            "ephemeral-storage": trivy.requests_ephemeral_storage,
        },
        "limits": {
            "cpu": trivy.limits_cpu,
            "memory": trivy.limits_memory,
            "ephemeral-storage": trivy.limits_ephemeral_storage,
        },
    }
    sized = {kind: {name: size for name, size in sizes.items() if size} for kind, sizes in found.items()}
    return {kind: sizes for kind, sizes in sized.items() if sizes}
