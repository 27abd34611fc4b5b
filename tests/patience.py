"""How long tests wait: many times as long as it takes, for only what is broken takes so long."""

from __future__ import annotations

import asyncio
from typing import Final

_TIMES: Final = 5  # what takes a second on an idle machine may take that many on a busy one


def patience(seconds: float) -> asyncio.Timeout:
    """``asyncio.timeout`` for what comes within `seconds` on a machine with little else to do."""
    return asyncio.timeout(seconds * _TIMES)
