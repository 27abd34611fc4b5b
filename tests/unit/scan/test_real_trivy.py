"""Scan pods' scripts and re-matching, with the real Trivy, a registry on loopback and a small database."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from trivyop.report.findings import Findings, Sbom
from trivyop.sandbox.registry.auth import Account, Auth, Scheme
from trivyop.sandbox.registry.samples import EXPECTED_FINDINGS, sample_images
from trivyop.sandbox.registry.server import Registry
from trivyop.sandbox.registry.vulndb import build_newer_database
from trivyop.scan.command import (
    build_convert_command,
    build_database_command,
    build_image_command,
    image_reference,
)
from trivyop.scan.credentials import docker_config
from trivyop.scan.cyclonedx import parse_bom
from trivyop.scan.database import DatabaseStore, NoDatabaseError
from trivyop.scan.dockerauths import Login
from trivyop.scan.framing import BOM_PART, FAILURE_PART, RESULT_PART, FrameReader, Transmission
from trivyop.scan.rematch import rematch
from trivyop.scan.script import build_scan_script
from trivyop.scan.trivy_json import ExpectedImage, parse_findings
from trivyop.settings import SecretText, Settings, TrivyMode, load_settings
from trivyop.trivy.failures import FailureClass, ScanError, WrongImageError, classify
from trivyop.workload.images import ImageName

TRIVY = shutil.which("trivy", path=str(Path(sys.executable).parent)) or shutil.which("trivy")
pytestmark = pytest.mark.skipif(TRIVY is None, reason="Trivy is not installed")
SCAN_ID = "sha256-0123.1.abc"


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry(sample_images()) as registry:
        yield registry


@pytest.fixture
def settings(registry: Registry, tmp_path: Path) -> Settings:
    return settings_for(registry, tmp_path)


def settings_for(registry: Registry, tmp_path: Path, **config: str) -> Settings:
    environ = {
        "OPERATOR_NAMESPACE": "trivy-system",
        "OPERATOR_TRIVY_CACHE_DIR": str(tmp_path / "operator"),
        "OPERATOR_TRIVY_PROGRAM": str(TRIVY),
    }
    trivy = {
        "trivy.dbRepository": f"{registry.address}/trivy-db",
        "trivy.javaDbRepository": f"{registry.address}/trivy-java-db",
        "trivy.imageScanCacheDir": str(tmp_path / "cache"),
    }
    return load_settings(environ, trivy_configmap=trivy | config)


async def run(argv: Sequence[str], **more: str) -> bytes:
    """Run a command of a scan pod, where ``trivy`` is found by its name."""
    environment = {"PATH": f"{Path(str(TRIVY)).parent}:{os.environ['PATH']}", "HOME": "/nonexistent", **more}
    process = await asyncio.create_subprocess_exec(
        *argv, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    return output


class Scan:
    """What came out of one run of a scan pod's script."""

    def __init__(self, log: bytes) -> None:
        self.sinks: dict[str, io.BytesIO] = {}
        reader = FrameReader(SCAN_ID, self._sink, max_bytes=50_000_000)
        reader.feed(log)
        self.transmission: Transmission = reader.finish()

    def _sink(self, part: str) -> io.BytesIO:
        return self.sinks.setdefault(part, io.BytesIO())

    def part(self, name: str) -> bytes:
        return self.sinks[name].getvalue()

    def bom(self) -> Sbom:
        return parse_bom(self.part(BOM_PART), scanner_version="0.76.0")


async def scan(
    settings: Settings, registry: Registry, reference: str, platform: str, directory: Path, **environment: str
) -> Scan:
    script = build_scan_script(
        SCAN_ID,
        directory=str(directory),
        scan=build_image_command(settings, reference, platform, directory=str(directory)),
        convert=build_convert_command(settings, directory=str(directory)),
    )
    if settings.trivy.mode is TrivyMode.STANDALONE:
        await run(build_database_command(settings.trivy))
    java = f"{registry.address}/trivy-java-db"
    log = await run(["sh", "-c", script], TRIVY_JAVA_DB_REPOSITORY=java, **environment)
    return Scan(log)


def found(findings: Findings) -> frozenset[tuple[str, str, str]]:
    return frozenset((one.id, one.package, str(one.severity)) for one in findings.vulnerabilities)


