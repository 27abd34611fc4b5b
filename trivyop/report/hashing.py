"""Hashing: the short hashes in names and labels, equal to those of the Go operator.

That operator hashes the text Go's ``spew`` prints of a value. Only the values whose text is simple are done
here: strings, lists of strings, references to objects. The result has 1 to 10 characters out of 27, fits in
names and labels, and identifies: with 32 bits it does not authenticate, and it can collide.
"""

from __future__ import annotations

from typing import NamedTuple

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, so that no hash spells a word
_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


class ObjectRef(NamedTuple):
    """An object of the cluster, as far as hashes name it; ``namespace`` is "" for cluster scope."""

    kind: str
    name: str
    namespace: str


def compute_hash(value: str | list[str] | ObjectRef) -> str:
    """Hash a value as the Go operator's ``ComputeHash`` does."""
    match value:
        case str():
            text = f"(string){value}"
        case ObjectRef(kind, name, namespace):
            text = (
                f"(kube.ObjectRef){{Kind:(kube.Kind){kind} "
                f"Name:(string){name} Namespace:(string){namespace}}}"
            )
        case list():
            text = f"([]string)[{' '.join(value)}]"
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(fnv1a_32(text.encode())))


def fnv1a_32(data: bytes) -> int:
    """The 32-bit FNV-1a hash."""
    value = _FNV_OFFSET
    for byte in data:
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return value
