"""A refresh finds what a scan finds, or is one: real Trivy, images of many distributions and languages.

Each test scans an image with the pod's script, reads the result as the operator does, keeps the bill of
materials as a ClusterSbomReport does, and matches that.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.report.crds import check_accepted
from tests.unit.scan.ecosystems import (
    DISTRIBUTIONS,
    IMAGES,
    registry_content,
)
from trivyop.controllers.images.results import ScanResult, parse_result
from trivyop.report.findings import Findings, Sbom
from trivyop.report.options import ReportOptions
from trivyop.report.sbom import build_cluster_sbom_report
from trivyop.sandbox.registry.server import Registry
from trivyop.scan.containers import Containers
from trivyop.scan.database import DatabaseStore
from trivyop.scan.framing import FrameReader
from trivyop.scan.job import scan_id
from trivyop.scan.matchable import NotMatchable, filters_of
from trivyop.scan.matching import with_facts
from trivyop.scan.podconfig import PodConfig, ScanVariant
from trivyop.scan.rematch import rematch
from trivyop.scan.request import ScanRequest
from trivyop.scan.trivy_json import ExpectedImage
from trivyop.settings import Settings, load_settings
from trivyop.trivy.givenfiles import given_files
from trivyop.workload.images import ContainerImage, ContainerKind, ImageKey, ImageName

TRIVY = shutil.which("trivy", path=str(Path(sys.executable).parent)) or shutil.which("trivy")
pytestmark = pytest.mark.skipif(TRIVY is None, reason="Trivy is not installed")


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry(registry_content()) as registry:
        yield registry


@dataclass(frozen=True, slots=True)
class Bench:
    """Settings, and a registry to scan images of."""

    registry: Registry
    directory: Path
    settings: Settings

    @classmethod
    def create(cls, registry: Registry, directory: Path, **trivy: str) -> Bench:
        environ = {
            "OPERATOR_NAMESPACE": "trivy-system",
            "OPERATOR_TRIVY_CACHE_DIR": str(directory / "operator"),
            "OPERATOR_TRIVY_PROGRAM": str(TRIVY),
        }
        config = {
            "trivy.dbRepository": f"{registry.address}/trivy-db",
            "trivy.javaDbRepository": f"{registry.address}/trivy-java-db",
            "trivy.imageScanCacheDir": str(directory / "cache"),
        }
        return cls(registry, directory, load_settings(environ, trivy_configmap=config | trivy))

    async def scan(self, name: str) -> ScanResult:
        """Run the containers of a scan pod, and read what they send as the operator does."""
        digest = self.registry.digest(f"{name}:1")
        image = ImageName.parse(f"{self.registry.address}/{name}:1")
        request = ScanRequest(
            scan_name="scan", scan_uid="uid", attempt=1, image=image, digest=digest, platform="linux/amd64"
        )
        config = PodConfig(self.settings, secret_name="secret")
        containers = Containers(request, self.settings, config)
        scanning = containers.scan()
        shutil.rmtree(self.directory / "cache", ignore_errors=True)
        for container in containers.init():
            await self._run(container, config)
        log = await self._run(scanning, config)
        sinks: dict[str, Any] = {}
        reader = FrameReader(
            scan_id("scan", 1, "uid"),
            lambda part: sinks.setdefault(part, io.BytesIO()),
            max_bytes=50_000_000,
        )
        reader.feed(log)
        assert reader.finish().exit_code == 0, reader.log_tail
        return parse_result(
            ExpectedImage(f"{self.registry.address}/{name}@{digest}", digest, "linux/amd64"),
            sinks,
            filters_of(self.settings, ScanVariant()),
            needs_bom=True,
            budget_bytes=self.settings.reports.size_budget_bytes,
        )

    async def _run(self, container: dict[str, Any], config: PodConfig) -> bytes:
        files = self.directory / "etc"
        files.mkdir(exist_ok=True)
        for file in given_files(self.settings.trivy, ""):
            (files / file.name).write_text(file.content)

        def here(text: str) -> str:
            return text.replace("/etc/trivy/", f"{files}/").replace("/tmp/scan", str(self.directory / "scan"))

        environment = {"PATH": f"{Path(str(TRIVY)).parent}:{os.environ['PATH']}", "HOME": "/nonexistent"}
        for variable in container["env"]:
            if "value" in variable:
                environment[variable["name"]] = here(variable["value"])
            else:
                key = variable["valueFrom"]["secretKeyRef"]["key"]
                environment[variable["name"]] = config.secret_data[key]
        process = await asyncio.create_subprocess_exec(
            *map(here, [*container["command"], *container["args"]]),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert output or process.returncode == 0, errors
        return output

    async def match(self, result: ScanResult) -> Findings:
        """Match the bill of materials as it is kept."""
        store = DatabaseStore(self.settings)
        if not self.settings.trivy.server_url:
            store.open()
            await store.refresh()
        return await rematch(kept(result), self.settings, store)


def kept(result: ScanResult) -> Sbom:
    """The bill of materials after it was in the API server."""
    assert result.sbom is not None
    key = ImageKey("sha256:" + "0" * 64, "linux/amd64")
    container = ContainerImage("app", ContainerKind.REGULAR, "registry.example.org/app:1")
    report = build_cluster_sbom_report(
        key,
        container,
        with_facts(result.sbom, result.facts),
        ReportOptions(),
        scanner_version=result.findings.scanner_version,
        left_out=result.bom_left_out,
        matchable=result.problem is None,
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    check_accepted(report)
    return json.loads(json.dumps(report))["report"]["components"]


def told(findings: Findings) -> dict[str, Any]:
    """All that findings say, whatever their order; secrets are for scans only."""
    plain = msgspec.to_builtins(msgspec.structs.replace(findings, vulnerabilities=(), secrets=()))
    return plain | {"vulnerabilities": sorted(map(repr, findings.vulnerabilities))}


_NEVER = {
    "ubuntu-esm": NotMatchable.EXTENDED_SUPPORT,
    "rapidfort": NotMatchable.REBUILT_PACKAGES,
    "alpine-edge": NotMatchable.PACKAGE_REPOSITORIES,
    "alpine-mixed": NotMatchable.PACKAGE_REPOSITORIES,
    "alpine-newer": NotMatchable.PACKAGE_REPOSITORIES,
}


@pytest.mark.parametrize("name", [f"os/{name}" for name in DISTRIBUTIONS])
async def test_refresh_of_a_distribution_is_a_scan(name: str, registry: Registry, tmp_path: Path) -> None:
    bench = Bench.create(registry, tmp_path)

    result = await bench.scan(name)

    reason = _NEVER.get(name.removeprefix("os/"))
    if reason is not None:
        assert result.problem is not None
        assert result.problem.reason is reason, result.problem
    else:
        assert result.problem is None
        assert told(await bench.match(result)) == told(result.findings)
        assert result.findings.vulnerabilities or name == "os/none"


@pytest.mark.parametrize("name", [name for name in IMAGES if name.startswith("lang/")])
async def test_refresh_of_a_language_is_a_scan(name: str, registry: Registry, tmp_path: Path) -> None:
    bench = Bench.create(registry, tmp_path)

    result = await bench.scan(name)

    assert result.problem is None
    assert {one.class_name for one in result.findings.vulnerabilities} == {"os-pkgs", "lang-pkgs"}
    assert told(await bench.match(result)) == told(result.findings)
