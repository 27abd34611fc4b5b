"""A refresh finds what a scan finds, or is one: real Trivy, images of many distributions and languages.

Each test scans an image with the pod's script, reads the result as the operator does, keeps the bill of
materials as a ClusterSbomReport does, and matches that.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import shutil
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.report.crds import check_accepted
from tests.unit.scan.ecosystems import (
    DISTRIBUTIONS,
    IMAGES,
    LANGUAGES,
    VULNERABILITIES,
    database,
    registry_content,
)
from trivyop.controllers.images.results import ScanResult, parse_result
from trivyop.report.findings import Findings, Sbom
from trivyop.report.options import ReportOptions
from trivyop.report.sbom import build_cluster_sbom_report
from trivyop.sandbox.registry.facts.model import DEBIAN_12, Affected, Vulnerability
from trivyop.sandbox.registry.oci import Image
from trivyop.sandbox.registry.server import Registry
from trivyop.sandbox.registry.vulndb import LIFETIME, UPDATED_AT
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
        files.mkdir(parents=True, exist_ok=True)
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


_POLICY_ON_JARS = """package trivy

ignore { input.PkgID == "" }
ignore { input.PkgName == "JSONStream" }
"""
_POLICY_THAT_KEEPS_JARS = """package trivy

ignore { input.PkgID != "" }
"""
_PATHS = """vulnerabilities:
- id: {os}
  paths: ["**/lang/all@sha256:* (alpine 3.20.1)"]
- id: {jar}
  paths: ["app/other/*.jar"]
"""


def _id(package: str) -> str:
    return next(one.id for one in VULNERABILITIES if one.affected[0].package == package)


_MATCHED = {
    "no vulnerability of low severity": {"trivy.severity": "CRITICAL,HIGH"},
    "severities of the configuration file": {"trivy.configFile": "severity: [HIGH]\n"},
    "severities over the configuration file": {
        "trivy.configFile": "severity: [HIGH]\n",
        "trivy.severity": "LOW",
    },
    "packages of languages only": {"trivy.vulnType": "library"},
    "packages of the system only": {"trivy.vulnType": "os"},
    "ids": {"trivy.ignoreFile": f"{_id('rack')}\n"},
    "paths": {
        "trivy.ignoreFile": _PATHS.format(
            os=next(one.id for one in VULNERABILITIES if one.affected[0].source.bucket == "alpine 3.20"),
            jar=_id("org.apache.logging.log4j:log4j-core"),
        )
    },
}


@pytest.mark.parametrize("settings", _MATCHED.values(), ids=_MATCHED)
async def test_what_chooses_findings_does_so_in_a_refresh(
    settings: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    """What hides something in a scan hides the same in a match."""
    everything = await Bench.create(registry, tmp_path / "plain").scan("lang/all")
    bench = Bench.create(registry, tmp_path / "chosen", **settings)

    result = await bench.scan("lang/all")

    assert result.problem is None
    assert 0 < len(result.findings.vulnerabilities) < len(everything.findings.vulnerabilities)
    assert told(await bench.match(result)) == told(result.findings)


@pytest.mark.parametrize("policy", [_POLICY_ON_JARS, _POLICY_THAT_KEEPS_JARS])
async def test_policy_sees_in_a_match_what_it_sees_in_a_scan(
    policy: str, registry: Registry, tmp_path: Path
) -> None:
    """The scan pod's own match has ids that the scan has not, so it proves nothing; a match here would do."""
    bench = Bench.create(registry, tmp_path, **{"trivy.ignorePolicy": policy})

    result = await bench.scan("lang/all")

    assert result.problem is not None
    assert result.problem.reason is NotMatchable.DIFFERS
    assert result.findings.vulnerabilities
    proved = replace(result, problem=None)
    assert told(await bench.match(proved)) == told(result.findings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"trivy.configFile": "pkg:\n  relationships: [unknown]\n"}, NotMatchable.CONFIG_FILE),
        ({"trivy.configFile": "pkg.relationships: [unknown]\n"}, NotMatchable.CONFIG_FILE),
        (
            {"trivy.ignorePolicy": 'package trivy\nignore { input.PkgIdentifier.PURL == "x" }\n'},
            NotMatchable.IGNORE_POLICY,
        ),
        (
            {"trivy.ignorePolicy": 'package trivy\nignore { input.PkgIdentifier.UID == "x" }\n'},
            NotMatchable.IGNORE_POLICY,
        ),
        (
            {"trivy.ignoreFile": "vulnerabilities:\n- {id: CVE-1, purls: ['pkg:composer/a/b']}\n"},
            NotMatchable.IGNORE_FILE,
        ),
    ],
)
async def test_settings_that_look_at_more_than_packages_take_a_scan(
    settings: dict[str, str], reason: NotMatchable, registry: Registry, tmp_path: Path
) -> None:
    result = await Bench.create(registry, tmp_path, **settings).scan("lang/all")

    assert result.problem is not None
    assert result.problem.reason is reason


