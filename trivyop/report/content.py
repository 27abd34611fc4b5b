"""Content: whether a report says anything new, as a hash that travels with it.

A report that differs only in when it was made is not worth a write, an event and a webhook call. The hash
covers all that we write except the times, and except what a bill of materials makes up anew each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from trivyop.report import keys
from trivyop.report.budget import fit

_HASH_BYTES = 16
_ANNOTATION_ROOM = len(keys.CONTENT_HASH) + 2 * _HASH_BYTES + 6  # quotes, colon and comma
_NOT_CONTENT = frozenset({keys.CONTENT_HASH, keys.SCANNED_AT})


def content_hash(report: Mapping[str, Any]) -> str:
    """Hash what a report says."""
    meta = report["metadata"]
    annotations = meta.get("annotations", {})
    body = {field: value for field, value in report["report"].items() if field != "updateTimestamp"}
    if "components" in body:
        body["components"] = _without_chance(body["components"])
    content = {
        "annotations": {key: value for key, value in annotations.items() if key not in _NOT_CONTENT},
        "labels": meta.get("labels", {}),
        "owners": meta.get("ownerReferences", []),
        "report": body,
    }
    data = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(data, digest_size=_HASH_BYTES).hexdigest()


def seal(report: dict[str, Any], budget_bytes: int) -> dict[str, Any]:
    """Finish a built report: fit it to the budget, then write its content hash into it."""
    sealed = fit(report, budget_bytes - _ANNOTATION_ROOM)
    sealed["metadata"]["annotations"][keys.CONTENT_HASH] = content_hash(sealed)
    return sealed


def _without_chance(bom: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {field: value for field, value in bom.get("metadata", {}).items() if field != "timestamp"}
    kept = {field: value for field, value in bom.items() if field != "serialNumber"}
    return {**kept, "metadata": metadata}
