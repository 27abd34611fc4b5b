"""Schema: the shape of values, in one form for custom resources and built-in kinds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Schema:
    """Placeholder while the modules are laid out."""

    type: str = "object"
