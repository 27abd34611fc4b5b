"""`trivyop`, with the longest step of its event loop since the last SIGHUP written down at the end.

What counts is the time that the step computed, so other programs on the machine make no difference. How long
a thread keeps the interpreter to itself is not seen here, but by ``tests/bench``.
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


def measured(handle: asyncio.Handle) -> None:
    began = time.thread_time()
    run(handle)
    seconds = time.thread_time() - began
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
