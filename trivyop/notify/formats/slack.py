"""Slack: a digest as one message to an incoming webhook, in blocks, with a text for notifications.

Text from outside cannot mean anything to Slack: ``&``, ``<`` and ``>`` are escaped (so there are no links and
no mentions), characters that style text are replaced by others that look alike, or stand inside a code span,
and Slack is asked not to look for names and links by itself.

Promises: at most 50 blocks, 150 characters in the heading, 3,000 in any other text, as Slack demands.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Event
from trivyop.notify.findings import FindingsDiff
from trivyop.notify.formats.digest import Note
from trivyop.notify.formats.message import Message
from trivyop.notify.formats.wording import Line, Run, Section, Style, word

HEADING_LENGTH = 150
TEXT_LENGTH = 3_000
_LINES = 10

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LOOKALIKES = str.maketrans({"*": "∗", "~": "∼", "`": "'"})  # noqa: RUF001  (they look alike)
_PART_OF_ENTITY = re.compile(r"&[a-z]*$")
_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # not inside a word, where Slack shows it as it is
_EMOJI = re.compile(r":(?=[\w+'-]+:)")


class SlackFormat:
    """Fits incoming webhooks of Slack, and receivers that understand those."""

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
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": _plain(text.heading, HEADING_LENGTH)},
            {"type": "context", "elements": [_plain(text.summary, TEXT_LENGTH)]},
            *({"type": "section", "text": _markdown(section)} for section in text.sections),
        ]
        body = {
            "text": _cut(escape(f"{text.heading} ({text.summary})"), TEXT_LENGTH),
            "blocks": blocks,
            "unfurl_links": False,
            "unfurl_media": False,
        }
        return (Message(orjson.dumps(body), "application/json", text.id),)


def escape(text: str) -> str:
    """Text that Slack shows as it is, or nearly so."""
    plain = _UNDERSCORE.sub("ˍ", text.translate(_LOOKALIKES))
    return _EMOJI.sub("꞉", plain).translate(_ENTITIES)  # noqa: RUF001


def _markdown(section: Section) -> dict[str, Any]:
    """A section, with as many lines as there is room for."""
    texts = map(_lines, (section.first(count) for count in range(len(section.lines), -1, -1)))
    text = next(text for text in texts if len(text) <= TEXT_LENGTH)
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _lines(section: Section) -> str:
    lines = [f"*{escape(section.title)}*", *(f"• {_line(line)}" for line in section.lines)]
    return "\n".join([*lines, f"and {section.more:,} more"] if section.more else lines)


def _line(line: Line) -> str:
    return "".join(map(_run, line))


def _run(run: Run) -> str:
    match run.style:
        case Style.CODE:
            return f"`{run.text.replace('`', chr(39)).translate(_ENTITIES)}`"
        case Style.BOLD:
            return f"*{escape(run.text)}*"
        case Style.PLAIN:
            return escape(run.text)


def _plain(text: str, length: int) -> dict[str, Any]:
    """Text without any markup; ``emoji: false`` leaves ``:names:`` alone."""
    return {"type": "plain_text", "text": _cut(text.translate(_ENTITIES), length), "emoji": False}


def _cut(escaped: str, length: int) -> str:
    """The beginning of a text, not in the middle of an entity."""
    return escaped if len(escaped) <= length else _PART_OF_ENTITY.sub("", escaped[:length])
