"""Ids: what messages are told apart by, so that one that comes twice is seen to be the same.

An id follows from what the message tells: which object, which state of it, which of the messages about that
state. So it is the same for a message that is sent again, also after a restart.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast

from trivyop.notify.events import Change, Event, Verb


def event_id(event: Event, *parts: str) -> str:
    """The id of a message about an event; ``parts`` tell it from the others about the same event."""
    return text_id(event.uid, _state(event), *parts)


def text_id(*parts: str) -> str:
    """32 hexadecimal digits for some texts."""
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _state(event: Event) -> str:
    """Which state is told of. The same content may come back later, and is an event of its own then."""
    if not isinstance(event, Change):
        return event.content_hash
    if event.verb is Verb.DELETE:
        return "deleted"
    meta = cast(dict[str, Any], (event.object or {}).get("metadata") or {})
    return f"{event.content_hash}/{meta.get('resourceVersion', '')}"
