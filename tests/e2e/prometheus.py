"""A real Prometheus, and promtool: Debian's package `prometheus`. Where it is missing, tests are skipped.

The server scrapes each second and keeps its data in a directory of the test; it takes rules as well.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.e2e.programs import Done, started
from tests.patience import patience
from trivyop.app import Operator

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")

needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None, reason="no program `prometheus` here; Debian has a package of that name"
)
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no program `promtool` here; Debian has it in the package `prometheus`"
)

Sample = tuple[dict[str, str], float]


async def promtool(*arguments: str | Path, text: str = "") -> Done:
    """Run promtool, with a text for its input."""
    assert PROMTOOL is not None
    process = await asyncio.create_subprocess_exec(
        PROMTOOL,
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with patience(60):
        out, err = await process.communicate(text.encode())
    return Done(process.returncode or 0, out.decode(), err.decode())


async def metrics_address(operator: Operator) -> str:
    """Where an operator that was just started serves its metrics, as a target."""
    for _ in range(1000):
        if url := operator.urls.get("metrics"):
            return url.removeprefix("http://")
        await asyncio.sleep(0.01)
    raise AssertionError("the operator does not listen")


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server that runs."""

    url: str
    session: aiohttp.ClientSession

    async def get(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        async with self.session.get(f"{self.url}/api/v1/{path}", params=parameters) as answer:
            document = await answer.json()
        assert document["status"] == "success", document
        return document["data"]

    async def query(self, expression: str) -> list[Sample]:
        """The value of an expression now."""
        found = await self.get("query", query=expression)
        return [(one["metric"], float(one["value"][1])) for one in found["result"]]

    async def until(
        self, expression: str, condition: Callable[[list[Sample]], bool] = bool, *, seconds: float = 60
    ) -> list[Sample]:
        """Wait until the value of an expression is as wanted; returns it."""
        found: list[Sample] = []
        for _ in range(int(seconds / 0.2)):
            found = await self.query(expression)
            if condition(found):
                return found
            await asyncio.sleep(0.2)
        raise AssertionError(f"{expression} is {found}; targets: {await self.get('targets')}")


@asynccontextmanager
async def running_prometheus(
    directory: Path, targets: Iterable[str], *, rule_files: Iterable[Path] = ()
) -> AsyncGenerator[Prometheus]:
    """Scrape ``HOST:PORT`` targets each second, and evaluate rules, for the block."""
    assert PROMETHEUS is not None
    configuration: Mapping[str, Any] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rule_files],
        "scrape_configs": [{"job_name": "trivyop", "static_configs": [{"targets": list(targets)}]}],
    }
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(dict(configuration)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    async with (
        started(
            PROMETHEUS,
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ) as process,
        aiohttp.ClientSession() as session,
    ):
        await _until_ready(session, f"http://{address}", process)
        yield Prometheus(f"http://{address}", session)


async def _until_ready(session: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process) -> None:
    for _ in range(300):
        assert process.returncode is None, (await process.communicate())[1].decode()
        try:
            async with session.get(f"{url}/-/ready") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass  # it does not listen yet
        await asyncio.sleep(0.1)
    raise AssertionError("Prometheus is not ready")
