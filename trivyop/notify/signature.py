"""Signature: proof that a request is from us, as the Standard Webhooks specification has it.

``webhook-signature`` is the HMAC-SHA256 of "id.timestamp.body"; the receiver refuses what is older than a
few minutes by ``webhook-timestamp``, which is signed, and knows what it got twice by ``webhook-id``. Each try
has a timestamp of its own, and the id of the first.

Promises: pure. A text of several keys, one a line, signs with each of them, so that keys can be exchanged
without a request that somebody cannot verify.
Not here: where keys come from (``notify.secrets``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from datetime import datetime

_PREFIX = "whsec_"  # how the specification marks a key that is written in base64


def signing_keys(text: str) -> tuple[bytes, ...]:
    """The keys in a text: one a line, ``whsec_<base64>`` or the bytes as they are; else ``ValueError``."""
    keys = tuple(_key(line.strip()) for line in text.splitlines() if line.strip())
    if not keys:
        raise ValueError("has no key")
    return keys


def _key(line: str) -> bytes:
    if not line.startswith(_PREFIX):
        return line.encode()
    try:
        key = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {_PREFIX} is not base64") from None
    if not key:
        raise ValueError(f"nothing follows {_PREFIX}")
    return key


def signed_headers(keys: Sequence[bytes], message_id: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers that sign a request which leaves at ``at``."""
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
