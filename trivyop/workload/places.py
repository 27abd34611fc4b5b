"""Places: what a report is called by, within its workload.

Mostly that is the container's name. Two things need a place of their own: the image of a volume, and an image
that a container runs in some pods while it runs another one in others (a rollout that is under way, stuck or
partitioned; a tag that moved). Their places hold a dot, which no name of a container does:

* ``volume.<name of the volume>``;
* ``<container>.<8 hex digits>`` for each further image, after the image's name and digest.

Promises: a place is a valid label value, and so are all made here; different things have different places.
"""

from __future__ import annotations

import hashlib
from typing import Final

_VOLUME: Final = "volume"
_MAX: Final = 63  # of a label value
_DIGITS: Final = 8


def place_of_volume(volume: str) -> str:
    """The place of a volume's image."""
    place = f"{_VOLUME}.{volume}"
    return place if len(place) <= _MAX else f"{_VOLUME}.{_shortened(volume, volume, len(_VOLUME) + 1)}"


def place_of_another(place: str, image: str, digest: str | None) -> str:
    """The place of one more image of what has `place` already."""
    return _shortened(place, "\0".join((place, image, digest or "")))


def _shortened(text: str, hashed: str, taken: int = 0) -> str:
    """As much of `text` as there is room for beside a hash of `hashed`."""
    digits = hashlib.sha256(hashed.encode()).hexdigest()[:_DIGITS]
    room = _MAX - _DIGITS - 1 - taken
    return f"{text[:room].rstrip('-.')}.{digits}"
