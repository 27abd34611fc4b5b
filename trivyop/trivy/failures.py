"""Why a scan failed: its class, the one message worth reading, and what may help.

Everything known about a failed scan comes together in ``classify``: the exit code, the reason Kubernetes
gives for a container or Job, and what Trivy wrote to its error output. The class decides on retries.

Promises: pure; any input gets a class; messages are short and hold the real error, not the list of container
runtimes that Trivy also looked for.
Not here: how the message is found in Trivy's output (``messages.py``), what helps (``remedies.py``),
when a scan is tried again (``retries.py``), where failures are stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trivyop.errors import TransientError
from trivyop.trivy.failureclasses import FailureClass
from trivyop.trivy.messages import essence, shorten
from trivyop.trivy.remedies import remedy_for


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed scan, explained."""

    failure_class: FailureClass
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.failure_class}: {self.message}"

    @property
    def advice(self) -> str:
        """What went wrong, and then what may help, as sentences."""
        if not self.remedy:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?", ":")) else "."
        return f"{self.message}{stop} {self.remedy}"


def failure(failure_class: FailureClass, message: str) -> Failure:
    """A failure whose class is known already."""
    return Failure(failure_class, shorten(message) or str(failure_class), remedy_for(failure_class, message))


class ScanError(TransientError):
    """A scan that gave no usable result; ``failure`` says why."""

    failure_class = FailureClass.SCANNER

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.failure = failure(self.failure_class, message)


class ParseError(ScanError):
    """What Trivy printed is not what it promised to print."""

    failure_class = FailureClass.PARSE


class WrongImageError(ParseError):
    """The result is of another image than the one asked for."""


class FramingError(ScanError):
    """The result did not arrive whole."""

    failure_class = FailureClass.TRANSPORT


class CutShortError(FramingError):
    """The end of the result is missing: it may be there still, and only the connection broke."""


# Most telling first: a rate limit is also an HTTP error, a missing platform also a missing child.
_RULES: tuple[tuple[FailureClass, re.Pattern[str]], ...] = tuple(
    (failure_class, re.compile("|".join(patterns), re.IGNORECASE))
    for failure_class, patterns in (
        (FailureClass.TRIVY_SERVER, (r"twirp error", r"/twirp/")),
        (
            FailureClass.CONFIGURATION,
            (
                r"flag error",
                r"unknown flag",
                r"config file .* loading error",
                r"failed to load root CA",
                r"ignore file not found",
                r"failed to apply the policy",
                r"unable to load VEX",
                r"parse error: yaml",
                r"number of usernames and passwords",
            ),
        ),
        (
            FailureClass.RATE_LIMIT,
            (
                r"too ?many ?requests",
                r"\brate.?(?:limit|exceeded)",
                r"\b429\b",
                r"quota exceeded for quota metric",  # Google
                r"data limit exceeded",  # Amazon's public registry
            ),
        ),
        (
            FailureClass.DISK,
            (
                r"no space left on device",
                r"disk quota exceeded",
                r"read-only file system",
                r"\b[a-z]+ /\S*: (?:permission denied|operation not permitted)",  # of a call on a file
            ),
        ),
        (
            FailureClass.PLATFORM,
            (
                r"no child with platform",
                r"no matching manifest for",
                r"does not match the specified platform",
            ),
        ),
        (
            FailureClass.UNSUPPORTED,
            (
                r"unsupported artifact type",
                r"unsupported MediaType",
                r"failed to extract the archive",
                r"(?:gzip|zlib|flate|zstd): (?:invalid|corrupt)",
                r"invalid tar header",
                r"unable to get the image's config file: invalid character",
            ),
        ),
        (
            FailureClass.NETWORK,  # before a login is read into it: it is the proxy's
            (
                r"proxy ?authentication ?required",
                r"\b407\b",
                r"proxyconnect",
                r"^Get : Forbidden$",
                r"client with IP '?\S+ is not allowed access",  # Azure's firewall
            ),
        ),
        (
            FailureClass.TLS,
            (
                r"x509:",
                r"\btls: ",
                r"certificate (?:signed|has expired|is not)",
                r"server gave HTTP response to HTTPS",
                r"HTTP request to an HTTPS server",
                r"malformed HTTP response \"\\x15\\x03",  # the first bytes of an alert of TLS
            ),
        ),
        (
            FailureClass.TOO_LARGE,
            (r"exceeds (?:the )?maximum (?:allowed )?(?:image )?size", r"max-image-size"),
        ),
        (
            FailureClass.INVALID_IMAGE,
            (r"could not parse reference", r"failed to parse the image name", r"invalid reference format"),
        ),
        (
            FailureClass.AUTH,
            (
                r"\bUNAUTHORIZED\b",
                r"\bDENIED\b",
                r"\b40[13]\b",
                r"authentication required",
                r"no basic auth",
                r"incorrect username",
                r"\bunauthenticated\b",
                r"PROJECTPOLICYVIOLATION",  # Harbor
                r"\b412 Precondition Failed",  # Harbor, to a request without a body
                r"\b402 Payment Required",
                r"\b451\b",
            ),
        ),
        (
            FailureClass.NOT_FOUND,
            (
                r"\b(?:MANIFEST|NAME|BLOB)_(?:UNKNOWN|INVALID)\b",
                r"\bNOT_FOUND\b",
                r"\bTAG_EXPIRED\b",
                r"\b404\b",
                r"\b410 Gone\b",
                r"not found: manifest",
            ),
        ),
        (
            FailureClass.TIMEOUT,
            (r"context deadline exceeded", r"provide a higher timeout", r"deadline ?exceeded"),
        ),
        (FailureClass.PARSE, (r"SBOM decode error",)),
        (
            FailureClass.OUT_OF_MEMORY,
            (r"oomkilled", r"out of memory", r"cannot allocate memory", r"failed to reserve .*memory"),
        ),
        (
            FailureClass.NETWORK,
            (
                r"connection refused",
                r"connection reset",
                r"no such host",
                r"i/o timeout",
                r"network is unreachable",
                r"no route to host",
                r"handshake timeout",
                r"server misbehaving",
                r"temporary failure in name resolution",
                r"(?:connection|operation) timed out",
                r"\bEOF\b",
                r"manifest digest: .* does not match requested digest",
                r"invalid character .* looking for beginning of value",  # a web page instead of an answer
                r"\bUNKNOWN: ",
                r"\b(?:INTERNAL_ERROR|UNAVAILABLE)\b",
                r"broken pipe",
                r"proxyconnect",
                r"\b50[0234]\b",
                r"bad gateway",
                r"service unavailable",
                r"client\.timeout exceeded",
            ),
        ),
    )
)
# What says that the trouble is with a database, whatever the trouble is. A full disk stays a full disk, and a
# setting that Trivy does not take is not taken in the step that fetches the database either.
_DATABASE = re.compile(
    r"(?:vulnerability|java) db\b|\bDB schema|skip-(?:java-)?db-update|"
    r"failed to download artifact|first run cannot skip|failed to open db",
    re.IGNORECASE,
)
_NOT_DATABASE = frozenset(
    {
        FailureClass.DISK,
        FailureClass.OUT_OF_MEMORY,
        FailureClass.TRIVY_SERVER,
        FailureClass.CONFIGURATION,
    }
)

