"""Labels and annotations of Jobs that users may set: what an API server takes, and what is not ours.

Promises: what parses here, a server takes on Jobs and pods beside what the operator writes there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trivyop.settings.kinds import Kind, any_value, check_label_key, check_label_value, pairs

MAX_ANNOTATIONS_BYTES = 240 * 1024  # a server takes 256 KiB: keys and values, those of the operator included
_OURS = "trivyop.dev/"
_OF_JOBS = frozenset({"controller-uid", "job-name"})  # written and checked by the Job controller
_OF_JOBS_PREFIX = "batch.kubernetes.io/"


def _check_not_taken(key: str) -> str:
    if key.startswith(_OURS) or key in _OWN_LABELS:
        raise ValueError(f"{key!r} is the operator's own")
    if key in _OF_JOBS or key.startswith(_OF_JOBS_PREFIX):
        raise ValueError(f"{key!r} is written by the Job controller")
    return key


_OWN_LABELS = frozenset(
    {"app.kubernetes.io/managed-by", "vulnerabilityReport.scanner", "node-info.collector"}
)


def _check_label(key: str) -> str:
    return _check_not_taken(check_label_key(key))


def _check_pod_label(key: str) -> str:
    """Labels of pods may be others than those of the Job, but not those by which pods are found."""
    check_label_key(key)
    if key.startswith((_OURS, _OF_JOBS_PREFIX)) or key in _OF_JOBS or key == "node-info.collector":
        return _check_not_taken(key)
    return key


def _check_annotation(key: str) -> str:
    check_label_key(key.lower())  # as a server does, which is less strict here than with labels
    if key.startswith((_OURS, _OF_JOBS_PREFIX)):
        return _check_not_taken(key)
    return key


def _within(kind: Kind[dict[str, str]], limit: int) -> Kind[dict[str, str]]:
    parse: Callable[[str], dict[str, str]] = kind.parse

    def checked(text: str) -> dict[str, str]:
        found = parse(text)
        size = sum(len(key.encode()) + len(value.encode()) for key, value in found.items())
        if size > limit:
            raise ValueError(f"{size} bytes are more than the {limit} that fit beside the operator's own")
        return found

    return replace(kind, parse=checked)


JOB_LABELS = pairs("labels", check_label_value, _check_label)
POD_LABELS = pairs("labels", check_label_value, _check_pod_label)
JOB_ANNOTATIONS = _within(pairs("annotations", any_value, _check_annotation), MAX_ANNOTATIONS_BYTES)
