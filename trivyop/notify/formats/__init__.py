"""Formats: the words in which an endpoint receives an event.

Promises: pure; the same event gives the same messages with the same ids, so a receiver that gets one twice
can tell. ``FORMATS`` has all of them by the name that configurations use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trivyop.notify.formats.cloudevents import CloudEventsFormat
from trivyop.notify.formats.message import DigestFormat, Format, Message
from trivyop.notify.formats.slack import SlackFormat
from trivyop.notify.formats.teams import TeamsFormat
from trivyop.notify.formats.trivyoperator import TrivyOperatorFormat

__all__ = ["FORMATS", "DigestFormat", "Format", "Message"]

FORMATS: Final[Mapping[str, Format | DigestFormat]] = {
    "trivy-operator": TrivyOperatorFormat(),
    "cloudevents": CloudEventsFormat(),
    "cloudevents-binary": CloudEventsFormat(binary=True),
    "slack": SlackFormat(),
    "teams": TeamsFormat(),
}
