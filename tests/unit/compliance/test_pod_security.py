"""Each control of the two Pod Security specifications says of sixty pods what Pod Security admission says."""

from __future__ import annotations

import orjson

from tests.unit.audit.running import audit_all, auditing, subject_of
from tests.unit.compliance.podsecurity import RULES, pods
from tests.unit.compliance.reports import (
    audit_report,
    circumstances,
    findings_of,
    spec_document,
    specification,
)
from trivyop.audit.corrections import correct
from trivyop.audit.engine import AuditError
from trivyop.compliance.evaluation import Result, evaluate
from trivyop.settings.features import DEFAULT_CORRECTIONS

# By control and pod: what the control says instead, and why. All are of Trivy's checks; docs/compliance.md
# has them, too.
DIFFERENCES = {
    # KSV-0022 minds every capability that is added; the level lets pods have the usual ones.
    ("4", "adds-chown"): Result.FAIL,
    ("4", "adds-net-bind-service"): Result.FAIL,
    # KSV-0002 reads the annotation, and not the field that Kubernetes 1.30 has in its place.
    ("7", "armor-unconfined"): Result.PASS,
    # KSV-0104 minds a profile that is not set; the level minds Unconfined only.
    ("10", "bare"): Result.FAIL,
    ("10", "without-seccompprofile"): Result.FAIL,
    # KSV-0028 leaves hostPath to KSV-0023, which control 5 is answered from.
    ("12", "volume-hostpath"): Result.PASS,
}


async def test_verdicts_are_those_of_pod_security_admission() -> None:
    manifests = list(pods())
    async with auditing() as auditor:
        outcomes = await audit_all(auditor, [subject_of(pod) for pod in manifests])
    different: dict[tuple[str, str], Result] = {}
    said: dict[str, set[Result]] = {}
    for pod, outcome in zip(manifests, outcomes, strict=True):
        assert not isinstance(outcome, AuditError)
        checks = correct(outcome, orjson.dumps(pod), DEFAULT_CORRECTIONS).checks
        name = pod["metadata"]["name"]
        report = audit_report("Pod", [one.id for one in checks if not one.success], name=name)
        for level in ("baseline", "restricted"):
            asked = specification(spec_document(f"k8s-pss-{level}-0.1"))
            for answer in evaluate(asked.controls, findings_of(report), circumstances(asked)):
                number = answer.control.id
                said.setdefault(number, set()).add(answer.result)
                if answer.result is not (Result.FAIL if RULES[number](pod) else Result.PASS):
                    different[number, name] = answer.result

    assert len({pod["metadata"]["name"] for pod in manifests}) == 60
    assert different == DIFFERENCES
    assert said == {number: {Result.PASS, Result.FAIL} for number in RULES}  # each was put to the test
