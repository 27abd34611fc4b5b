"""What all tests share."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, settings

# Python 3.11 makes an event loop for whoever first asks for the current one. pytest-asyncio asks, and nobody
# closes what it gets; some later test then fails with its ResourceWarning. So: there is none to ask for.
asyncio.set_event_loop(None)

# How long an example takes says more about the machine than about the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
