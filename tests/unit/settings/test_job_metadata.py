"""Labels and annotations of Jobs: what is taken, a server takes."""

from __future__ import annotations

import pytest

from tests.sandbox.objects.making import JOB, create
from trivyop.scan.job import IMAGE_SCAN_LABEL, ScanRequest, build_scan_job
from trivyop.settings import SettingsError, load_settings
from trivyop.workload.images import ImageName

REQUEST = ScanRequest(
    scan_name="sha256-1", scan_uid="", attempt=1, image=ImageName.parse("nginx:1"), namespace="shop"
)


def settings_of(**texts: str):
    return load_settings({"OPERATOR_NAMESPACE": "trivy-system"}, configmap=texts)


def test_labels_and_annotations_are_on_the_job_and_its_pod_and_a_server_takes_them() -> None:
    settings = settings_of(
        **{
            "scanJob.labels": "team=security,example.org/cost-centre=4711",
            "scanJob.annotations": "Example.org/Why=scan it,plain=",
            "scanJob.podTemplateLabels": "team=other",
        }
    )

    job, _ = build_scan_job(REQUEST, settings)
    stored = create(JOB, job, namespace=job["metadata"]["namespace"])

    assert {"team": "security", "example.org/cost-centre": "4711"}.items() <= stored["metadata"][
        "labels"
    ].items()
    assert {"Example.org/Why": "scan it", "plain": ""}.items() <= stored["metadata"]["annotations"].items()
    labels = stored["spec"]["template"]["metadata"]["labels"]
    assert {
        "team": "other",
        "example.org/cost-centre": "4711",
        IMAGE_SCAN_LABEL: "sha256-1",
    }.items() <= labels.items()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("scanJob.labels", "team", "has no '='"),
        ("scanJob.labels", "-team=x", "-team"),
        ("scanJob.labels", "team=not a value", "not a value"),
        ("scanJob.labels", f"team={'x' * 64}", "x"),
        ("scanJob.labels", "Example.org/team=x", "Example.org/team"),
        ("scanJob.labels", f"{IMAGE_SCAN_LABEL}=x", "the operator's own"),
        ("scanJob.labels", "app.kubernetes.io/managed-by=me", "the operator's own"),
        ("scanJob.labels", "job-name=x", "the Job controller"),
        ("scanJob.podTemplateLabels", "batch.kubernetes.io/controller-uid=x", "the Job controller"),
        ("scanJob.podTemplateLabels", f"{IMAGE_SCAN_LABEL}=x", "the operator's own"),
        ("scanJob.annotations", "a b=x", "a b"),
        ("scanJob.annotations", "trivyop.dev/attempt=7", "the operator's own"),
        ("scanJob.annotations", f"a={'x' * 250_000}", "more than the"),
    ],
)
def test_what_no_server_takes_is_refused_with_the_setting_named(name: str, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_of(**{name: text})

    assert name in str(refused.value)
    assert words in str(refused.value)


def test_pod_labels_may_replace_those_that_nothing_goes_by() -> None:
    settings = settings_of(**{"scanJob.podTemplateLabels": "app.kubernetes.io/managed-by=me"})

    job, _ = build_scan_job(REQUEST, settings)

    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "me"
