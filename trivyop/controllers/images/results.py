"""Results: what a finished scan Job has to say, read from its pod.

The log is read as a stream into files, verified, and only then parsed, off the event loop. When there is no
result, everything that Kubernetes and Trivy tell is put together into one failure.

Promises: a result is whole and of the image that was asked for, or there is none. Of its findings that much
is in memory that reports can show; large results are parsed one at a time.
Not here: what a transmission looks like (`scan.framing`), what failures mean (`trivy.failures`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import IO

import structlog

from trivyop.controllers.jobpods import JobPod, Terminated, pod_of, telling_reason, why_it_waits
from trivyop.errors import TransientError
from trivyop.kube.client import Api
from trivyop.kube.resources import ObjectKey
from trivyop.report.findings import BomLeftOut, Findings, Sbom
from trivyop.scan.command import image_reference
from trivyop.scan.cyclonedx import read_bom
from trivyop.scan.database import DatabaseVersion, parse_database_version
from trivyop.scan.framing import (
    BOM_PART,
    DATABASE_PART,
    FAILURE_PART,
    MATCH_PART,
    PROTOCOL,
    RESULT_PART,
    FrameReader,
    Transmission,
    spooled_sink,
)
from trivyop.scan.imagescan import ImageScan
from trivyop.scan.job import (
    ATTEMPT_ANNOTATION,
    CONTAINER_NAME,
    DATABASE_CONTAINER_NAME,
    IMAGE_ANNOTATION,
    LOGIN_CONTAINER_NAME,
    ScanJob,
    scan_id,
)
from trivyop.scan.logins import LOGINS_ANNOTATION, Logins
from trivyop.scan.matchable import (
    Filters,
    NotMatchable,
    Problem,
    filters_of,
    find_problem,
    match_facts,
)
from trivyop.scan.matching import MatchFacts
from trivyop.scan.podconfig import ScanVariant
from trivyop.scan.proof import read_proof
from trivyop.scan.scanfacts import Linked, ScanFacts
from trivyop.scan.splitting import WHOLE_BYTES
from trivyop.scan.trivy_json import ExpectedImage, read_findings
from trivyop.settings import Settings
from trivyop.trivy.failures import (
    CutShortError,
    Failure,
    FailureClass,
    FramingError,
    ParseError,
    classify,
    failure,
)
from trivyop.workload.images import ImageName

log = structlog.get_logger(__name__)

_POD_FAILED = "BackoffLimitExceeded"  # Jobs have one pod; why that failed, only the pod says
_READS = 3  # of a log that ends too early
_FED_AT_ONCE = 8 * 1024  # bytes of the log; as many as 6 MB when unpacked, which still is no long work


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan, or matching anew, found."""

    findings: Findings
    sbom: Sbom | None = None
    bom_left_out: BomLeftOut = field(default_factory=BomLeftOut)
    database: DatabaseVersion | None = None
    facts: MatchFacts = field(default_factory=MatchFacts)  # that go with the bill of materials
    problem: Problem | None = None  # why that cannot be matched; of a scan