# Reasons of Kubernetes: of a terminated or waiting container, a pod, a Job.
_REASONS: dict[str, FailureClass] = {
    "OOMKilled": FailureClass.OUT_OF_MEMORY,
    "DeadlineExceeded": FailureClass.TIMEOUT,
    "Evicted": FailureClass.INTERRUPTED,
    "Preempting": FailureClass.INTERRUPTED,
    "Preempted": FailureClass.INTERRUPTED,
    "NodeLost": FailureClass.INTERRUPTED,
    "NodeShutdown": FailureClass.INTERRUPTED,
    "Terminated": FailureClass.INTERRUPTED,
    "Shutdown": FailureClass.INTERRUPTED,
    "DeletionByTaintManager": FailureClass.INTERRUPTED,
    "DeletionByPodGC": FailureClass.INTERRUPTED,
    "EvictionByEvictionAPI": FailureClass.INTERRUPTED,
    "PreemptionByScheduler": FailureClass.INTERRUPTED,
    "TerminationByKubelet": FailureClass.INTERRUPTED,
    "ContainerStatusUnknown": FailureClass.INTERRUPTED,
    "UnexpectedAdmissionError": FailureClass.UNSCHEDULABLE,
    "Unschedulable": FailureClass.UNSCHEDULABLE,
    "SchedulingGated": FailureClass.UNSCHEDULABLE,
    "FailedScheduling": FailureClass.UNSCHEDULABLE,
    "NodeAffinity": FailureClass.UNSCHEDULABLE,  # of a pod that a node does not take after all
    "TopologyAffinityError": FailureClass.UNSCHEDULABLE,
    "PodOSNotSupported": FailureClass.UNSCHEDULABLE,
    "PodOSSelectorNodeLabelDoesNotMatch": FailureClass.UNSCHEDULABLE,
    "AppArmor": FailureClass.POD_START,
    "SysctlForbidden": FailureClass.POD_START,
    "FailedMount": FailureClass.POD_START,
    "FailedAttachVolume": FailureClass.POD_START,
    "FailedMapVolume": FailureClass.POD_START,
    "FailedCreatePodSandBox": FailureClass.POD_START,
    "ErrImagePull": FailureClass.SCANNER_IMAGE,
    "ImagePullBackOff": FailureClass.SCANNER_IMAGE,
    "ErrImageNeverPull": FailureClass.SCANNER_IMAGE,
    "InvalidImageName": FailureClass.SCANNER_IMAGE,
    "ImageInspectError": FailureClass.SCANNER_IMAGE,
    "RegistryUnavailable": FailureClass.SCANNER_IMAGE,
    "SignatureValidationFailed": FailureClass.SCANNER_IMAGE,
    "CreateContainerConfigError": FailureClass.POD_START,
    "CreateContainerError": FailureClass.SCANNER_IMAGE,
    "RunContainerError": FailureClass.SCANNER_IMAGE,
    "ContainerCannotRun": FailureClass.SCANNER_IMAGE,
    "StartError": FailureClass.SCANNER_IMAGE,
    "FailedCreate": FailureClass.ADMISSION,
    "Forbidden": FailureClass.ADMISSION,
    "Invalid": FailureClass.ADMISSION,
}
_OUT_OF = "OutOf"  # and a resource: of a pod that a node has no room for after all
_EVICTED_FOR_DISK = re.compile(
    r"ephemeral[- ](?:local )?storage|disk.?pressure|emptyDir|low on resource: inodes", re.IGNORECASE
)
_KILLED_AT_START = re.compile(r"init was OOM-killed", re.IGNORECASE)
_RUNS_AS_ROOT = re.compile(r"runAsNonRoot|run as root", re.IGNORECASE)
_EVICTED_FOR_MEMORY = re.compile(r"low on resource: memory|MemoryPressure", re.IGNORECASE)

