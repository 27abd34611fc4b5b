"""What all tests share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.repeats import Repeats
from trivyop.audit import trivyengine

# Python 3.11 makes an event loop for whoever first asks for the current one. pytest-asyncio asks, and nobody
# closes what it gets; some later test then fails with its ResourceWarning. So: there is none to ask for.
asyncio.set_event_loop(None)

# How long an example takes says more about the machine than about the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

_HERE = Path(__file__).parent
# What takes more than half a minute of a core, longest first: begun last, it would keep one core busy alone.
_LONG = (
    "unit/audit/test_custom_policies.py",
    "parity/test_audits.py",
    "e2e/test_audits.py",
    "e2e/test_nodes.py",
    "e2e/test_demo.py",
    "faults/test_leaders.py",
    "faults/test_starts.py",
    "unit/audit/test_policy_packages.py",
    "unit/audit/test_bundle.py",
    "e2e/test_scale.py",
    "e2e/test_audit_policies.py",
    "e2e/test_deploy.py",
    "e2e/test_modes.py",
    "faults/test_shutdown.py",
    "e2e/test_audit_failures.py",
    "e2e/test_refresh.py",
    "e2e/test_failures.py",
    "e2e/test_permissions.py",
    "e2e/test_regressions.py",
)
_RANK = {file: number for number, file in enumerate(_LONG)}
_PLACES = ("e2e", "faults", "parity", "alerts")  # the others are short


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the order within a file stays."""

    def rank(item: pytest.Item) -> tuple[int, int]:
        file = item.path.relative_to(_HERE)
        return _RANK.get(file.as_posix(), len(_RANK)), file.parts[0] not in _PLACES

    items.sort(key=rank)


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores, because tests wait for other processes, or for time."""
    return max(1, len(os.sched_getaffinity(0)) * 3 // 2)


@pytest.fixture(scope="session", autouse=True)
def _repeats() -> Generator[None]:
    """See ``tests.repeats``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trivyengine, "run_program", Repeats(trivyengine.run_program))
        yield
