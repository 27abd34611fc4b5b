"""Reads: one object, or a list of them, now or at an earlier revision.

Promises: pages of one list show one revision, whatever is written in between, as long as history reaches.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson

from trivyop.sandbox.apiserver import encoding, status
from trivyop.sandbox.apiserver.fields import ALIASES
from trivyop.sandbox.apiserver.request import Reply, Request
from trivyop.sandbox.apiserver.selectors import Requirement, Selector, matches, parse_fields, parse_labels

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Served
    from trivyop.sandbox.apiserver.objects.refusals import Refused
    from trivyop.sandbox.apiserver.storage import Stored

_PATIENCE_SECONDS = 3.0  # how long a read waits for a revision that is yet to come
_TOO_OLD = "The resourceVersion for the provided list is too old."
_CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new"
    " list without the continue parameter, or use the continue token in this response to retrieve the"
    " remainder of the results. Continuing with the provided token results in an inconsistent list - objects"
    " that were created, modified, or deleted between the time the first chunk was returned and now may show"
    " up in the list."
)


async def get(request: Request, served: Served, current_rv: int) -> Reply:
    """GET of one object."""
    rv = parse_rv(request.query.get("resourceVersion", ""))
    if rv > current_rv:
        await _not_yet(rv, current_rv)
    stored = served.named(request.info.namespace, request.info.name)
    return Reply(200, encoding.one(served, stored, request.accepted.form))


class Selection:
    """Which objects of a resource a list or watch is about."""

    __slots__ = ("_fields", "_labels", "namespace")

    def __init__(self, namespace: str, labels: Selector, fields: Selector) -> None:
        self.namespace = namespace
        self._labels = labels
        self._fields = fields

    @classmethod
    def of(cls, request: Request, served: Served) -> Selection:
        """Read the selection off a request; raises the 400 of a malformed selector."""
        labels = parse_labels(request.query.get("labelSelector", ""))
        fields = parse_fields(
            request.query.get("fieldSelector", ""), served.field_names, custom=served.kind.custom
        )
        if aliases := ALIASES.get((served.kind.group, served.kind.plural)):
            fields = tuple(Requirement(aliases.get(f.key, f.key), f.operator, f.values) for f in fields)
        namespace = request.info.namespace if served.kind.namespaced else ""
        name = request.info.name
        if name:
            fields = (*fields, Requirement("metadata.name", "=", (name,)))
        return cls(namespace, labels, fields)

    @property
    def selective(self) -> bool:
        """Whether anything but the namespace is asked for."""
        return bool(self._labels or self._fields)

    def __contains__(self, stored: Stored) -> bool:
        return (
            (not self.namespace or stored.namespace == self.namespace)
            and (not self._labels or matches(self._labels, stored.labels))
            and (not self._fields or matches(self._fields, stored.fields))
        )


async def list_(request: Request, served: Served, current_rv: int) -> Reply:
    """GET of a collection."""
    selection = Selection.of(request, served)
    query = request.query
    check_list_options(query)
    limit = parse_limit(query.get("limit", ""))
    namespace, bucket = selection.namespace, served.bucket

    after, rv = "", current_rv
    if token := query.get("continue", ""):
        if query.get("resourceVersion", "") not in ("", "0"):
            raise status.bad_request("specifying resource version is not allowed when using continue")
        rv, after = _read_continue(token)
        if rv < 0:
            rv = current_rv
        elif rv < bucket.floor:
            raise status.expired(_CONTINUE_TOO_OLD, continue_token=_write_continue(-1, after))
        found = bucket.list_at(rv, namespace, after)
    else:
        wanted = parse_rv(query.get("resourceVersion", ""))
        if wanted > current_rv:
            await _not_yet(wanted, current_rv)
        if query.get("resourceVersionMatch") == "Exact" or (
            wanted and limit and "resourceVersionMatch" not in query
        ):
            if wanted < bucket.floor:
                raise status.expired(_TOO_OLD)
            rv, found = wanted, bucket.list_at(wanted, namespace)
        else:
            if query.get("resourceVersion") == "0":
                limit = 0  # as from a cache, which has it all at hand
            found = bucket.list(namespace)

    if selection.selective:
        found = [stored for stored in found if stored in selection]
    metadata = encoding.list_metadata(served, rv, request.accepted.form)
    if limit and len(found) > limit:
        metadata["continue"] = _write_continue(rv, found[limit - 1].key)
        if not selection.selective:
            metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
    return Reply(200, encoding.many(served, found, metadata, request.accepted.form))


def parse_rv(text: str) -> int:
    """Read a resourceVersion parameter, 0 if it is empty; raises the 400 of another thing than a number."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise status.bad_request(f"invalid resource version: {rv_error(text)}")
    return int(text)


