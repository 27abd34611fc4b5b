"""Trimming: leaving managed fields out of JSON, before it is decoded.

They are about half of what an API server sends of a pod, nobody here reads them, and a decoder that skips
them has to look at each of their thousands of braces. Finding their end is several times cheaper.

It is sound because a quote with a letter behind it can only be the start of a string: at its end,
punctuation would follow. So ``,"managedFields":[{`` starts managed fields. They contain no other array, so
the next ``}]`` ends them, if what follows shows that it is not part of a string: the start of the next key or
object, or the end of it all.

Promises: what is left is the same JSON without managed fields, or with some of them, or all. It never loses
anything else of an object, nor an object.
Not here: who may be given objects without managed fields (``kube.pages``, ``kube.watch``).
"""

from __future__ import annotations

import re

_START = b',"managedFields":[{'
_BRACE = ord("}")
_is_no_string = re.compile(rb'\][]}]*(?:,\{?"[a-zA-Z]|\s*\Z)').match


def trim_one(text: bytes) -> bytes:
    """``text``, which is about one object, without its managed fields."""
    start = text.find(_START)
    if start < 0:
        return text
    end = _end(text, start + len(_START))
    return text if end < 0 else text[:start] + text[end:]


def trim_all(text: bytes) -> bytes:
    """``text`` without the managed fields of all the objects in it."""
    start = text.find(_START)
    if start < 0:
        return text
    view = memoryview(text)
    kept: list[memoryview] = []
    done = 0
    while start >= 0:
        end = _end(text, start + len(_START))
        if end >= 0:
            kept.append(view[done:start])
            done = end
        start = text.find(_START, max(end, start + 1))
    kept.append(view[done:])
    return b"".join(kept)


def _end(text: bytes, at: int) -> int:
    """Where the array ends that is open at ``at``, or -1 if that is not certain."""
    close = text.find(b"]", at)
    while close >= 0 and text[close - 1] != _BRACE:  # it stands in a string, as in f:["a"]
        close = text.find(b"]", close + 1)
    return close + 1 if close >= 0 and _is_no_string(text, close) else -1
