"""`trivyop`, with the longest step of its event loop written down at the end, from when the operator runs.

What counts is the time that the step computed, so other programs on the machine make no difference.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from trivyop.app import Operator
from trivyop.cli.main import main

_run_step = asyncio.Handle._run
_run_operator = Operator.run
_longest = 0.0


def _measured_step(handle: asyncio.Handle) -> None:
    global _longest
    began = time.thread_time()
    _run_step(handle)
    _longest = max(_longest, time.thread_time() - began)


async def _measured_operator(operator: Operator, stop: asyncio.Event) -> None:
    await asyncio.sleep(0)  # ends the step that has imported and read settings
    asyncio.Handle._run = _measured_step  # pyright: ignore[reportAttributeAccessIssue]
    await _run_operator(operator, stop)


if __name__ == "__main__":
    Operator.run = _measured_operator
    code = main(sys.argv[1:])
    print(json.dumps({"event": "longest_step", "seconds": _longest}), flush=True)
    sys.exit(code)
