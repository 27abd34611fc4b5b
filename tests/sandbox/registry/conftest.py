"""A registry with the samples, and a Trivy to scan them with."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.sandbox.registry.scanning import Trivy
from trivyop.sandbox.registry.samples import sample_images
from trivyop.sandbox.registry.server import Registry


@pytest.fixture
async def registry() -> AsyncGenerator[Registry, None]:
    async with Registry(sample_images()) as registry:
        yield registry


@pytest.fixture
def trivy(registry: Registry, tmp_path: Path) -> Trivy:
    return Trivy(tmp_path, registry.address)
