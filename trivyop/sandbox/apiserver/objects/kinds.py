"""Kind: all that the object functions need to know of one served kind in one version.

Built-in kinds are declared in ``builtin``; those of custom resources are read from their definition by
``crd.kinds_of``. Everything that treats objects takes a ``Kind`` and asks it, never a name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.refusals import FieldError
    from trivyop.sandbox.apiserver.objects.schema import Schema

Obj = dict[str, Any]
Change = Callable[[Obj], None]  # changes the object in place
Check = Callable[[Obj], "list[FieldError]"]
CheckUpdate = Callable[[Obj, Obj], "list[FieldError]"]  # (old, new)
PrepareUpdate = Callable[[Obj, Obj], None]  # (old, new): changes the new one in place


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a printed table."""

    name: str
    type: str = "string"
    description: str = ""
    priority: int = 0  # above 0: only with -o wide
    format: str = ""
    json_path: str = ""  # custom resources only


@dataclass(frozen=True, slots=True)
class Rules:
    """What a kind does beyond its schema. Each rule may be absent."""

    default: Change | None = None  # fills in what the client left out; part of decoding
    prepare_create: Change | None = None  # after the metadata is set, before validation
    prepare_update: PrepareUpdate | None = None
    validate: Check | None = None  # on create and on every update
    validate_update: CheckUpdate | None = None
    validate_status: CheckUpdate | None = None
    generation: bool = False  # metadata.generation counts changes of anything but metadata and status
    validate_name: Callable[[str], list[str]] | None = None  # None: a DNS subdomain


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind in one version, as the server serves it."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    schema: Schema
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()  # "status", "scale", "log", ...
    custom: bool = False  # of a CustomResourceDefinition
    storage_version: str = ""  # where it differs from ``version``
    columns: tuple[Column, ...] = ()  # custom resources' additional printer columns
    rules: Rules = field(default_factory=Rules)
    verbs: tuple[str, ...] = (
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    )

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources
