"""Events in two groups: stored in the shape of core, and shown by events.k8s.io under its own names."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]

_NAMES = {  # core: events.k8s.io
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_CORE_NAMES = {new: core for core, new in _NAMES.items()}
_ALWAYS: Obj = {
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}


def from_core(event: Obj) -> Obj:
    """Return the event as events.k8s.io has it."""
    renamed = {_NAMES.get(name, name): value for name, value in event.items()}
    for name in ("reportingController", "reportingInstance"):
        if not renamed.get(name):
            renamed.pop(name, None)
    return renamed


def to_core(event: Obj) -> Obj:
    """Return the event as it is stored."""
    return _ALWAYS | {_CORE_NAMES.get(name, name): value for name, value in event.items()}
