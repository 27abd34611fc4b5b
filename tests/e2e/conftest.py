"""What end-to-end tests need before the first of them begins."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.foreign import refuse_used_clusters


@pytest.fixture(scope="session", autouse=True)
def _cluster_to_test_against() -> None:
    """Nothing is written into a cluster in which the operator is installed."""
    asyncio.run(refuse_used_clusters())