# Exit codes of the scan pod's shell when Trivy had nothing to say.
_EXIT_CODES: dict[int, tuple[FailureClass, str]] = {
    124: (FailureClass.TIMEOUT, "Trivy ran into its time limit"),
    125: (FailureClass.SCANNER_IMAGE, "the scan container could not be started"),
    126: (FailureClass.SCANNER_IMAGE, "Trivy cannot be executed in the scan container"),
    127: (FailureClass.SCANNER_IMAGE, "there is no Trivy in the scan container's image"),
    137: (FailureClass.OUT_OF_MEMORY, "Trivy was killed, as a rule for its memory limit"),
    139: (FailureClass.SCANNER, "Trivy crashed"),
    143: (FailureClass.INTERRUPTED, "the scan was stopped from outside"),
}


def classify(
    *,
    exit_code: int | None = None,
    reason: str = "",
    stderr: str = "",
    message: str = "",
    database_step: bool = False,
) -> Failure:
    """Explain a failed scan from whatever is known of it.

    ``reason`` and ``message`` are Kubernetes' words (container, pod or Job), ``stderr`` is what Trivy wrote,
    ``database_step`` says that the step that failed only fetches a database.
    """
    said = essence(stderr)
    by_reason = _by_reason(reason, message)
    if by_reason is not None and (not said or by_reason is not FailureClass.INTERRUPTED):
        return failure(by_reason, ": ".join(filter(None, (reason, message or said))))
    if not said:
        said = essence(message)
    by_text = _by_text(said)
    if by_text not in _NOT_DATABASE and (database_step or _DATABASE.search(said)):
        return failure(FailureClass.DATABASE, said or "fetching the vulnerability database failed")
    if by_text is not None:
        return failure(by_text, said)
    if exit_code in _EXIT_CODES:
        failure_class, words = _EXIT_CODES[exit_code]
        return failure(failure_class, f"exit code {exit_code}: {words}" + (f" ({said})" if said else ""))
    words = said or reason or "Trivy said nothing"
    return failure(FailureClass.SCANNER, words if exit_code is None else f"exit code {exit_code}: {words}")


def _by_reason(reason: str, message: str) -> FailureClass | None:
    found = FailureClass.UNSCHEDULABLE if reason.startswith(_OUT_OF) else _REASONS.get(reason)
    if found is FailureClass.INTERRUPTED:
        if _EVICTED_FOR_DISK.search(message):
            return FailureClass.DISK
        if _EVICTED_FOR_MEMORY.search(message):
            return FailureClass.OUT_OF_MEMORY
    if found is FailureClass.SCANNER_IMAGE and _KILLED_AT_START.search(message):
        return FailureClass.OUT_OF_MEMORY
    if found is FailureClass.POD_START and _RUNS_AS_ROOT.search(message):
        return FailureClass.ADMISSION
    return found


_NAMES = re.compile(r"https?://[^\s\"]+|\"[^\"\s]*/[^\"\s]*\"")  # an image may be called "denied/404"


def _by_text(text: str) -> FailureClass | None:
    text = _NAMES.sub("", text)
    return next((failure_class for failure_class, pattern in _RULES if pattern.search(text)), None)
