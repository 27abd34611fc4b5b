"""Microsoft Teams: a digest as one Adaptive Card, as the Workflows app takes it from a webhook.

All text is in runs of text (``TextRun``), which know no markdown and no mentions; what Adaptive Cards look
for in any text, ``{{DATE(...)}}`` and ``${...}``, is pulled apart.

Promises: at most ``MAX_BYTES`` bytes. Teams refuses messages of more than about 28 KB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Event
from trivyop.notify.findings import FindingsDiff
from trivyop.notify.formats.digest import Note
from trivyop.notify.formats.message import Message
from trivyop.notify.formats.wording import Line, Run, Section, Style, Text, word

MAX_BYTES: Final = 26_000
_LINES = 10
_WORKED_OUT = re.compile(r"(?<=[{$])(?={)")  # between the two characters

_SCHEMA: Final = "http://adaptivecards.io/schemas/adaptive-card.json"
_STYLES: Final[dict[Style, dict[str, str]]] = {
    Style.PLAIN: {},
    Style.BOLD: {"weight": "Bolder"},
    Style.CODE: {"fontType": "Monospace"},
}


class TeamsFormat:
    """Fits the workflow "post to a channel when a webhook request is received"."""

    needs_diff = True

    def note(self, event: Event, diff: FindingsDiff | None, endpoint: Endpoint) -> Note | None:
        return Note.of(event, diff, endpoint)

    def digest(
        self,
        notes: Sequence[Note],
        endpoint: Endpoint,
        now: datetime,  # noqa: ARG002  (of the protocol)
    ) -> Sequence[Message]:
        text = word(notes, endpoint, lines=_LINES)
        if text is None:
            return ()
        body = b""
        for lines in range(_LINES, -1, -1):
            body = orjson.dumps(_message(text.first(lines)))
            if len(body) <= MAX_BYTES:
                break
        return (Message(body, "application/json", text.id),)


def _message(text: Text) -> dict[str, Any]:
    card = {
        "$schema": _SCHEMA,
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            _block((Run(text.heading, Style.BOLD),), size="Large"),
            _block((Run(text.summary),), spacing="Small"),
            *(block for section in text.sections for block in _section(section)),
        ],
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _section(section: Section) -> Iterator[dict[str, Any]]:
    yield _block((Run(section.title, Style.BOLD),), spacing="Medium")
    for line in section.lines:
        yield _block(line, spacing="Small")
    if section.more:
        yield _block((Run(f"and {section.more:,} more"),), spacing="Small")


def _block(line: Line, *, size: str = "Default", spacing: str = "Default") -> dict[str, Any]:
    runs = [{"type": "TextRun", "text": apart(run.text), "size": size, **_STYLES[run.style]} for run in line]
    return {"type": "RichTextBlock", "spacing": spacing, "inlines": runs}


def apart(text: str) -> str:
    """Text in which nothing is left that a card would work out."""
    return _WORKED_OUT.sub(" ", text)
