"""The Go operator's format: the report itself, or ``{"verb": ..., "operatorObject": ...}`` around it.

What its receivers know stays: a report written for the first time is an ``update``, one that lives for no
time at all (``report-ttl`` of ``0s``) is not sent, nor are failed scans. One thing differs, and is
meant to: the object of a ``delete`` is the one that was deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Change, Event
from trivyop.notify.findings import FindingsDiff
from trivyop.notify.formats.message import Message, event_id
from trivyop.notify.formats.stored import dump, stored
from trivyop.report import keys


class TrivyOperatorFormat:
    """Fits receivers that were written for the Go operator."""

    needs_diff = False

    def render(
        self,
        event: Event,
        diff: FindingsDiff | None,  # noqa: ARG002  (of the protocol)
        endpoint: Endpoint,
        now: datetime,  # noqa: ARG002  (of the protocol)
    ) -> Sequence[Message]:
        if not isinstance(event, Change) or _short_lived(event):
            return ()
        document: dict[str, Any] = stored(event)
        if endpoint.envelope:
            document = {"verb": event.verb.value, "operatorObject": document}
        return (Message(dump(document), "application/json", event_id(event, event.verb)),)


def _short_lived(change: Change) -> bool:
    meta = cast(dict[str, Any], (change.object or {}).get("metadata") or {})
    annotations = cast(dict[str, Any], meta.get("annotations") or {})
    return annotations.get(keys.REPORT_TTL) == "0s"
