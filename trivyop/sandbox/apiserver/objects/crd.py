"""CustomResourceDefinitions: their defaults and checks, and the kinds they define."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.objects.kinds import Kind, Obj


def kinds_of(definition: Obj) -> list[Kind]:
    """The kinds of all served versions, in the order of the definition."""
    raise NotImplementedError


def established(definition: Obj, now: str) -> Obj:
    """The definition with acceptedNames and the conditions NamesAccepted and Established in its status."""
    raise NotImplementedError


def terminating(definition: Obj, now: str) -> Obj:
    """The definition with the condition Terminating, as deletion leaves it while its objects go."""
    raise NotImplementedError
