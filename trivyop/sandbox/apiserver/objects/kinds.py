"""Kind: all that the object functions need to know of one served kind in one version.

Built-in kinds are declared in ``builtin``; those of custom resources are read from their definition by
``crd.kinds_of``. Everything that treats objects takes a ``Kind`` and asks it, never a name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from trivyop.sandbox.apiserver.objects.write import Obj, Write

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.refusals import FieldError
    from trivyop.sandbox.apiserver.objects.schema import Schema

Change = Callable[[Obj], None]  # changes the object in place
Admit = Callable[[Obj, Write], None]
Check = Callable[[Obj], "list[FieldError]"]
CheckUpdate = Callable[[Obj, Obj], "list[FieldError]"]  # (old, new)
Prepare = Callable[[Obj, Obj], None]  # (old, new): changes the new one in place
Convert = Callable[[Obj], Obj]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a printed table."""

    name: str
    type: str = "string"
    description: str = ""
    priority: int = 0  # above 0: only with -o wide
    format: str = ""
    json_path: str = ""  # custom resources only


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a kind does beyond its schema. Each rule may be absent."""

    default: Change | None = None  # fills in what the client left out; part of decoding
    admit: Admit | None = None  # on create, after the field managers saw the object
    prepare_create: Change | None = None  # after the metadata is set, before validation
    prepare_update: Prepare | None = None
    prepare_status: Prepare | None = None  # beyond: only the status changes
    validate: Check | None = None  # on create and on every update
    validate_create: Check | None = None  # what only holds on create
    validate_update: CheckUpdate | None = None
    validate_status: CheckUpdate | None = None
    generation: bool = False  # metadata.generation counts changes of anything but metadata and status
    validate_name: Callable[[str], list[str]] | None = None  # None: a DNS subdomain
    unconditional_update: bool = True  # a PUT may come without a resourceVersion


VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


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
    selectable: tuple[str, ...] = ()  # of a custom resource: paths that select, "spec.color"
    from_storage: Convert | None = None  # where it is stored as another kind or version
    to_storage: Convert | None = None
    scale_paths: tuple[str, str, str] | None = (
        None  # of a custom resource: replicas, status replicas, selector
    )
    columns: tuple[Column, ...] = ()  # custom resources' additional printer columns
    rules: Rules = field(default_factory=Rules)
    registered: Callable[[str, str], bool] = lambda _version, _kind: (
        False
    )  # (apiVersion, kind) of any kind we know
    verbs: tuple[str, ...] = VERBS

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_of_errors(self) -> str:
        """The group as validation errors name it: Events are those of the core group, whoever asks."""
        return "" if self.to_storage is not None else self.group

    def read_from_core(self, obj: Obj) -> Obj:
        """The object as it is stored, for whom both forms are one."""
        return obj if self.to_storage is None else self.to_storage(obj)

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources
