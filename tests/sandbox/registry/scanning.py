"""The real Trivy as tests run it, and what they read in its reports."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivyop.sandbox import programs
from trivyop.sandbox.registry.samples import JAVA_DATABASE, VULNERABILITY_DATABASE


@dataclass(frozen=True)
class Answer:
    code: int
    stdout: bytes
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        assert self.code == 0, self.stderr
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Trivy:
    """The real Trivy with a cache of its own; databases come from ``address``."""

    cache: Path
    address: str

    async def run(self, *arguments: str) -> Answer:
        process = await asyncio.create_subprocess_exec(
            programs.trivy(),
            *arguments,
            "--cache-dir",
            str(self.cache),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"HOME": str(self.cache), "TRIVY_NO_PROGRESS": "true", "TRIVY_DISABLE_TELEMETRY": "true"},
        )
        try:
            stdout, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Answer(process.returncode or 0, stdout, stderr.decode())

    async def image(self, name: str, *arguments: str, database: str = VULNERABILITY_DATABASE) -> Answer:
        return await self.run(
            "image",
            *("--db-repository", f"{self.address}/{database}"),
            *("--java-db-repository", f"{self.address}/{JAVA_DATABASE}"),
            *(
                "--image-src",
                "remote",
                "--format",
                "json",
                "--scanners",
                "vuln,secret",
                "--skip-version-check",
            ),
            *arguments,
            f"{self.address}/{name}",
        )


def findings(report: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (found["VulnerabilityID"], found["PkgName"], found["Severity"])
        for result in report.get("Results", [])
        for found in result.get("Vulnerabilities", [])
    }


def secrets(report: dict[str, Any]) -> set[str]:
    return {secret["RuleID"] for result in report.get("Results", []) for secret in result.get("Secrets", [])}
