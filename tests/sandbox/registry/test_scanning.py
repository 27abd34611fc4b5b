"""The real Trivy pulls the samples and the databases, and finds what it should."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.registry.scanning import Trivy, findings, secrets
from trivyop.sandbox.registry.auth import Account, Auth, Scheme
from trivyop.sandbox.registry.facts import KNOWN
from trivyop.sandbox.registry.facts.model import DEBIAN_12, Affected, Severity, Vulnerability
from trivyop.sandbox.registry.faults import Fault
from trivyop.sandbox.registry.samples import (
    EXPECTED_FINDINGS,
    SAMPLE_IMAGES,
    VULNERABILITY_DATABASE,
    numbered_images,
    single_image,
)
from trivyop.sandbox.registry.server import Registry
from trivyop.sandbox.registry.vulndb import build_database, build_newer_database

REMATCH = ("--skip-db-update", "--skip-java-db-update", "--offline-scan", "--format", "json")


@pytest.mark.parametrize(("name", "platform"), sorted(EXPECTED_FINDINGS))
async def test_every_sample_has_the_findings_it_is_made_for(trivy: Trivy, name: str, platform: str) -> None:
    report = (await trivy.image(name, "--platform", platform)).report

    expected = EXPECTED_FINDINGS[name, platform]
    assert findings(report) == expected.vulnerabilities
    assert secrets(report) == expected.secrets
    assert report["Metadata"].get("OS", {}).get("EOSL", False) == expected.end_of_life


def test_every_sample_has_expectations() -> None:
    assert {name for name, _ in EXPECTED_FINDINGS} == set(SAMPLE_IMAGES)


async def test_a_finding_tells_fix_source_and_status(trivy: Trivy) -> None:
    """One fixed and rated by NVD, one that will not be fixed, one rated by Debian itself, one by GitHub."""
    report = (await trivy.image("shop/web:1.0")).report
    seen = {
        (found["VulnerabilityID"], found["PkgName"]): (
            found.get("FixedVersion"),
            found["Status"],
            found["SeveritySource"],
        )
        for result in report["Results"]
        for found in result.get("Vulnerabilities", [])
    }

    assert seen["CVE-2023-5363", "libssl3"] == ("3.0.11-1~deb12u2", "fixed", "nvd")
    assert seen["CVE-2023-45853", "zlib1g"] == (None, "will_not_fix", "nvd")
    assert seen["CVE-2025-27587", "openssl"] == (None, "affected", "debian")
    assert seen["CVE-2021-44906", "minimist"] == ("0.2.4, 1.2.6", "fixed", "ghsa")


async def test_an_index_is_scanned_by_digest_for_the_platform_asked_for(
    registry: Registry, trivy: Trivy
) -> None:
    reference = f"shop/gateway@{registry.digest('shop/gateway:3')}"
    report = (await trivy.image(reference, "--platform", "linux/arm64")).report

    assert report["Metadata"]["ImageConfig"]["architecture"] == "arm64"
    assert findings(report) == EXPECTED_FINDINGS["shop/gateway:3", "linux/arm64"].vulnerabilities


async def test_a_database_of_thousands_is_searched_right(registry: Registry, trivy: Trivy) -> None:
    """Trees with branch pages: what Trivy looks up lies before, between and behind thousands of keys."""
    many = [
        Vulnerability(f"CVE-2022-9{n:05}", "made up", "x" * 200, (Affected(DEBIAN_12, f"pkg-{n % 7:03}"),))
        for n in range(4000)
    ]
    registry.put("large/trivy-db:2", build_database([*many, *KNOWN]))

    report = (await trivy.image("shop/web:1.0", database="large/trivy-db:2")).report

    assert findings(report) == EXPECTED_FINDINGS["shop/web:1.0", "linux/amd64"].vulnerabilities


async def test_a_vulnerability_without_any_rating_is_of_unknown_severity(
    registry: Registry, trivy: Trivy
) -> None:
    unrated = Vulnerability("CVE-2000-0001", "made up", "", (Affected(DEBIAN_12, "openssl"),))
    registry.put("unrated/trivy-db:2", build_database([unrated]))

    report = (await trivy.image("shop/web:1.0", database="unrated/trivy-db:2")).report

    assert {severity for _, _, severity in findings(report)} == {Severity.UNKNOWN.name}


async def test_numbered_images_are_told_apart_and_have_the_same_findings(
    registry: Registry, trivy: Trivy
) -> None:
    images = numbered_images(2)
    reports: list[dict[str, Any]] = []
    for name, image in images.items():
        registry.put(name, image)
        reports.append((await trivy.image(name)).report)

    assert reports[0]["Metadata"]["ImageID"] != reports[1]["Metadata"]["ImageID"]
    assert findings(reports[0]) == findings(reports[1]) != set()


async def test_one_scan_pulls_its_image_once(registry: Registry, trivy: Trivy) -> None:
    (await trivy.image("library/single:1")).report  # noqa: B018 - fails unless the scan was fine
    assert registry.manifest_pulls["library/single"] == 1


KEPT = {"bom-ref", "type", "name", "group", "version", "purl", "hashes", "licenses", "properties", "supplier"}


class TestBillOfMaterials:
    async def test_matched_again_gives_the_findings_of_the_image(self, trivy: Trivy, tmp_path: Path) -> None:
        bom = await make_bom(trivy, "shop/web:1.0", tmp_path)

        again = (await trivy.run("sbom", *REMATCH, str(bom))).report

        assert findings(again) == EXPECTED_FINDINGS["shop/web:1.0", "linux/amd64"].vulnerabilities

    async def test_reduced_to_what_a_report_keeps_gives_the_same(self, trivy: Trivy, tmp_path: Path) -> None:
        """Reports hold a bill without schema, hashes of tools, authors and the like."""
        bom = await make_bom(trivy, "shop/orders:2.3.1", tmp_path)
        whole = json.loads(bom.read_bytes())
        reduced = {key: whole[key] for key in ("bomFormat", "specVersion", "serialNumber", "version")}
        reduced["metadata"] = {key: whole["metadata"][key] for key in ("timestamp", "tools", "component")}
        reduced["components"] = [
            {key: value for key, value in component.items() if key in KEPT}
            for component in whole["components"]
        ]
        reduced["dependencies"] = whole["dependencies"]
        bom.write_bytes(json.dumps(reduced).encode())

        again = (await trivy.run("sbom", *REMATCH, str(bom))).report

        assert findings(again) == EXPECTED_FINDINGS["shop/orders:2.3.1", "linux/amd64"].vulnerabilities

    async def test_matched_with_a_newer_database_has_what_became_known(
        self, registry: Registry, trivy: Trivy, tmp_path: Path
    ) -> None:
        bom = await make_bom(trivy, "shop/web:1.0", tmp_path)
        newer = Trivy(tmp_path / "newer", registry.address)
        registry.move_tag("trivy-db", "2", build_newer_database())
        database = ("--db-repository", f"{registry.address}/{VULNERABILITY_DATABASE}")
        assert (await newer.run("image", "--download-db-only", *database)).code == 0

        again = findings((await newer.run("sbom", *REMATCH, str(bom))).report)

        new = again - EXPECTED_FINDINGS["shop/web:1.0", "linux/amd64"].vulnerabilities
        assert new == {("CVE-2024-6119", "libssl3", "HIGH"), ("CVE-2024-6119", "openssl", "HIGH")}


async def test_a_trivy_server_does_the_matching(registry: Registry, trivy: Trivy, tmp_path: Path) -> None:
    port = await free_port()
    server = Trivy(tmp_path / "server", registry.address)
    database = ("--db-repository", f"{registry.address}/{VULNERABILITY_DATABASE}")
    running = asyncio.create_task(server.run("server", "--listen", f"127.0.0.1:{port}", *database))
    try:
        await listening(port, running)
        report = (await trivy.image("shop/orders:2.3.1", "--server", f"http://127.0.0.1:{port}")).report
    finally:
        running.cancel()
        await asyncio.wait([running])

    assert findings(report) == EXPECTED_FINDINGS["shop/orders:2.3.1", "linux/amd64"].vulnerabilities


class TestFailures:
    """What ``tests/data/trivy-errors`` was recorded from still looks like that."""

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (Fault.DENIED, "DENIED: requested access to the resource is denied"),
            (Fault.RUBBISH, "invalid character '<' looking for beginning of value"),
            (Fault.TRUNCATED_BLOB, "unexpected EOF"),
        ],
    )
    async def test_of_a_registry(self, registry: Registry, trivy: Trivy, fault: Fault, said: str) -> None:
        registry.faults.set("shop/", fault)
        answer = await trivy.image("shop/web:1.0")
        assert (answer.code, said in answer.stderr) == (1, True)

    async def test_of_a_name_and_of_a_platform(self, trivy: Trivy) -> None:
        missing = await trivy.image("shop/web:9")
        other = await trivy.image("shop/gateway:3", "--platform", "linux/s390x")

        assert "MANIFEST_UNKNOWN: manifest unknown" in missing.stderr
        assert "no child with platform linux/s390x in index" in other.stderr

    async def test_that_pass_do_not_fail_a_scan(self, registry: Registry, trivy: Trivy) -> None:
        """Trivy itself tries a server error again."""
        registry.faults.set("shop/", Fault.SERVER_ERROR, times=1)
        assert (await trivy.image("shop/web:1.0")).code == 0

    @pytest.mark.parametrize("scheme", list(Scheme))
    async def test_of_a_login(self, tmp_path: Path, scheme: Scheme) -> None:
        images = {"private/app:1": single_image(), VULNERABILITY_DATABASE: build_database()}
        auth = Auth({"private/": Account("alice", "correct")}, scheme)
        async with Registry(images, auth) as registry:
            trivy = Trivy(tmp_path, registry.address)
            nobody = await trivy.image("private/app:1")
            wrong = await trivy.image("private/app:1", "--username", "alice", "--password", "wrong")
            right = await trivy.image("private/app:1", "--username", "alice", "--password", "correct")

        assert "UNAUTHORIZED: authentication required" in nobody.stderr
        assert "UNAUTHORIZED" in wrong.stderr
        assert right.code == 0


async def make_bom(trivy: Trivy, name: str, folder: Path) -> Path:
    """The bill of materials of an image, made from the JSON of its scan."""
    scanned, bom = folder / "scan.json", folder / "bom.cdx.json"
    scanned.write_bytes(json.dumps((await trivy.image(name, "--list-all-pkgs")).report).encode())
    answer = await trivy.run("convert", "--format", "cyclonedx", "--output", str(bom), str(scanned))
    assert answer.code == 0, answer.stderr
    return bom


async def free_port() -> int:
    listener = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with listener:
        return listener.sockets[0].getsockname()[1]


async def listening(port: int, running: asyncio.Task[Any]) -> None:
    """Wait until somebody listens on ``port``, or ``running`` is over."""
    while not running.done():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)  # the server says when it listens to its own log only
        else:
            writer.close()
            await writer.wait_closed()
            return
