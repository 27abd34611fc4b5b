"""What all tests share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.durations import Durations
from tests.repeats import Repeats
from trivyop.audit import trivyengine

# Python 3.11 makes an event loop for whoever first asks for the current one. pytest-asyncio asks, and nobody
# closes what it gets; some later test then fails with its ResourceWarning. So: there is none to ask for.
asyncio.set_event_loop(None)

# How long an example takes says more about the machine than about the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

_DURATIONS = Durations()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-durations",
        action="store_true",
        help="write how long each file took to tests/durations.json",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order within a file stays."""
    items.sort(key=lambda item: -_DURATIONS.expected(_file(item.nodeid)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _DURATIONS.add(_file(report.nodeid), report.duration)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--record-durations") and not hasattr(session.config, "workerinput"):
        _DURATIONS.write()


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores, because tests wait for other processes, or for time."""
    return max(1, len(os.sched_getaffinity(0)) * 3 // 2)


@pytest.fixture(scope="session", autouse=True)
def _repeats() -> Generator[None]:
    """See ``tests.repeats``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trivyengine, "run_program", Repeats(trivyengine.run_program))
        yield
