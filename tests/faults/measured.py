"""`trivyop`, with the longest step of its event loop since the last SIGHUP written down at the end.

What counts is the time that the step computed. Other programs make a core itself slower, so it is counted in
what the same small piece of work took right after the step, and told in what that takes at best. How long a
thread keeps the interpreter to itself is not seen here, but by ``tests/bench``.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time

from trivyop.cli.main import main

run = asyncio.Handle._run
longest: dict[str, object] = {"seconds": 0.0}
_WORTH_A_LOOK = 0.02  # seconds


def reference() -> float:
    """Seconds that a small piece of work takes now."""
    began = time.thread_time()
    sum(range(50_000))
    return time.thread_time() - began


at_best = min(reference() for _ in range(50))


def measured(handle: asyncio.Handle) -> None:
    global at_best
    began = time.thread_time()
    run(handle)
    seconds = time.thread_time() - began
    if seconds > _WORTH_A_LOOK:
        now = sorted(reference() for _ in range(5))
        at_best = min(at_best, now[0])
        seconds *= at_best / now[len(now) // 2]
    if seconds > float(str(longest["seconds"])):
        longest.update(seconds=seconds, step=repr(handle))


def start_over(_signal: int, _frame: object) -> None:
    longest.update(seconds=0.0)


if __name__ == "__main__":
    asyncio.Handle._run = measured  # pyright: ignore[reportAttributeAccessIssue]
    signal.signal(signal.SIGHUP, start_over)
    code = main(sys.argv[1:])
    print(json.dumps({"event": "longest_step", **longest}), flush=True)
    sys.exit(code)
