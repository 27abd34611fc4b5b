"""Artifacts: what lies in registries and is no image, such as Helm charts, models and signatures.

A volume may mount one. Trivy looks into images only, and says of anything whose manifest names another type
that the type is not supported (``unsupported artifact type``, in its remote image source). Where such a
manifest pretends to be an image, as Ollama's models do, or hides behind an index, Trivy reports an image
without layers and without a finding.

Not here: what follows; there are no reports then, and that is no failure.
"""

from __future__ import annotations

import re

_UNSUPPORTED = re.compile(r"unsupported artifact type \\?\"?(?P<type>[^\s\"\\]+)")


def no_image_in(message: str) -> str:
    """What to tell people if Trivy's message says that this is no image; "" if it says something else."""
    found = _UNSUPPORTED.search(message)
    return f"it is an artifact of type {found['type']}, and no image" if found else ""
