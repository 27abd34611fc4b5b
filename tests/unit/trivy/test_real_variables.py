"""The real Trivy reads variables as ``reading.py`` says, and asks nobody for news."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.harness import TRIVY
from tests.unit.trivy.reading import as_trivy_reads
from trivyop.settings import SecretText, load_settings
from trivyop.trivy.environment import base_environment, list_text, server_variables

LOCK = {
    "name": "x",
    "version": "1.0.0",
    "lockfileVersion": 3,
    "packages": {"": {"name": "x"}, "node_modules/lodash": {"version": "4.17.0"}},
}
BOM: dict[str, Any] = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}


async def run(*words: str, home: Path, **variables: str) -> tuple[int, bytes, str]:
    environment = base_environment(load_settings({"OPERATOR_NAMESPACE": "x"}), str(home), os.environ)
    process = await asyncio.create_subprocess_exec(
        *(TRIVY, *words, "--cache-dir", str(home / "cache")),
        env={**environment, **variables},
        cwd=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output, errors.decode()


@asynccontextmanager
async def recording() -> AsyncGenerator[tuple[str, list[web.BaseRequest]]]:
    """A server that refuses everything; gives its address and what it was asked."""
    asked: list[web.BaseRequest] = []

    async def refuse(request: web.BaseRequest) -> web.Response:
        asked.append(request)
        return web.json_response({"code": "unauthenticated", "msg": "no"}, status=401)

    runner = web.ServerRunner(web.Server(refuse))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name.removesuffix("/").replace("http://", ""), asked
    finally:
        await runner.cleanup()


PATHS = ("a", "Program Files", "b c", "$x", '"q"', "[d]")


@pytest.mark.parametrize(
    "given",
    [
        ("a",),
        ("Program Files",),
        ("a", "b c"),
        ("Program Files", "$x"),
        ('"q"',),
        ("$x", '"q"'),
        ("a b", "a"),
    ],
)
async def test_paths_to_skip(given: tuple[str, ...], tmp_path: Path) -> None:
    tree, home = tmp_path / "tree", tmp_path / "home"
    home.mkdir()
    for name in PATHS:
        (tree / name).mkdir(parents=True)
        (tree / name / "package-lock.json").write_text(json.dumps(LOCK))
    text = list_text(given)

    code, output, errors = await run(
        "fs", "--format", "cyclonedx", str(tree), home=home, TRIVY_SKIP_DIRS=text
    )

    assert code == 0, errors
    components: list[dict[str, Any]] = json.loads(output)["components"]
    found = {one["name"].partition("/")[0] for one in components if one["type"] == "application"}
    assert found == set(PATHS) - set(as_trivy_reads(text)) == set(PATHS) - set(given)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("HIGH,CRITICAL", True),
        ("HIGH, CRITICAL", False),
        ("HIGH CRITICAL", True),
        ("high", False),
        ("HIGH,", False),
    ],
)
async def test_severities(text: str, accepted: bool, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    code, _, errors = await run(
        "fs", "--format", "cyclonedx", str(tmp_path / "tree"), home=tmp_path, TRIVY_SEVERITY=text
    )

    known = {"CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"}
    assert (set(as_trivy_reads(text)) <= known) is accepted
    assert (code == 0) is accepted, errors


@pytest.mark.parametrize(
    "text",
    [
        "Authorization:Bearer abc",
        "Authorization: Basic dTpw,",
        'A:"q" x,B:y',
        "A:a b c,B-C:d e",
        "A:back\\slash x",
        "A:$HOME x",
    ],
)
async def test_headers_for_a_server(text: str, tmp_path: Path) -> None:
    (tmp_path / "bom.json").write_text(json.dumps(BOM))
    async with recording() as (address, asked):
        settings = load_settings(
            {"OPERATOR_NAMESPACE": "x"},
            trivy_configmap={"trivy.mode": "ClientServer", "trivy.serverURL": f"http://{address}"},
            trivy_secret={"trivy.serverCustomHeaders": text, "trivy.serverToken": "t0ken\n"},
        )
        variables = server_variables(settings).revealed()
        await run("sbom", "--server", f"http://{address}", "bom.json", home=tmp_path, **variables)

    sent = asked[0].headers
    for name, value in settings.trivy.server_custom_headers.items():
        assert sent[name] == value.reveal()
        assert isinstance(value, SecretText)
    assert sent["Trivy-Token"] == "t0ken"


@pytest.mark.parametrize(
    "words",
    [
        ("fs", "--format", "json", "--scanners", "secret", "tree"),
        ("sbom", "--scanners", "license", "bom.json"),
        ("config", "--skip-check-update", "tree"),
        ("convert", "--format", "cyclonedx", "result.json"),
        ("image", "--input", "nothing.tar"),
    ],
    ids=lambda words: words[0],
)
async def test_nobody_is_asked_for_news(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "bom.json").write_text(json.dumps(BOM))
    (tmp_path / "result.json").write_text('{"SchemaVersion": 2, "ArtifactType": "filesystem", "Results": []}')
    async with recording() as (address, asked):
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), f"http://{address}")
        extra = ("--skip-db-update",) if words[0] == "image" else ()
        await run(*words, *extra, home=tmp_path, **proxies)

    assert [request.path_qs for request in asked] == []


async def test_trivy_left_alone_does_ask(tmp_path: Path) -> None:
    """Else the test above would find nothing whatever we give Trivy."""
    (tmp_path / "tree").mkdir()
    async with recording() as (address, asked):
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), f"http://{address}")
        asks = {"TRIVY_SKIP_VERSION_CHECK": "false", "TRIVY_DISABLE_TELEMETRY": "false"}
        for _ in range(10):  # Trivy does not wait for the answer, nor for having asked
            await run("fs", "--scanners", "secret", "tree", home=tmp_path, **proxies, **asks)
            if asked:
                break

    assert asked
