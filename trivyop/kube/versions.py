"""Resource versions, compared: the one place that looks into them.

They are passed back as they came everywhere else. That those of one kind may be compared, as the decimal
numbers that they are, is part of the API since Kubernetes 1.35 (KEP-5504); older servers with etcd have had
such numbers always.
"""

from __future__ import annotations


def precedes(version: str, other: str) -> bool:
    """Whether `version` is older than `other`, of the same kind; False where one of them is no number."""
    numbers = version.isascii() and version.isdigit() and other.isascii() and other.isdigit()
    return numbers and int(version) < int(other)
