"""Proof: what a scan pod found by matching its bill of materials itself, with its own database and settings.

The proof is of Trivy's document as it is, before it is made good (``matching.py``). That is enough: what is
then left out is left out of the findings here, what is then spelled anew is compared in lower case, and all
else that is done to it gives policies and the ignore file the same values that they had in the scan.

With it goes which releases of Alpine the image's repositories are of: that is in Trivy's cache in the scan
pod, and nowhere else.

Promises: what is damaged or missing is no proof; it never harms the scan.
Not here: how it is made (``script.py``, ``command.py``), and what else it takes (``matchable.py``).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import IO

import msgspec

from trivyop.scan.scanfacts import Tally


@dataclass(slots=True)
class Proof:
    """What the scan pod sends of its own match."""

    releases: frozenset[str] | None = None  # of Alpine's repositories in the image; None: not known
    failure: str = ""
    findings: Tally | None = None  # None: there was no match, or it failed


_DECODER = msgspec.json.Decoder(list[str])
_REPOSITORY = re.compile(r'"Release":"([^"]*)"')
_LINE_BYTES = 64 * 1024


def read_proof(file: IO[bytes], ignored: Collection[str]) -> Proof:
    """Read the part of a transmission; ``ignored`` are references of packages that matching will leave out.

    Sections begin with one word on a line: what is in Trivy's cache of the image, then ``done`` with a
    finding in each line, or ``failed`` with the end of Trivy's errors. What is damaged counts as no match.
    """
    file.seek(0)
    proof = Proof()
    section = ""
    releases: set[str] = set()
    errors: list[str] = []
    while line := file.readline(_LINE_BYTES):
        text = line.decode("utf-8", "replace").strip()
        if text in ("cache", "done", "failed") and section not in ("done", "failed"):
            section = text
            if text == "cache":
                proof.releases = frozenset()
            elif text == "done":
                proof.findings = Tally()
        elif section == "cache":
            releases.update(_REPOSITORY.findall(text))
        elif section == "failed":
            errors.append(text)
        elif proof.findings is not None and text:
            try:
                ref, *parts = _DECODER.decode(text)
                if ref not in ignored:
                    proof.findings.add(*parts)
            except (msgspec.MsgspecError, ValueError, TypeError):
                return Proof(proof.releases, "the scan pod's findings cannot be read")
    if proof.releases is not None:
        proof.releases = frozenset(releases)
    if section == "failed":
        proof.failure = next((line for line in reversed(errors) if line), "no reason given")
    return proof
