"""Message: what formats make, and the two kinds of formats there are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, cast, runtime_checkable

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Change, Event, Verb
from trivyop.notify.findings import FindingsDiff


@dataclass(frozen=True, slots=True)
class Message:
    """One request to an endpoint."""

    body: bytes
    content_type: str
    id: str  # of its event: the same when it is sent again
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Format(Protocol):
    """Sends each event on its own."""

    needs_diff: bool  # whether ``render`` wants to know which findings are new

    def render(
        self, event: Event, diff: FindingsDiff | None, endpoint: Endpoint, now: datetime
    ) -> Sequence[Message]:
        """The messages for it, in order; none if there is nothing to say."""
        ...


@runtime_checkable
class DigestFormat(Protocol):
    """Sends many events at once, every so often."""

    needs_diff: bool

    def note(self, event: Event, diff: FindingsDiff | None, endpoint: Endpoint) -> Any | None:
        """What a digest needs of an event, small; None if there is nothing to say."""
        ...

    def digest(self, notes: Sequence[Any], endpoint: Endpoint, now: datetime) -> Sequence[Message]:
        """The messages for all of them."""
        ...


def event_id(event: Event, *parts: str) -> str:
    """The id of a message about an event; ``parts`` distinguish it from the others about the same event."""
    return text_id(event.uid, _state(event), *parts)


def text_id(*parts: str) -> str:
    """32 hexadecimal digits for some texts."""
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _state(event: Event) -> str:
    """Which state it is about. The same content may come back later, and is an event of its own then."""
    if not isinstance(event, Change):
        return event.content_hash
    if event.verb is Verb.DELETE:
        return "deleted"
    meta = cast(dict[str, Any], (event.object or {}).get("metadata") or {})
    return f"{event.content_hash}/{meta.get('resourceVersion', '')}"
