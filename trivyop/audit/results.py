"""What Trivy printed of a batch, as outcomes by subject.

Promises: every subject has an answer. One that Trivy did not look at is unparsable, with Trivy's own words
for it if it had any; it never ends as an empty outcome. What others are in the batch makes no difference:
Trivy evaluates a check that is for pods on all resources as soon as there is one pod among them, which is
taken out again here. What Trivy adds to resources before it evaluates checks, the name of the file among it,
is not in messages. Custom policies find nothing on kinds that they are not for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from trivyop.audit.documents import Family
from trivyop.audit.engine import AuditError, AuditFailure, Batch, Check, Crash, Outcome, Subject
from trivyop.audit.policies import CustomPolicy, Policies
from trivyop.report.checkids import reported
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
_ADDED = '"__defsec_metadata": '
_ADDED_FIRST = re.compile(r'"__defsec_metadata": \{[^{}]*\}, ')
_ADDED_LAST = re.compile(r'(?:, )?"__defsec_metadata": \{[^{}]*\}')
_PATH = re.compile(r"(?:[^\s/]*/)+(?=[^\s/]+\.rego)")
_CRASHED = "Error occurred while applying rule from check"
_NOT_PARSED = "Failed to parse file"
_KEPT_CHECKS = 5000  # far more than Trivy has; what is told of custom ones may change all the time


class Place(msgspec.Struct, frozen=True):
    """Where a subject stands in a batch."""

    subject: Subject
    family: Family


class Scopes:
    """Which checks are for a family, by their packages, as found out in a run without any other family."""

    def __init__(self) -> None:
        self.known: dict[Family, frozenset[str]] = {}
        self.asked: set[Family] = set()  # about to be known

    def has(self, kind: str) -> bool:
        """Whether anything of this kind is known."""
        return any(family.kind == kind for family in tuple(self.known))


class ResultReader:
    """Reads results; one of these serves many batches, also in threads."""

    def __init__(self) -> None:
        self._passed: dict[_Told, Check] = {}

    def read(
        self, path: Path, errors: str, files: Mapping[str, Place], policies: Policies, scopes: Scopes
    ) -> Batch:
        """The outcomes; ``files`` says which subject is in which file.

        Where ``scopes`` has nothing for a family, what is found out about it is added.
        ``msgspec.MsgspecError`` or ``OSError`` when that is not what the template prints.
        """
        found: dict[Family, frozenset[str]] = {}
        told: list[_Told] = []
        outcomes: dict[str, Outcome | AuditError] = {}
        for file, checks in self._outcomes(path, files, policies, scopes, found, told):
            outcomes[files[file].subject.name] = checks
        reasons = dict(_said(errors, _NOT_PARSED))
        for file, place in files.items():
            name = place.subject.name
            if name not in outcomes:
                why = reasons.get(file, "Trivy does not take it for a Kubernetes resource")
                outcomes[name] = AuditError(AuditFailure.UNPARSABLE, shorten(why), name)
        crashes = dict(_said(errors, _CRASHED))
        packages = {policy.module.key: policy.module.package for policy in policies.custom}
        if crashes.keys() <= packages.keys():  # else it is not known what is missing
            missing = frozenset(packages[check] for check in crashes)
            scopes.known.update({family: packages_seen | missing for family, packages_seen in found.items()})
        return Batch(
            outcomes,
            tuple(Crash(check, without_path(message)) for check, message in crashes.items()),
            frozenset(one.namespace for one in told),
        )

    def _outcomes(
        self,
        path: Path,
        files: Mapping[str, Place],
        policies: Policies,
        scopes: Scopes,
        found: dict[Family, frozenset[str]],
        told: list[_Told],
    ) -> Iterator[tuple[str, Outcome]]:
        owners = _owners(policies)
        with path.open("rb") as lines:
            for target, results in _by_target(lines, told):
                place = files.get(target)
                if place is None:
                    continue
                family, kind = place.family, place.subject.kind
                scope = scopes.known.get(family)
                if scope is None:
                    spoke = frozenset(told[number].namespace for number, _ in results)
                    found[family] = found.get(family, frozenset()) | spoke
                yield (
                    target,
                    tuple(
                        self._pass(told[number])
                        if message is None
                        else _check(told[number], success=False, message=message)
                        for number, message in results
                        if (scope is None or told[number].namespace in scope)
                        and _speaks_of(owners, told[number].namespace, kind)
                    ),
                )

    def _pass(self, one: _Told) -> Check:
        check = self._passed.get(one)
        if check is None:
            if len(self._passed) > _KEPT_CHECKS:
                self._passed.clear()
            check = self._passed[one] = _check(one, success=True, message="")
        return check


def _by_target(
    lines: Iterable[bytes], told: list[_Told]
) -> Iterator[tuple[str, list[tuple[int, str | None]]]]:
    """Number of the check and message (None for passed) of all results of a file; checks go to ``told``."""
    target, results = "", list[tuple[int, str | None]]()
    for line in lines:
        if line.isspace():
            continue
        match _LINES.decode(line):
            case _Target(name):
                yield target, results
                target, results = name, []
            case _Told() as one:
                told.append(one)
            case _Failed(number, status, message):
                if status == "FAIL":
                    results.append((number, without_added(message)))
            case number:
                results.append((number, None))
    yield target, results


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


def without_added(message: str) -> str:
    """A message that may quote parts of the resource, with nothing in it that the resource does not have."""
    return _ADDED_LAST.sub("", _ADDED_FIRST.sub("", message)) if _ADDED in message else message


def without_path(message: str) -> str:
    """A message of Trivy about a module, without the directory that it was in for a moment."""
    return shorten(_PATH.sub("", message))


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
