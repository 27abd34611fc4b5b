"""Decoding: bytes of a body into an object of a kind, as strictly as the client wishes.

Promises: the messages of the real server for bodies that can not be read, and for unknown or duplicate fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj

JSON = "application/json"
YAML = "application/yaml"


def decode_strict(body: bytes) -> tuple[Any, list[str]]:
    """A JSON value, and the paths of keys that came twice ("data.a"); raises ``ValueError`` in Go's words."""
    raise NotImplementedError


def decode_options(body: bytes, media_type: str, kind: str) -> dict[str, Any]:
    """The body of a DELETE, or of a subresource that takes an object without a kind of ours (Binding, Eviction)."""
    raise NotImplementedError


def decode(kind: Kind, body: bytes, media_type: str, validation: str) -> tuple[Obj, list[str]]:
    """The object with its kind's defaults, and the warnings; raises ``Refused``."""
    raise NotImplementedError