class Results:
    """Reads the results of scan Jobs."""

    def __init__(self, api: Api, settings: Settings) -> None:
        self._api = api
        self._settings = settings
        self._large = asyncio.Semaphore()

    async def read(
        self, scan: ImageScan, job: ScanJob, variant: ScanVariant | None = None
    ) -> ScanResult | Failure:
        """Read what `job`, which has finished, found for `scan`, that was scanned in the way of `variant`.

        Raises ``ScanError`` for a result that is damaged or not of this image, ``TransientError`` when the
        API could not be asked, or there is no room here for its answer.
        """
        try:
            result = await self._read(scan, job, variant or ScanVariant())
            return _logins(job).explain(result) if isinstance(result, Failure) else result
        except OSError as error:  # of our own files: those of the network have another name here
            raise TransientError(f"no room for the result of {job.metadata.name}: {error}") from error

    async def _read(self, scan: ImageScan, job: ScanJob, variant: ScanVariant) -> ScanResult | Failure:
        pod = await pod_of(self._api, job.key)
        condition = job.failed
        if pod is None:
            if condition is not None and condition.reason != _POD_FAILED:
                return classify(reason=condition.reason, message=condition.message)
            return failure(FailureClass.INTERRUPTED, "the scan pod was gone before its result was read")
        explained = _explain_start(pod)
        if explained is not None:
            return explained
        ended = pod.ended(CONTAINER_NAME)
        if ended is None:
            return self._never_ended(pod, job)
        return await self._read_log(scan, job, variant, pod, ended)

    @staticmethod
    def _never_ended(pod: JobPod, job: ScanJob) -> Failure:
        waiting = next(filter(None, map(why_it_waits, pod.status.container_statuses)), None)
        if waiting is not None:
            return classify(reason=waiting.reason, message=waiting.message)
        if pod.status.reason:
            return classify(reason=pod.status.reason, message=pod.status.message)
        condition = job.failed
        if condition is not None:
            return classify(reason=condition.reason, message=condition.message)
        return failure(FailureClass.INTERRUPTED, "the scan pod ended without running its container")

    async def _read_log(
        self, scan: ImageScan, job: ScanJob, variant: ScanVariant, pod: JobPod, ended: Terminated
    ) -> ScanResult | Failure:
        """Read it, and once more where it seems to end too early: a connection that breaks looks the same."""
        for left in reversed(range(_READS)):
            try:
                return await self._read_log_once(scan, job, variant, pod, ended, last=not left)
            except CutShortError as error:
                if not left:
                    raise
                log.info("log_read_again", job=job.metadata.name, error=str(error))
        raise AssertionError("unreachable")

    async def _read_log_once(
        self,
        scan: ImageScan,
        job: ScanJob,
        variant: ScanVariant,
        pod: JobPod,
        ended: Terminated,
        *,
        last: bool,
    ) -> ScanResult | Failure:
        attempt = int((job.metadata.annotations or {}).get(ATTEMPT_ANNOTATION, "0"))
        with ExitStack() as stack:
            sinks: dict[str, IO[bytes]] = {}

            def open_sink(part: str) -> IO[bytes]:
                sinks[part] = stack.enter_context(spooled_sink(part))
                return sinks[part]

            reader = FrameReader(
                scan_id(scan.metadata.name, attempt, scan.metadata.uid),
                open_sink,
                max_bytes=self._settings.scan_job.log_result_limit_bytes,
            )
            try:
                transmission = await self._transmission(pod.key, reader)
            except FramingError as error:
                if isinstance(error, CutShortError) and not last:
                    raise
                if ended.exit_code == 0 and reader.empty:
                    return failure(FailureClass.INTERRUPTED, "the log of the scan pod is gone from its node")
                if ended.exit_code == 0:
                    raise
                reason = telling_reason(ended)
                return classify(
                    exit_code=ended.exit_code,
                    reason=reason,
                    stderr=reader.log_tail or _without_frames(ended.message),
                    message="" if reason else str(error),
                )
            if transmission.exit_code != 0:
                return classify(
                    exit_code=transmission.exit_code,
                    reason=telling_reason(ended),
                    stderr=_content(sinks[FAILURE_PART]).decode("utf-8", "replace"),
                )
            is_large = any(part.size > WHOLE_BYTES for part in transmission.parts.values())
            async with self._large if is_large else nullcontext():
                return await asyncio.to_thread(
                    parse_result,
                    _expected(scan, job, self._settings),
                    sinks,
                    filters_of(self._settings, variant),
                    needs_bom=self._settings.operator.sbom_generation_enabled,
                    budget_bytes=self._settings.reports.size_budget_bytes,
                )

    async def _transmission(self, pod: ObjectKey, reader: FrameReader) -> Transmission:
        async with self._api.logs(pod, CONTAINER_NAME) as chunks:
            async for chunk in chunks:
                for start in range(0, len(chunk), _FED_AT_ONCE):
                    reader.feed(chunk[start : start + _FED_AT_ONCE])
                    await asyncio.sleep(0)
        return reader.finish()


def reference_of(scan: ImageScan, job: ScanJob) -> str:
    """What the Job was to scan: "repository@sha256:...", or the image as a workload names it."""
    said = (job.metadata.annotations or {}).get(IMAGE_ANNOTATION, "")
    if said:
        return said
    name = ImageName.parse(scan.spec.image)
    return name.pinned(scan.spec.digest) if scan.spec.digest else str(name)


def _expected(scan: ImageScan, job: ScanJob, settings: Settings) -> ExpectedImage:
    name = ImageName.parse(reference_of(scan, job))
    reference = image_reference(name, name.digest, settings.trivy)
    return ExpectedImage(reference, name.digest, scan.spec.platform or None)


def parse_result(
    expected: ExpectedImage,
    sinks: Mapping[str, IO[bytes]],
    filters: Filters,
    *,
    needs_bom: bool,
    budget_bytes: int,
) -> ScanResult:
    """Parse the parts of a successful transmission; runs in a thread."""
    linked = Linked(ScanFacts())
    findings = read_findings(sinks[RESULT_PART], expected, budget_bytes=budget_bytes, facts=linked.facts)
    database = sinks.get(DATABASE_PART)
    version = parse_database_version(_content(database)) if database is not None else None
    if BOM_PART not in sinks:
        if needs_bom:
            raise ParseError("the scan pod sent no bill of materials")
        why = Problem(NotMatchable.NO_BILL_OF_MATERIALS, "bills of materials are switched off")
        return ScanResult(findings, database=version, problem=why)
    sbom, left_out = read_bom(
        sinks[BOM_PART],
        scanner_version=findings.scanner_version,
        budget_bytes=budget_bytes,
        linked=linked,
    )
    proof = read_proof(sinks[MATCH_PART], linked.raw_ignored) if MATCH_PART in sinks else None
    problem = find_problem(linked, sbom, left_out, proof, filters)
    return ScanResult(findings, sbom, left_out, version, match_facts(linked), problem)


def _content(sink: IO[bytes]) -> bytes:
    sink.seek(0)
    return sink.read()


def _explain_start(pod: JobPod) -> Failure | None:
    """Why the scan itself never began: an init container that failed or cannot start."""
    for status in pod.status.init_container_statuses:
        database_step = status.name in (DATABASE_CONTAINER_NAME, LOGIN_CONTAINER_NAME)
        ended = status.state.terminated
        if ended is not None and ended.exit_code != 0:
            return classify(
                exit_code=ended.exit_code,
                reason=telling_reason(ended),
                stderr=ended.message,
                database_step=database_step,
            )
        waiting = why_it_waits(status)
        if waiting is not None:
            return classify(reason=waiting.reason, message=waiting.message)
    return None


def _logins(job: ScanJob) -> Logins:
    return Logins.parse((job.metadata.annotations or {}).get(LOGINS_ANNOTATION, ""))


def _without_frames(message: str) -> str:
    """A termination message, unless it is nothing but the end of a transmission."""
    return "" if PROTOCOL in message else message
