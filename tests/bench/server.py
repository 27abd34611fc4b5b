"""A sandbox API server in a process of its own, so that what a benchmark measures is the client alone."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from trivyop.kube.config import ClusterConfig


@asynccontextmanager
async def separate_server() -> AsyncGenerator[ClusterConfig]:
    """Run the server for the block; yields the way to it."""
    async with server_kubeconfig() as path:
        yield await ClusterConfig.load(str(path))


@asynccontextmanager
async def server_kubeconfig() -> AsyncGenerator[Path]:
    """As `separate_server`, but yields the file that says the way, for other processes."""
    with tempfile.TemporaryDirectory(prefix="trivyop-bench-") as directory:
        kubeconfig = Path(directory, "kubeconfig")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trivyop.cli.main", "sandbox"),
            *("--components", "apiserver", "--kubeconfig", str(kubeconfig)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            while b"Ctrl-C" not in (line := await process.stdout.readline()):
                if not line:
                    raise RuntimeError("the sandbox did not start")
            yield kubeconfig
        finally:
            process.terminate()
            await process.wait()
