"""Problems: what is wrong with the configuration of an endpoint, in words that name endpoint and key.

Promises: a message never shows a value that may be secret.
"""

from __future__ import annotations

from trivyop.errors import TerminalError


class EndpointError(TerminalError):
    """One endpoint cannot be used as it is configured; ``key`` is the culprit: "filter.severity"."""

    def __init__(self, endpoint: str, key: str, reason: str) -> None:
        super().__init__(
            f"endpoint {endpoint!r}: {key}: {reason}" if key else f"endpoint {endpoint!r}: {reason}"
        )
        self.endpoint = endpoint
        self.key = key
        self.reason = reason
