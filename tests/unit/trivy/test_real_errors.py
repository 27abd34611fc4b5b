"""What the real Trivy says when it is given settings that it does not take, read as a user would get it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from trivyop.sandbox.registry.samples import sample_images
from trivyop.sandbox.registry.server import Registry
from trivyop.trivy.failureclasses import FailureClass
from trivyop.trivy.failures import Failure, classify

BAD_POLICY = "package trivy\n\nignore {{\n"
# Files to write, words of the command, and what comes of it: class, words of the message and of the remedy.
CASES: dict[str, tuple[dict[str, str], list[str], FailureClass, str, str]] = {
    "file named in the configuration": (
        {"c.yaml": "ignorefile: /nowhere/ignore.yaml\n"},
        ["--config", "DIR/c.yaml"],
        FailureClass.CONFIGURATION,
        "/nowhere/ignore.yaml",
        "trivy.configFile",
    ),
    "value of the configuration": (
        {"c.yaml": "severity: [HIGHEST]\n"},
        ["--config", "DIR/c.yaml"],
        FailureClass.CONFIGURATION,
        "HIGHEST",
        "Correct the value",
    ),
    "configuration is no YAML": (
        {"c.yaml": "a: [b\n"},
        ["--config", "DIR/c.yaml"],
        FailureClass.CONFIGURATION,
        "yaml: line 1",
        "trivy.configFile",
    ),
    "scanner": ({}, ["--scanners", "vulns"], FailureClass.CONFIGURATION, "vulns", "Correct the value"),
    "flag": ({}, ["--no-such-flag"], FailureClass.CONFIGURATION, "--no-such-flag", "trivy.tag"),
    "policy": (
        {"p.rego": BAD_POLICY},
        ["--ignore-policy", "DIR/p.rego"],
        FailureClass.CONFIGURATION,
        "rego_parse_error",
        "trivy.ignorePolicy",
    ),
    "ignore file": (
        {"i.yaml": "vulnerabilities: CVE-1\n"},
        ["--ignorefile", "DIR/i.yaml"],
        FailureClass.CONFIGURATION,
        "cannot unmarshal",
        "trivy.ignoreFile",
    ),
    "proxy": (
        {},
        ["registry.example.com/app:1"],
        FailureClass.NETWORK,
        "proxyconnect",
        "trivy.httpsProxy",
    ),
    "server": (
        {},
        ["--server", "http://REGISTRY"],
        FailureClass.TRIVY_SERVER,
        "twirp",
        "trivy.serverURL",
    ),
    "digest": (
        {},
        [f"REGISTRY/shop/web@sha256:{'0' * 64}"],
        FailureClass.NOT_FOUND,
        "MANIFEST_UNKNOWN",
        "from another repository",
    ),
}


async def failure_of(directory: Path, words: list[str], registry: Registry) -> Failure:
    known = {"REGISTRY": registry.address, "DIR": str(directory)}
    for name, value in known.items():
        words = [word.replace(name, value) for word in words]
    image = [f"{registry.address}/shop/web:1.0"] if words[0].startswith("-") else []
    command = [
        *(
            str(Path(sys.executable).with_name("trivy")),
            "image",
            "--cache-dir",
            str(directory / "cache"),
            "--scanners",
            "secret",
        ),
        *("--image-src", "remote", "--format", "json", "--skip-version-check", *words, *image),
    ]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 1
    return classify(exit_code=1, stderr=said.decode())


@pytest.mark.parametrize("name", CASES)
async def test_real_error_has_its_class_and_a_true_remedy(name: str, tmp_path: Path) -> None:
    files, words, failure_class, message, remedy = CASES[name]
    for file, content in files.items():
        (tmp_path / file).write_text(content)
    async with Registry(sample_images()) as registry:
        found = await failure_of(tmp_path, words, registry)

    assert found.failure_class is failure_class
    assert message in found.message
    assert remedy in found.remedy