@pytest.mark.parametrize(("name", "platform"), sorted(EXPECTED_FINDINGS))
async def test_scan_and_rematch_find_what_is_in_the_image(
    name: str, platform: str, registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    """Both ways give the findings that were put in: no image is too small, none loses by matching again."""
    expected = EXPECTED_FINDINGS[name, platform]
    image = ImageName.parse(f"{registry.address}/{name}")
    digest = registry.digest(name)
    reference = image_reference(image, digest, settings.trivy)
    store = DatabaseStore(settings)
    store.open()
    await store.refresh()

    scanned = await scan(settings, registry, reference, platform, tmp_path / "scan")
    findings = parse_findings(scanned.part(RESULT_PART), ExpectedImage(reference, digest, platform))
    again = await rematch(scanned.bom(), settings, store)

    assert found(findings) == expected.vulnerabilities
    assert {secret.rule_id for secret in findings.secrets} == expected.secrets
    assert findings.eosl is expected.end_of_life
    assert unordered(again) == unordered(msgspec.structs.replace(findings, secrets=()))


def unordered(findings: Findings) -> tuple[Findings, list[str]]:
    """Findings that compare equal whatever the scanner's order."""
    return msgspec.structs.replace(findings, vulnerabilities=()), sorted(map(repr, findings.vulnerabilities))


async def test_same_image_always_has_the_same_bill_of_materials(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    reference = f"{registry.address}/shop/web:1.0"
    first = await scan(settings, registry, reference, "linux/amd64", tmp_path / "first")
    second = await scan(settings, registry, reference, "linux/amd64", tmp_path / "second")

    one, other = first.bom(), second.bom()
    one["metadata"]["timestamp"] = other["metadata"]["timestamp"]

    assert first.part(BOM_PART) != second.part(BOM_PART)
    assert one == other


async def test_failed_scan_sends_the_reason(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    reference = f"{registry.address}/shop/none:1"

    failed = await scan(settings, registry, reference, "linux/amd64", tmp_path / "scan")

    assert failed.transmission.exit_code == 1
    failure = classify(exit_code=1, stderr=failed.part(FAILURE_PART).decode())
    assert failure.failure_class is FailureClass.NOT_FOUND
    assert "NAME_UNKNOWN" in failure.message


async def test_missing_platform_is_told(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    name = next(name for name, platform in EXPECTED_FINDINGS if platform == "linux/arm64")
    reference = f"{registry.address}/{name}"

    failed = await scan(settings, registry, reference, "linux/s390x", tmp_path / "scan")

    failure = classify(exit_code=failed.transmission.exit_code, stderr=failed.part(FAILURE_PART).decode())
    assert failure.failure_class is FailureClass.PLATFORM


async def test_result_of_another_image_is_refused(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    reference = f"{registry.address}/shop/web:1.0"
    scanned = await scan(settings, registry, reference, "linux/amd64", tmp_path / "scan")

    with pytest.raises(WrongImageError, match="not of the digest"):
        parse_findings(scanned.part(RESULT_PART), ExpectedImage(reference, f"sha256:{'0' * 64}"))


async def test_image_name_never_reaches_the_shell(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    """The reference comes from whoever may create pods; here it is a command, a flag and a substitution."""
    witness = tmp_path / "witness"
    for number, reference in enumerate(
        (f"x; touch {witness}", f"$(touch {witness})", "--config=/etc/passwd")
    ):
        failed = await scan(settings, registry, reference, "linux/amd64", tmp_path / f"scan-{number}")

        assert failed.transmission.exit_code == 1
        assert b"could not parse reference" in failed.part(FAILURE_PART)
    assert not witness.exists()


@pytest.mark.parametrize("scheme", Scheme)
async def test_login_opens_a_private_image(scheme: Scheme, tmp_path: Path) -> None:
    """The configuration that a scan pod mounts is one that Trivy reads; databases are fetched without it."""
    auth = Auth({"shop/": Account("puller", "pass,word")}, scheme=scheme)
    login = Login("puller", SecretText("pass,word"))
    async with Registry(sample_images(), auth) as registry:
        settings = settings_for(registry, tmp_path)
        reference = f"{registry.address}/shop/web:1.0"
        (tmp_path / "config.json").write_text(docker_config({registry.address: login}))

        refused = await scan(settings, registry, reference, "linux/amd64", tmp_path / "without")
        scanned = await scan(
            settings, registry, reference, "linux/amd64", tmp_path / "with", DOCKER_CONFIG=str(tmp_path)
        )

    explained = classify(exit_code=1, stderr=refused.part(FAILURE_PART).decode())
    assert explained.failure_class is FailureClass.AUTH
    assert parse_findings(scanned.part(RESULT_PART)).vulnerabilities


async def test_newer_database_is_taken_and_finds_more(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    reference = f"{registry.address}/shop/web:1.0"
    scanned = await scan(settings, registry, reference, "linux/amd64", tmp_path / "scan")
    store = DatabaseStore(settings)
    store.open()
    old = await store.refresh()
    before = await rematch(scanned.bom(), settings, store)

    registry.move_tag("trivy-db", "2", build_newer_database())
    with store.using() as in_use:
        new = await store.refresh()
        assert in_use.exists(), "a match that runs keeps its database"
    after = await rematch(scanned.bom(), settings, store)

    assert not in_use.exists()
    assert new != old
    assert store.version == new
    assert found(after) > found(before)


async def test_failed_refresh_keeps_the_present_database(
    registry: Registry, settings: Settings, tmp_path: Path
) -> None:
    store = DatabaseStore(settings)
    store.open()
    version = await store.refresh()
    broken = DatabaseStore(
        settings_for(registry, tmp_path, **{"trivy.dbRepository": f"{registry.address}/no"})
    )
    assert broken.open() == version

    with pytest.raises(ScanError) as caught:
        await broken.refresh()

    assert caught.value.failure.failure_class is FailureClass.DATABASE
    assert broken.version == version
    with broken.using() as directory:
        assert (directory / "db" / "trivy.db").exists()


async def test_without_a_database_there_is_no_match(settings: Settings) -> None:
    store = DatabaseStore(settings)
    assert store.open() is None

    with pytest.raises(NoDatabaseError):
        await rematch({}, settings, store)


async def test_matches_may_run_side_by_side(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    """Trivy locks what it reads; several readers must not wait for each other until they fail."""
    reference = f"{registry.address}/shop/web:1.0"
    scanned = await scan(settings, registry, reference, "linux/amd64", tmp_path / "scan")
    store = DatabaseStore(settings)
    store.open()
    await store.refresh()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(rematch(scanned.bom(), settings, store)) for _ in range(4)]

    assert len({found(task.result()) for task in tasks}) == 1


async def test_ignore_file_counts_for_scan_and_rematch(registry: Registry, tmp_path: Path) -> None:
    settings = settings_for(registry, tmp_path, **{"trivy.ignoreFile": "CVE-2023-5363\n"})
    reference = f"{registry.address}/shop/web:1.0"
    scanned = await scan(settings, registry, reference, "linux/amd64", tmp_path / "scan")
    store = DatabaseStore(settings)
    store.open()
    await store.refresh()

    again = await rematch(scanned.bom(), settings, store)

    assert again.vulnerabilities
    assert "CVE-2023-5363" not in {one.id for one in again.vulnerabilities}


@asynccontextmanager
async def trivy_server(settings: Settings, tmp_path: Path, token: str) -> AsyncGenerator[str]:
    """A Trivy server on loopback; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        *(str(TRIVY), "server", "--listen", address, "--cache-dir", str(tmp_path / "server")),
        *("--db-repository", settings.trivy.db_repository[0]),
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TRIVY_TOKEN": token},
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


async def test_server_scans_and_matches(registry: Registry, settings: Settings, tmp_path: Path) -> None:
    """ClientServer needs no database, neither in the scan pod nor here."""
    async with trivy_server(settings, tmp_path, "t0ken") as url:
        remote = settings_for(registry, tmp_path, **{"trivy.mode": "ClientServer", "trivy.serverURL": url})
        remote = replace(remote, trivy=replace(remote.trivy, server_token=SecretText("t0ken")))
        reference = f"{registry.address}/shop/web:1.0"
        directory = tmp_path / "scan"

        scanned = await scan(remote, registry, reference, "linux/amd64", directory, TRIVY_TOKEN="t0ken")
        refused = await scan(remote, registry, reference, "linux/amd64", directory, TRIVY_TOKEN="no")
        again = await rematch(scanned.bom(), remote, DatabaseStore(remote))

    findings = parse_findings(scanned.part(RESULT_PART), ExpectedImage(reference))
    assert found(findings) == EXPECTED_FINDINGS["shop/web:1.0", "linux/amd64"].vulnerabilities
    assert found(again) == found(findings)
    explained = classify(exit_code=1, stderr=refused.part(FAILURE_PART).decode())
    assert explained.failure_class is FailureClass.TRIVY_SERVER
