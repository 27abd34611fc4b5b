"""What Trivy printed of a batch, as outcomes by subject.

Promises: every subject has an answer. One that Trivy did not look at is unparsable, with Trivy's own words
for it if it had any; it never ends as an empty outcome. Custom policies find nothing on kinds that they are not
for. Equal checks are one object, shared by all outcomes of a reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from trivyop.audit.engine import AuditError, AuditFailure, Batch, Check, Crash, Outcome, Subject
from trivyop.audit.ids import reported
from trivyop.audit.policies import CustomPolicy, Policies
from trivyop.report.findings import Severity
from trivyop.trivy.messages import shorten


class _Target(msgspec.Struct, array_like=True, tag="t", frozen=True):
    name: str


class _Told(msgspec.Struct, array_like=True, tag="c", frozen=True):
    namespace: str
    id: str
    title: str
    description: str
    resolution: str
    severity: str


class _Failed(msgspec.Struct, array_like=True, tag="f", frozen=True):
    number: int
    status: str
    message: str


_LINES: msgspec.json.Decoder[_Target | _Told | _Failed | int] = msgspec.json.Decoder(
    _Target | _Told | _Failed | int
)
_LOGGED = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')
_CRASHED = "Error occurred while applying rule from check"
_NOT_PARSED = "Failed to parse file"
_KEPT_CHECKS = 5000  # far more than Trivy has; what is told of custom ones may change all the time


class ResultReader:
    """Reads results; one of these serves many batches, also in threads, one after the other."""

    def __init__(self) -> None:
        self._passed: dict[_Told, Check] = {}

    def read(self, path: Path, errors: str, files: Mapping[str, Subject], policies: Policies) -> Batch:
        """The outcomes; ``files`` says which subject is in which file.

        ``msgspec.MsgspecError`` or ``OSError`` when that is not what the template prints.
        """
        outcomes: dict[str, Outcome | AuditError] = {}
        for file, checks in self._outcomes(path, files, policies):
            outcomes[files[file].name] = checks
        reasons = dict(_said(errors, _NOT_PARSED))
        for file, subject in files.items():
            if subject.name not in outcomes:
                why = reasons.get(file, "Trivy does not take it for a Kubernetes resource")
                outcomes[subject.name] = AuditError(AuditFailure.UNPARSABLE, shorten(why), subject.name)
        crashes = dict(_said(errors, _CRASHED))
        return Batch(outcomes, tuple(Crash(check, shorten(message)) for check, message in crashes.items()))

    def _outcomes(
        self, path: Path, files: Mapping[str, Subject], policies: Policies
    ) -> Iterator[tuple[str, Outcome]]:
        owners = _owners(policies)
        told: list[_Told] = []
        target = ""
        kind = ""
        checks: list[Check] = []
        with path.open("rb") as lines:
            for line in lines:
                if line.isspace():
                    continue
                match _LINES.decode(line):
                    case _Target(name):
                        if target in files:
                            yield target, tuple(checks)
                        target, checks = name, []
                        kind = files[name].kind if name in files else ""
                    case _Told() as one:
                        told.append(one)
                    case _Failed(number, status, message):
                        one = told[number]
                        if status == "FAIL" and _speaks_of(owners, one.namespace, kind):
                            checks.append(_check(one, success=False, message=message))
                    case number:
                        one = told[number]
                        if _speaks_of(owners, one.namespace, kind):
                            checks.append(self._pass(one))
        if target in files:
            yield target, tuple(checks)

    def _pass(self, one: _Told) -> Check:
        check = self._passed.get(one)
        if check is None:
            if len(self._passed) > _KEPT_CHECKS:
                self._passed.clear()
            check = self._passed[one] = _check(one, success=True, message="")
        return check


def _check(one: _Told, *, success: bool, message: str) -> Check:
    return Check(
        reported(one.id),
        one.title,
        one.description,
        one.resolution,
        Severity.parse(one.severity),
        success,
        message,
    )


def _owners(policies: Policies) -> dict[str, list[CustomPolicy]]:
    owners: dict[str, list[CustomPolicy]] = {}
    for policy in policies.custom:
        owners.setdefault(policy.module.package, []).append(policy)
    return owners


def _speaks_of(owners: Mapping[str, Sequence[CustomPolicy]], namespace: str, kind: str) -> bool:
    """Whether what a package found is wanted: it is Trivy's own, or its policy is for this kind."""
    policies = owners.get(namespace)
    return policies is None or any(policy.applies_to(kind) for policy in policies)


def logged(line: str) -> dict[str, str]:
    """The named values in a line of Trivy's log."""
    return {name: _unquoted(value) for name, value in _LOGGED.findall(line)}


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return msgspec.json.decode(value, type=str)
    except msgspec.MsgspecError:
        return value[1:-1]


def _said(errors: str, event: str) -> Iterator[tuple[str, str]]:
    """File (without its directory) and message of all lines that tell of the event."""
    for line in errors.splitlines():
        if event in line:
            values = logged(line.partition(event)[2])
            yield values.get("file_path", "").rpartition("/")[2], values.get("err", "")
