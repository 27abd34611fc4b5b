"""Trivy's JSON report (schema version 2), decoded from bytes into findings.

A large one is taken apart while it is read (``splitting.py``), and of very many findings those are kept that
a report of the given budget can show; all are counted.

Promises: only the fields we use are decoded, others may come and go; what is not such a report is a
``ParseError`` that says what it is, a report of another image a ``WrongImageError``. Severities, scores and
dates are final. An empty report is one without findings, never one that could not be read. How a report was
read does not show in its findings.
Not here: the bill of materials (``cyclonedx.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TypeVar

import msgspec

from trivyop.kube.times import format_time, time_or_none
from trivyop.report.findings import (
    Findings,
    Secret,
    Severity,
    Vulnerability,
    choose_score,
    choose_severity,
)
from trivyop.report.secret import WORST_SECRETS
from trivyop.report.vulnerability import WORST_VULNERABILITIES
from trivyop.report.worst import Worst
from trivyop.scan.scanfacts import PackageFact, ScanFacts
from trivyop.scan.splitting import WHOLE_BYTES, Path, SplitError, bytes_in, split
from trivyop.trivy.failures import FailureClass, ParseError, WrongImageError, failure

T = TypeVar("T")

SCHEMA_VERSION = 2


class _Struct(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    pass


class _Version(_Struct, frozen=True, gc=False):
    version: str = ""


class _Os(_Struct, frozen=True, gc=False):
    family: str = ""
    name: str = ""
    eosl: bool = msgspec.field(name="EOSL", default=False)
    supplier: str = ""
    extended: bool = msgspec.field(name="extended", default=False)  # as Trivy spells it


class _ImageConfig(msgspec.Struct, frozen=True, gc=False):
    architecture: str = ""
    os: str = ""
    variant: str = ""


class _Metadata(_Struct, frozen=True, gc=False):
    os: _Os | None = msgspec.field(name="OS", default=None)
    image_id: str = msgspec.field(name="ImageID", default="")
    diff_ids: tuple[str, ...] | None = msgspec.field(name="DiffIDs", default=None)
    repo_digests: tuple[str, ...] | None = None
    image_config: _ImageConfig | None = None


class _PkgIdentifier(_Struct, frozen=True, gc=False):
    purl: str = msgspec.field(name="PURL", default="")


class _Repository(_Struct, frozen=True, gc=False):
    class_: str = msgspec.field(name="Class", default="")


class _Package(_Struct, frozen=True, gc=False):
    id: str = msgspec.field(name="ID", default="")
    name: str = ""
    identifier: _PkgIdentifier | None = None
    src_name: str = ""
    repository: _Repository | None = None
    file_path: str = ""


class _Vulnerability(_Struct, frozen=True, gc=False):
    vulnerability_id: str = msgspec.field(name="VulnerabilityID")
    pkg_name: str = ""
    pkg_path: str = ""
    pkg_identifier: _PkgIdentifier | None = None
    installed_version: str = ""
    fixed_version: str = ""
    severity_source: str = ""
    primary_url: str = msgspec.field(name="PrimaryURL", default="")
    title: str = ""
    description: str = ""
    severity: str = ""
    vendor_severity: dict[str, int] | None = None
    cvss: dict[str, dict[str, float | str]] | None = msgspec.field(name="CVSS", default=None)
    references: tuple[str, ...] | None = None
    published_date: str | None = None
    last_modified_date: str | None = None


class _Secret(_Struct, frozen=True, gc=False):
    rule_id: str = msgspec.field(name="RuleID")
    category: str = ""
    severity: str = ""
    title: str = ""
    match: str = ""


class _Result(_Struct, frozen=True, gc=False):
    target: str = ""
    class_: str = msgspec.field(name="Class", default="")
    type: str = ""
    packages: list[msgspec.Raw] | None = None  # decoded if anybody wants to know of them
    vulnerabilities: tuple[_Vulnerability, ...] | None = None
    secrets: tuple[_Secret, ...] | None = None


class _Report(_Struct, frozen=True, gc=False):
    schema_version: int | None = None
    artifact_name: str | None = None
    trivy: _Version | None = None
    metadata: _Metadata | None = None
    results: tuple[_Result, ...] | None = None


_DECODER = msgspec.json.Decoder(_Report)
_VULNERABILITY_DECODER = msgspec.json.Decoder(_Vulnerability)
_PACKAGE_DECODER = msgspec.json.Decoder(_Package)
_SECRET_DECODER = msgspec.json.Decoder(_Secret)
_LONG_ARRAYS = ("Results", None, None)


@dataclass(frozen=True, slots=True)
class ExpectedImage:
    """What was to be scanned. ``reference`` is what Trivy was given."""

    reference: str
    digest: str | None = None
    platform: str | None = None


def parse_findings(data: bytes, expected: ExpectedImage | None = None) -> Findings:
    """Read a report with all its findings; with ``expected`` make sure that it is of that image."""
    return _of_whole(data, expected, None, None)


def read_findings(
    file: IO[bytes],
    expected: ExpectedImage | None = None,
    *,
    budget_bytes: int | None,
    facts: ScanFacts | None = None,
) -> Findings:
    """Read a report of any size; ``expected`` as in `parse_findings`.

    Findings are kept for reports of ``budget_bytes``; None: all of them. It takes about a second for 25 MB,
    in which other threads have their turn. ``facts`` is filled with what else the report says.
    """
    if bytes_in(file) <= WHOLE_BYTES:
        return _of_whole(file.read(), expected, budget_bytes, facts)
    try:
        return _of_parts(file, expected, budget_bytes, facts)
    except SplitError as error:
        raise ParseError(f"the result is not JSON: {error}") from None


def _of_whole(
    data: bytes, expected: ExpectedImage | None, budget_bytes: int | None, facts: ScanFacts | None
) -> Findings:
    if not data.strip():
        raise ParseError("Trivy's result is empty")
    report = _decode(data)
    if expected is not None:
        _verify(report, expected)
    kept = _Kept(budget_bytes, facts)
    for result in report.results or ():
        for vulnerability in result.vulnerabilities or ():
            kept.add_vulnerability(vulnerability, result)
        for secret in result.secrets or ():
            kept.secrets.add(_secret(secret, result))
        for package in result.packages or ():
            kept.add_package(bytes(package), result)
    return kept.findings(report)


def _of_parts(
    file: IO[bytes], expected: ExpectedImage | None, budget_bytes: int | None, facts: ScanFacts | None
) -> Findings:
    """Read it twice: first what stands around the findings, for some of it may come after them."""
    report = _decode(split(file, _LONG_ARRAYS, lambda _path, _text: None))
    if expected is not None:
        _verify(report, expected)
    results = report.results or ()
    kept = _Kept(budget_bytes, facts)

    def take(path: Path, text: str) -> None:
        _, index, field = path
        match field:
            case "Vulnerabilities":
                kept.add_vulnerability(_decode_one(_VULNERABILITY_DECODER, text), results[int(index)])
            case "Secrets":
                kept.secrets.add(_secret(_decode_one(_SECRET_DECODER, text), results[int(index)]))
            case "Packages":
                kept.add_package(text, results[int(index)])
            case _:
                pass

    file.seek(0)
    split(file, _LONG_ARRAYS, take)
    return kept.findings(report)


class _Kept:
    """What is kept of a report."""

    def __init__(self, budget_bytes: int | None, facts: ScanFacts | None) -> None:
        self._facts = facts
        self.vulnerabilities = Worst(WORST_VULNERABILITIES, budget_bytes)
        self.secrets = Worst(WORST_SECRETS, budget_bytes)
        self.has_packages = False

    def add_vulnerability(self, found: _Vulnerability, result: _Result) -> None:
        self.vulnerabilities.add(_vulnerability(found, result))
        if self._facts is not None:
            self._facts.tally.add(
                found.vulnerability_id,
                found.pkg_name,
                found.installed_version,
                found.fixed_version,
                found.severity,
                found.pkg_path,
                result.class_,
            )

    def add_package(self, data: bytes | str, result: _Result) -> None:
        self.has_packages = True
        if self._facts is None:
            return
        package = _decode_one(_PACKAGE_DECODER, data)
        fact = PackageFact(
            type=result.type,
            class_name=result.class_,
            id=package.id,
            name=package.name,
            purl=package.identifier.purl if package.identifier else "",
            path=package.file_path,
            source=package.src_name,
            repository=package.repository.class_ if package.repository else "",
        )
        self._facts.add_package(fact)

    def findings(self, report: _Report) -> Findings:
        metadata = report.metadata or _Metadata()
        system = metadata.os or _Os()
        if self._facts is not None:
            self._facts.family, self._facts.os_name = system.family, system.name
            self._facts.supplier, self._facts.extended = system.supplier, system.extended
        vulnerabilities, vulnerabilities_left_out = self.vulnerabilities.result()
        secrets, secrets_left_out = self.secrets.result()
        return Findings(
            os_family=system.family,
            os_name=system.name,
            eosl=system.eosl,
            image_id=metadata.image_id,
            has_content=bool(metadata.diff_ids or metadata.os or report.results),
            repo_digests=metadata.repo_digests or (),
            vulnerabilities=vulnerabilities,
            vulnerabilities_left_out=vulnerabilities_left_out,
            secrets=secrets,
            secrets_left_out=secrets_left_out,
            scanner_version=report.trivy.version if report.trivy else "",
            artifact_name=report.artifact_name or "",
            has_packages=self.has_packages,
        )


def _decode(data: bytes | str) -> _Report:
    report = _decode_one(_DECODER, data)
    if report.schema_version is None or report.artifact_name is None:
        raise ParseError("the result is JSON, but not a report of Trivy")
    if report.schema_version != SCHEMA_VERSION:
        raise ParseError(
            f"the result has schema version {report.schema_version}, supported is {SCHEMA_VERSION}"
        )
    return report


def _decode_one(decoder: msgspec.json.Decoder[T], data: bytes | str) -> T:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise ParseError(f"the result is not Trivy's JSON: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        begins = data[:60].decode("utf-8", "replace") if isinstance(data, bytes) else data[:60]
        raise ParseError(f"the result is not JSON: {error}; it begins with {begins!r}") from None


def _verify(report: _Report, expected: ExpectedImage) -> None:
    metadata = report.metadata or _Metadata()
    name = report.artifact_name or ""
    if expected.digest is not None:
        ending = f"@{expected.digest}"
        known = metadata.repo_digests or ()
        if not name.endswith(ending) and not any(digest.endswith(ending) for digest in known):
            raise WrongImageError(f"the result is of {name!r}, not of the digest {expected.digest}")
        return  # a digest is exact; what the image itself says of its platform may be wrong
    if name != expected.reference:
        raise WrongImageError(f"the result is of {name!r}, not of {expected.reference!r}")
    config = metadata.image_config
    if expected.platform is None or config is None or not (config.os and config.architecture):
        return
    wanted = expected.platform.split("/")
    if wanted[:2] != [config.os, config.architecture]:
        wrong = WrongImageError(
            f"the result is for {config.os}/{config.architecture}, not for {expected.platform}"
        )
        wrong.failure = failure(FailureClass.PLATFORM, str(wrong))
        raise wrong


def _vulnerability(found: _Vulnerability, result: _Result) -> Vulnerability:
    cvss = found.cvss or {}
    return Vulnerability(
        id=found.vulnerability_id,
        package=found.pkg_name,
        installed_version=found.installed_version,
        fixed_version=found.fixed_version,
        severity=choose_severity(found.vendor_severity or {}, found.severity_source, found.severity),
        title=found.title,
        description=found.description,
        primary_link=found.primary_url,
        links=found.references or (),
        published=_date(found.published_date),
        modified=_date(found.last_modified_date),
        score=choose_score(cvss, found.severity_source),
        purl=found.pkg_identifier.purl if found.pkg_identifier else "",
        cvss=cvss,
        target=result.target,
        class_name=result.class_,
        package_type=result.type,
        package_path=found.pkg_path,
    )


def _secret(found: _Secret, result: _Result) -> Secret:
    return Secret(
        target=result.target,
        rule_id=found.rule_id,
        title=found.title,
        severity=Severity.parse(found.severity),
        category=found.category,
        match=found.match,
    )


def _date(text: str | None) -> str:
    """RFC 3339 in UTC with whole seconds; "" for no date, Go's zero date, or what is no date."""
    parsed = time_or_none(text or "")
    return "" if parsed is None or parsed.year <= 1 else format_time(parsed)
