"""Field managers: who set which field, and server-side apply, which is decided by that.

``metadata.managedFields`` of version FieldsV1. Pure: the object in, the object out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj


def track_update(kind: Kind, live: Obj | None, new: Obj, *, manager: str, now: str, subresource: str = "") -> Obj:
    """The new object with managedFields brought up to date for a create, update or patch by ``manager``."""
    raise NotImplementedError


def apply(
    kind: Kind,
    live: Obj | None,
    applied: Obj,
    *,
    manager: str,
    now: str,
    force: bool = False,
    subresource: str = "",
) -> Obj:
    """Merge what ``manager`` applies into the live object; raises ``Refused`` 409 with the conflicts."""
    raise NotImplementedError
