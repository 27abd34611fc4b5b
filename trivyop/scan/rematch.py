"""Matching again: what is in an image is known, what is wrong with it is asked anew, of a newer database.

``trivy sbom`` runs as a child process over a bill of materials from an earlier scan; that takes a moment, and
no access to the image.

Promises: findings equal those of a scan with the same settings and database, but for secrets, which are not
looked for, if the bill of materials is one that can be matched (``matchable.py``). Nothing is left on disk.
Not here: whether a match is due, what makes the document good (``matching.py``), and the database
(``database.py``).
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from trivyop.report.findings import Findings, Sbom
from trivyop.scan.database import DatabaseStore
from trivyop.scan.localtrivy import build_match_command, match_environment
from trivyop.scan.matching import artifact_name, match_document, restored
from trivyop.scan.podconfig import ScanVariant
from trivyop.scan.trivy_json import read_findings
from trivyop.settings import Settings, TrivyMode
from trivyop.trivy.directories import private_directory
from trivyop.trivy.failures import FailureClass, ScanError, classify, failure
from trivyop.trivy.givenfiles import given_files
from trivyop.trivy.process import run_program

_VERSION = re.compile(rb"Version: v?([0-9][0-9A-Za-z.+-]*)")
_NOT_DISK = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_MATCHED = "matched"  # a directory with nothing but the bill of materials, below the image's name


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


async def read_trivy_version(settings: Settings) -> str:
    """Version of the Trivy here, like "0.76.0"; "" if it does not say. ``ScanError`` if it cannot run."""
    with private_directory("version") as directory:
        done = await run_program(
            [settings.database.trivy_program, "--version"],
            environment=match_environment(settings, home=str(directory), inherited=os.environ),
            directory=str(directory),
            timeout_seconds=settings.database.rematch_timeout_seconds,
        )
    found = _VERSION.search(done.output)
    return found[1].decode("ascii") if found else ""


async def _match(sbom: Sbom, settings: Settings, variant: ScanVariant, cache_dir: str | None) -> Findings:
    with private_directory("match") as directory:
        files = await asyncio.to_thread(_write_files, directory, sbom, settings, variant)
        with (directory / "result.json").open("w+b") as output:
            done = await run_program(
                build_match_command(
                    settings, cache_dir=cache_dir or str(directory), bom=_file_name(sbom), files=files
                ),
                environment=match_environment(settings, home=str(directory), inherited=os.environ),
                directory=str(directory / _MATCHED),
                timeout_seconds=settings.database.rematch_timeout_seconds,
                output=output,
            )
            if done.exit_code != 0:
                error = ScanError(f"matching a bill of materials failed ({done.exit_code})")
                error.failure = classify(exit_code=done.exit_code, stderr=done.errors)
                raise error
            return await asyncio.to_thread(_findings, output, sbom, settings.reports.size_budget_bytes)


def _findings(output: IO[bytes], sbom: Sbom, budget_bytes: int) -> Findings:
    return restored(read_findings(output, budget_bytes=budget_bytes), sbom)


def _write_files(directory: Path, sbom: Sbom, settings: Settings, variant: ScanVariant) -> Mapping[str, str]:
    """The bill of materials, and the files that choose findings; returns the latter by their flags."""
    bom = directory / _MATCHED / _file_name(sbom)
    bom.parent.mkdir(parents=True)
    bom.write_bytes(match_document(sbom))
    files: dict[str, str] = {}
    for file in given_files(settings.trivy, variant.ignore_policy):
        (directory / file.name).write_text(file.content)
        files[file.use.value] = str(directory / file.name)
    return files


def _file_name(sbom: Sbom) -> str:
    """The path of the bill of materials: the image's name, for Trivy calls findings' target by it."""
    parts = [part for part in artifact_name(sbom).split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "bom.cdx.json"