def rv_error(text: str) -> str:
    """Return what is wrong with a resourceVersion that is no number."""
    return f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'


def parse_limit(text: str) -> int:
    """Read the limit, 0 for none."""
    if not text:
        return 0
    try:
        return max(0, int(text))
    except ValueError:
        raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def check_list_options(query: Mapping[str, str], *, watch: bool = False) -> None:
    """Raise the 422 of parameters that do not go together."""
    rv, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    initial = "sendInitialEvents" in query
    rules = "sendInitialEvents" if initial and not watch else "resourceVersionMatch"
    found: list[str] = []
    if watch and initial:
        if match != "NotOlderThan":
            found.append(
                _FORBIDDEN + "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            )
        if match not in ("", "NotOlderThan"):
            found.append(f'Unsupported value: "{match}": supported values: "NotOlderThan"')
    elif watch and match:
        found.append(
            _FORBIDDEN + "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        )
    elif initial:
        found.append(_FORBIDDEN + "sendInitialEvents is forbidden for list")
    elif match and not rv:
        found.append(_FORBIDDEN + "resourceVersionMatch is forbidden unless resourceVersion is provided")
    elif match not in ("", "Exact", "NotOlderThan"):
        found.append(f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""')
    elif match == "Exact" and rv == "0":
        found.append(_FORBIDDEN + 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if found:
        reasons = (
            "FieldValueForbidden" if why.startswith(_FORBIDDEN) else "FieldValueNotSupported" for why in found
        )
        errors = [status.FieldError(reason, rules, why) for reason, why in zip(reasons, found, strict=True)]
        raise status.invalid("ListOptions", "meta.k8s.io", "", errors)


_FORBIDDEN = "Forbidden: "


async def wait_for_initial_events(request: Request, current_rv: int) -> None:
    """Raise the 504 of a watch whose initial state is not to be older than a revision yet to come."""
    if request.query.get("sendInitialEvents") == "true":
        rv = parse_rv(request.query.get("resourceVersion", ""))
        if rv > current_rv:
            await _not_yet(rv, current_rv)


async def _not_yet(rv: int, current_rv: int) -> None:
    await asyncio.sleep(_PATIENCE_SECONDS)
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    raise status.RefusedWithHeaders(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {rv}, current: {current_rv}",
        {"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )


def _write_continue(rv: int, after: str) -> str:
    token = orjson.dumps({"v": "meta.k8s.io/v1", "rv": rv, "start": after + "\0"})
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def _read_continue(token: str) -> tuple[int, str]:
    """Return revision (negative: whatever is now) and the key after which to go on."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        raise _bad_continue("illegal base64 data") from None
    try:
        content = orjson.loads(raw)
        rv, start = int(content["rv"]), str(content["start"])
    except (ValueError, KeyError, TypeError):
        first = raw[:1]
        shown = chr(first[0]) if first.isascii() else f"\\x{first.hex()}"
        raise _bad_continue(f"invalid character '{shown}' looking for beginning of value") from None
    if not start:
        raise _bad_continue("encoded start key empty (version meta.k8s.io/v1)")
    return rv, start.removesuffix("\0")


def _bad_continue(why: str) -> Refused:
    return status.bad_request(f"invalid continue token: continue key is not valid: {why}")
