"""Matching again: what is in an image is known, what is wrong with it is asked anew, of a newer database.

``trivy sbom`` runs as a child process over a bill of materials from an earlier scan; that takes a moment, and
no access to the image.

Promises: findings equal those of a scan with the same settings and database, but for secrets, which are not
looked for. Nothing is left on disk.
Not here: whether a match is due, and the database (``database.py``).
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from msgspec.structs import replace

from trivyop.report.findings import Findings, Sbom
from trivyop.scan.cyclonedx import as_document
from trivyop.scan.database import DatabaseStore
from trivyop.scan.localtrivy import build_match_command, match_environment
from trivyop.scan.podconfig import ScanVariant
from trivyop.scan.trivy_json import read_findings
from trivyop.settings import Settings, TrivyMode
from trivyop.trivy.directories import private_directory
from trivyop.trivy.failures import FailureClass, ScanError, classify, failure
from trivyop.trivy.givenfiles import given_files
from trivyop.trivy.process import run_program

_NOT_DISK = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_BOM = "bom.cdx.json"
_REPO_DIGEST = "aquasecurity:trivy:RepoDigest"


async def rematch(
    sbom: Sbom, settings: Settings, database: DatabaseStore, variant: ScanVariant | None = None
) -> Findings:
    """Match ``sbom`` against the operator's database, or have the Trivy server do it.

    Raises ``ScanError`` (``NoDatabaseError`` before there is a database).
    """
    try:
        if settings.trivy.mode is TrivyMode.CLIENT_SERVER:
            return await _match(sbom, settings, variant or ScanVariant(), None)
        with database.using() as cache_dir:
            return await _match(sbom, settings, variant or ScanVariant(), str(cache_dir))
    except OSError as problem:
        error = ScanError(f"the operator has no room to match in: {problem}")
        why = FailureClass.INTERRUPTED if problem.errno in _NOT_DISK else FailureClass.DISK
        error.failure = failure(why, str(error))
        raise error from problem


async def _match(sbom: Sbom, settings: Settings, variant: ScanVariant, cache_dir: str | None) -> Findings:
    with private_directory("match") as directory:
        files = await asyncio.to_thread(_write_files, directory, sbom, settings, variant)
        with (directory / "result.json").open("w+b") as output:
            done = await run_program(
                build_match_command(settings, cache_dir=cache_dir or str(directory), bom=_BOM, files=files),
                environment=match_environment(settings, home=str(directory), inherited=os.environ),
                directory=str(directory),
                timeout_seconds=settings.database.rematch_timeout_seconds,
                output=output,
            )
            if done.exit_code != 0:
                error = ScanError(f"matching a bill of materials failed ({done.exit_code})")
                error.failure = classify(exit_code=done.exit_code, stderr=done.errors)
                raise error
            return await asyncio.to_thread(_findings, output, sbom, settings.reports.size_budget_bytes)


def _findings(output: IO[bytes], sbom: Sbom, budget_bytes: int) -> Findings:
    """The match as a scan would have told it: of the image, where Trivy speaks of the file it was given."""
    findings = read_findings(output, budget_bytes=budget_bytes)
    root: Mapping[str, Any] = sbom.get("metadata", {}).get("component", {})
    name: str = root.get("name", "")
    given = f"{_BOM} ("  # "bom.cdx.json (debian 12.4)"
    return replace(
        findings,
        artifact_name=name,
        repo_digests=tuple(one["value"] for one in root.get("properties", ()) if one["name"] == _REPO_DIGEST),
        vulnerabilities=tuple(
            replace(one, target=f"{name} ({one.target.removeprefix(given)}")
            if one.target.startswith(given)
            else one
            for one in findings.vulnerabilities
        ),
    )


def _write_files(directory: Path, sbom: Sbom, settings: Settings, variant: ScanVariant) -> Mapping[str, str]:
    """The bill of materials, and the files that choose findings; returns the latter by their flags."""
    (directory / _BOM).write_bytes(as_document(sbom))
    files: dict[str, str] = {}
    for file in given_files(settings.trivy, variant.ignore_policy):
        (directory / file.name).write_text(file.content)
        files[file.use.value] = file.name
    return files