async def test_statement_about_an_image_takes_a_scan(registry: Registry, tmp_path: Path) -> None:
    """VEX names the image as the product, and a bill of materials is none to Trivy."""
    product = f"pkg:oci/debian?repository_url={registry.address}/os/debian"
    statement = {
        "vulnerability": {"name": _id("openssl")},
        "products": [{"@id": product, "subcomponents": [{"@id": "pkg:deb/debian/libssl3"}]}],
        "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    }
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": "https://example.org/vex",
        "author": "us",
        "timestamp": "2026-01-01T00:00:00Z",
        "version": 1,
        "statements": [statement],
    }
    (tmp_path / "vex.json").write_text(json.dumps(document))
    config = f"vulnerability:\n  vex: [{tmp_path / 'vex.json'}]\n"
    bench = Bench.create(registry, tmp_path, **{"trivy.configFile": config})

    result = await bench.scan("os/debian")

    assert result.findings.vulnerabilities == (), "the statement hides it"
    assert result.problem is not None
    assert result.problem.reason is NotMatchable.CONFIG_FILE
    assert (await bench.match(replace(result, problem=None))).vulnerabilities, "and not in a match"


async def test_newer_database_is_all_that_changes_a_refresh(registry: Registry, tmp_path: Path) -> None:
    """Also for what matching leaves out: it is not let in by news about it."""
    bench = Bench.create(registry, tmp_path)
    kept_out = await bench.scan("os/debian-third-party")
    let_in = await bench.scan("os/debian")
    news = tuple(
        Vulnerability(f"CVE-2031-{number}", package, "new", (Affected(DEBIAN_12, package, fixed="9.0-1"),))
        for number, package in enumerate(("nginx", "openssl"))
    )
    later = UPDATED_AT + LIFETIME
    registry.move_tag("trivy-db", "2", database(updated_at=later, news=news))

    after = [await bench.match(one) for one in (kept_out, let_in)]
    scanned = [await bench.scan(name) for name in ("os/debian-third-party", "os/debian")]

    assert [told(one) for one in after] == [told(one.findings) for one in scanned]
    assert all("CVE-2031-1" in {found.id for found in one.vulnerabilities} for one in after)


@asynccontextmanager
async def trivy_server(directory: Path, registry: Registry) -> AsyncGenerator[str]:
    """A Trivy server on loopback; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        *(str(TRIVY), "server", "--listen", address, "--cache-dir", str(directory)),
        *("--db-repository", f"{registry.address}/trivy-db"),
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while b"Listening" not in (line := await process.stderr.readline()):
                assert line, "the server ended"
        yield f"http://{address}"
    finally:
        process.kill()
        await process.wait()


async def test_refresh_by_a_server_is_a_scan(registry: Registry, tmp_path: Path) -> None:
    """Which repositories an Alpine has, only the server's cache says."""
    reasons: dict[str, NotMatchable | None] = {}
    async with trivy_server(tmp_path / "server", registry) as url:
        bench = Bench.create(registry, tmp_path, **{"trivy.mode": "ClientServer", "trivy.serverURL": url})
        for name in IMAGES:
            result = await bench.scan(name)
            reasons[name] = result.problem.reason if result.problem else None
            if result.problem is None:
                assert told(await bench.match(result)) == told(result.findings), name

    unknown = {name for name, reason in reasons.items() if reason is NotMatchable.PACKAGE_REPOSITORIES}
    assert unknown == {name for name in IMAGES if name.startswith("os/alpine")} | {"lang/all"}
    assert {name for name, reason in reasons.items() if reason} == unknown | {"os/ubuntu-esm", "os/rapidfort"}


@pytest.mark.parametrize("seed", range(4))
async def test_refresh_of_a_mixture_is_a_scan(seed: int, tmp_path: Path) -> None:
    """Any languages above any distribution, in layers of any order."""
    rng = random.Random(seed)
    layers = rng.sample(list(LANGUAGES.values()), rng.randrange(1, len(LANGUAGES)))
    layers.append(rng.choice([files for name, files in DISTRIBUTIONS.items() if name not in _NEVER]))
    rng.shuffle(layers)
    moved = [
        {path.replace("app/", f"app{n}/"): data for path, data in files.items()}
        for n, files in enumerate(layers)
    ]
    content = registry_content() | {"mixed:1": Image.build(*moved)}
    async with Registry(content) as registry:
        bench = Bench.create(registry, tmp_path)
        result = await bench.scan("mixed")

        assert result.problem is None
        assert result.findings.vulnerabilities
        assert told(await bench.match(result)) == told(result.findings)
