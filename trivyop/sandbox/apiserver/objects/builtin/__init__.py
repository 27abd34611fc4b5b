"""The built-in kinds: ``KINDS``, by group, version and plural."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trivyop.sandbox.apiserver.objects.kinds import Kind

KINDS: Mapping[tuple[str, str, str], Kind] = {}
