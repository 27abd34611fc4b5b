"""Failed scans explained, with what Trivy really says (``tests/data/trivy-errors``)."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.trivy.failures import FailureClass, classify, failure
from trivyop.trivy.messages import MAX_MESSAGE, essence, shorten
from trivyop.trivy.remedies import CAUSES, GENERAL
from trivyop.trivy.retries import next_retry, retry_policy

SAMPLES = Path(__file__).parents[2] / "data" / "trivy-errors"

# By sample: its class, and the cause in ``remedies.py`` that it names ("" for none). All are of Trivy 0.76.0.
EXPECTED: dict[str, dict[str, str]] = json.loads((SAMPLES / "expected.json").read_text())


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.txt")), ids=lambda path: path.stem)
def test_every_recorded_error_has_its_class(sample: Path) -> None:
    first, _, output = sample.read_text().partition("\n")
    exit_code = int(first.removeprefix("# exit ").split(":")[0])

    explained = classify(exit_code=exit_code, stderr=output)

    assert explained.failure_class == EXPECTED[sample.stem]["class"]
    assert explained.message
    causes = {cause.name: cause.remedy for cause in CAUSES.get(explained.failure_class, ())}
    causes[""] = GENERAL[explained.failure_class]
    assert explained.remedy == causes[EXPECTED[sample.stem]["cause"]]
    assert len(explained.message) <= MAX_MESSAGE
    assert "\n" not in explained.message
    assert not re.search(r"docker\.sock|containerd\.sock|podman", explained.message)
    assert not re.search(r"run error:|scan error:|FATAL", explained.message)


# What registries, and what stands before them, answer, as Trivy repeats it: from memory, not recorded.
ANSWERS: list[dict[str, str]] = json.loads((SAMPLES.parent / "registry-answers.json").read_text())


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["said"][:70])
def test_every_answer_of_a_registry_has_its_class_and_cause(answer: dict[str, str]) -> None:
    output = (
        "2026-11-30T10:00:00Z\tFATAL\tFatal error\trun error: image scan error: scan error: unable to find "
        'the specified image "app:1" in ["remote"]: 1 error occurred:\n\t* remote error: '
        f"{answer['said']}\n\n"
    )

    explained = classify(exit_code=1, stderr=output)

    assert explained.failure_class == answer["class"]
    causes = {cause.name: cause.remedy for cause in CAUSES.get(explained.failure_class, ())}
    assert explained.remedy == (causes | {"": GENERAL[explained.failure_class]})[answer["cause"]]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("mkdir /home/scanner: permission denied", FailureClass.DISK),
        ("unlinkat /tmp/cache/db: operation not permitted", FailureClass.DISK),
        (
            "failed to download vulnerability DB: open /cache/db/trivy.db: permission denied",
            FailureClass.DISK,
        ),
        ("GET https://r.example.com/v2/a/manifests/1: DENIED: permission denied", FailureClass.AUTH),
    ],
)
def test_a_directory_that_cannot_be_written_is_no_missing_login(said: str, expected: FailureClass) -> None:
    explained = classify(exit_code=1, stderr=f"x\tFATAL\tFatal error\t{said}")

    assert explained.failure_class is expected
    assert ("trivy.imageScanCacheDir" in explained.remedy) == (expected is FailureClass.DISK)


def test_only_the_remote_error_is_told() -> None:
    """Trivy lists four errors; three are about container runtimes that nobody meant."""
    explained = classify(exit_code=1, stderr=(SAMPLES / "image-not-found.txt").read_text())

    assert explained.message == (
        "GET http://127.0.0.1:5000/v2/shop/web/manifests/9.9: "
        "MANIFEST_UNKNOWN: manifest unknown; map[Tag:9.9]"
    )


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("OOMKilled", "", FailureClass.OUT_OF_MEMORY),
        ("DeadlineExceeded", "Job was active longer than specified deadline", FailureClass.TIMEOUT),
        ("Evicted", "The node was low on resource: ephemeral-storage.", FailureClass.DISK),
        ("Evicted", "Pod ephemeral local storage usage exceeds the total limit.", FailureClass.DISK),
        ("Evicted", "The node was low on resource: inodes.", FailureClass.DISK),
        ("OutOfexample.com/device", "Pod was rejected", FailureClass.UNSCHEDULABLE),
        ("TopologyAffinityError", "Resources cannot be allocated", FailureClass.UNSCHEDULABLE),
        ("EvictionByEvictionAPI", "", FailureClass.INTERRUPTED),
        ("TerminationByKubelet", "", FailureClass.INTERRUPTED),
        ("StartError", "runc: container init was OOM-killed", FailureClass.OUT_OF_MEMORY),
        ("Evicted", "The node was low on resource: memory.", FailureClass.OUT_OF_MEMORY),
        ("Evicted", "Preempted by a pod on node n1", FailureClass.INTERRUPTED),
        ("ImagePullBackOff", 'Back-off pulling image "mirror/trivy"', FailureClass.SCANNER_IMAGE),
        ("FailedCreate", "exceeded quota: pods", FailureClass.ADMISSION),
        ("Forbidden", 'violates PodSecurity "restricted:latest"', FailureClass.ADMISSION),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root",
            FailureClass.ADMISSION,
        ),
    ],
)
def test_reasons_of_kubernetes_are_understood(reason: str, message: str, expected: FailureClass) -> None:
    assert classify(reason=reason, message=message).failure_class is expected


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    [
        (124, FailureClass.TIMEOUT),
        (127, FailureClass.SCANNER_IMAGE),
        (137, FailureClass.OUT_OF_MEMORY),
        (143, FailureClass.INTERRUPTED),
        (2, FailureClass.SCANNER),
        (None, FailureClass.SCANNER),
    ],
)
def test_exit_codes_without_a_word_are_explained(exit_code: int | None, expected: FailureClass) -> None:
    explained = classify(exit_code=exit_code)

    assert explained.failure_class is expected
    assert explained.message


def test_what_trivy_says_counts_more_than_its_exit_code() -> None:
    explained = classify(
        exit_code=137, stderr="2026-01-01T00:00:00Z\tFATAL\tFatal error\tTOOMANYREQUESTS: slow down"
    )

    assert explained.failure_class is FailureClass.RATE_LIMIT


@pytest.mark.parametrize("name", ["denied/404", "team/x509:", "a/unauthorized-429"])
def test_names_of_images_are_not_read_as_errors(name: str) -> None:
    said = f'GET https://example.com/v2/{name}/manifests/1: odd "r/{name}"'
    stderr = f"2026-01-01T00:00:00Z\tFATAL\tFatal error\t{said}"

    assert classify(exit_code=1, stderr=stderr).failure_class is FailureClass.SCANNER


@pytest.mark.parametrize("name", ["config-no-ignorefile", "config-no-file", "flag-scanner", "no-space-db"])
def test_what_is_wrong_with_settings_or_disks_is_so_in_the_databases_step(name: str) -> None:
    stderr = (SAMPLES / f"{name}.txt").read_text()

    assert classify(exit_code=1, stderr=stderr, database_step=True).failure_class == EXPECTED[name]["class"]


def test_database_step_is_about_the_database() -> None:
    stderr = (SAMPLES / "registry-too-many-requests.txt").read_text()

    assert classify(exit_code=1, stderr=stderr, database_step=True).failure_class is FailureClass.DATABASE


@given(st.integers(-1, 300), st.text(max_size=200), st.text(max_size=5000), st.text(max_size=500))
def test_anything_gets_a_class(exit_code: int, reason: str, stderr: str, message: str) -> None:
    explained = classify(exit_code=exit_code, reason=reason, stderr=stderr, message=message)

    assert explained.message
    assert len(explained.message) <= MAX_MESSAGE


@given(st.text(max_size=2000))
def test_messages_keep_their_two_ends(text: str) -> None:
    short = shorten(text)
    line = " ".join(text.split())

    assert len(short) <= MAX_MESSAGE
    assert short.startswith(line[:100])
    assert short.endswith(line[-100:])


def test_chatter_is_no_error() -> None:
    assert essence("2026-01-01T00:00:00Z\tINFO\t[vuln] Vulnerability scanning is enabled\n") == ""


@pytest.mark.parametrize("failure_class", FailureClass)
def test_every_class_has_a_policy_and_a_remedy(failure_class: FailureClass) -> None:
    policy = retry_policy(failure_class)

    assert failure(failure_class, "").remedy
    assert not policy.retries or 0 < policy.base_seconds <= policy.max_seconds


@pytest.mark.parametrize("failure_class", [one for one in FailureClass if retry_policy(one).retries])
def test_waits_grow_up_to_a_limit(failure_class: FailureClass) -> None:
    policy, rng = retry_policy(failure_class), random.Random(1)
    waits = [next_retry(failure_class, attempts, rng) for attempts in range(1, 100)]

    assert all(wait is not None and wait <= policy.max_seconds for wait in waits)
    assert waits[0] is not None
    assert policy.base_seconds / 2 <= waits[0] <= policy.base_seconds
    assert waits[-1] is not None
    assert waits[-1] >= policy.max_seconds / 2


def test_waits_are_spread() -> None:
    rng = random.Random(1)

    assert len({next_retry(FailureClass.NETWORK, 3, rng) for _ in range(50)}) == 50


def test_registry_may_ask_for_more_patience() -> None:
    assert next_retry(FailureClass.NETWORK, 1, random.Random(1), at_least_seconds=7000) == 7000


def test_what_cannot_help_is_not_tried() -> None:
    assert next_retry(FailureClass.INVALID_IMAGE, 1, random.Random(1)) is None
