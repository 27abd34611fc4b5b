"""Trivy's error output, read for the one error that matters.

Trivy logs lines of chatter, then a fatal line that wraps the cause in the names of everything it went
through; for an image it adds one error per place it looked in, although only the registry was meant to work.

Promises: pure; any text gives one line, "" if nothing in it is an error.
Not here: what kind of error it is (``failures.py``).
"""

from __future__ import annotations

import re

MAX_MESSAGE = 400  # characters; goes into status fields, events and log lines

_FATAL = re.compile(r"\tFATAL\t(?:Fatal error\t)?|^FATAL\s+", re.MULTILINE)
_LOG_LINE = re.compile(
    r"^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)\t(?:DEBUG|INFO|WARN|ERROR)\t(?P<said>.*)$"
)
_REMOTE = re.compile(r"^\s*\* remote error: (?P<said>.+?)\s*(?=^\s*\* |\Z)", re.MULTILINE | re.DOTALL)
_LOCAL_SOURCE = re.compile(r"^\s*\* (?:docker|containerd|podman) error: .*$", re.MULTILINE)
_STEPS = (
    r"run error",
    r"(?:image |sbom )?scan error",
    r"init error",
    r"unable to initialize (?:a scan service|artifact|container image|an? image scann?er)",
    r"(?:failed|unable) to initialize the scanner",
    r"scan failed",
    r"failed analysis",
    r"(?:analyze|pipeline|walk|post analysis) error",
    r"failed to analyze layer \(sha256:[0-9a-f]{64}\)",
    r"failed to (?:process the|analyze) file",
    r"filter(?:ing)? error",
    r"unable to filter vulnerabilities",
    r"VEX error",
    r"unable to parse flags?(?=: )",
    r"unable to convert flags to options",
    r"(?:DB|database) error",
    r"OCI (?:artifact|repository|layer) error",
    r"(?:oci )?download error",
    r"copy error",
    r"failed to download (?:vulnerability|Java) DB(?=: .*failed to download artifact)",
    r"unable to get the image ID(?=: unable to get the image ID)",
)
_STEP = re.compile(rf"\b(?:{'|'.join(_STEPS)}): |\d+ errors? occurred:\s+\* ")
_CRASH = re.compile(r"^(?:fatal error|panic|runtime): .*$", re.MULTILINE)


def essence(output: str) -> str:
    """The one error in Trivy's output: of its fatal line, and of that the remote error, where there is one.

    Trivy tries Docker, containerd and podman before the registry and lists all four failures; only the last
    one is about the image. Without a fatal line it is the last line that is not chatter.
    """
    text = output.strip()
    fatal = list(_FATAL.finditer(text))
    if fatal:
        text = text[fatal[-1].end() :]
        remote = _REMOTE.search(text)
        if remote is not None:
            return _one_line(remote["said"])
        return _one_line(_without_steps(_LOCAL_SOURCE.sub("", text)))
    crash = _CRASH.search(text)
    if crash is not None:
        return _one_line(crash[0])
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    plain = [line for line in lines if not _LOG_LINE.match(line)]
    if plain:
        return _one_line(_without_steps(plain[-1]))
    errors = [match["said"] for line in lines if "\tERROR\t" in line and (match := _LOG_LINE.match(line))]
    return _one_line(errors[-1]) if errors else ""


def _without_steps(text: str) -> str:
    """Leave out the steps on the way to the error; what is tried, on what, and the answer stay."""
    return _STEP.sub("", text).strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def shorten(text: str) -> str:
    """One line of at most ``MAX_MESSAGE`` characters; beginning and end are kept, where the causes are."""
    text = _one_line(text)
    if len(text) <= MAX_MESSAGE:
        return text
    head = MAX_MESSAGE // 3
    return f"{text[:head]} ... {text[-(MAX_MESSAGE - head - 5) :]}"


_UNSUPPORTED = re.compile(r"unsupported artifact type \\?\"?(?P<type>[^\s\"\\]+)")


def no_image_in(message: str) -> str:
    """What to tell people if Trivy's message says that this is no image; "" if it says something else.

    Registries hold other things, too (Helm charts, models, signatures), and a volume may mount one. Trivy
    looks into images only, and says of anything whose manifest names another type that the type is not
    supported. Where such a manifest pretends to be an image, as Ollama's models do, or hides behind an
    index, Trivy reports an image without layers and without a finding.
    """
    found = _UNSUPPORTED.search(message)
    return f"it is an artifact of type {found['type']}, and no image" if found else ""
