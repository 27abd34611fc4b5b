"""What the operator's image is built from; there is no container engine here to build it with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Versions by package."""
    return dict(_PIN.findall((ROOT / lock).read_text()))


def names(requirements: list[str]) -> set[str]:
    found = {re.match(r"[A-Za-z0-9-]+", requirement) for requirement in requirements}
    return {match[0].lower() for match in found if match}


def test_image_has_the_versions_that_tests_run_with() -> None:
    image, tests = pins("requirements-image.lock"), pins("requirements.lock")

    assert {name: tests.get(name) for name in image} == image


def test_image_has_what_the_operator_needs_and_nothing_of_the_sandbox() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    image = set(pins("requirements-image.lock"))

    assert names([*project["dependencies"], *extras["rematch"], *extras["build"]]) <= image
    assert (
        not (names([*extras["sandbox"], *extras["dev"]]) - names([*extras["rematch"], *extras["build"]]))
        & image
    )


def test_every_pin_of_both_locks_has_a_hash() -> None:
    for lock in ("requirements.lock", "requirements-image.lock"):
        entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
        assert len(entries) == len(pins(lock))
        assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_image_runs_as_the_user_of_the_deployment_and_checks_hashes() -> None:
    text = (ROOT / "deploy" / "kustomize" / "Containerfile").read_text()
    deployment = (ROOT / "deploy" / "kustomize" / "base" / "deployment.yaml").read_text()

    assert re.findall(r"^USER (\d+):(\d+)$", text, re.MULTILINE) == [("10000", "10000")]
    assert "runAsUser: 10000\n" in deployment
    assert "--require-hashes" in text
    assert "ENTRYPOINT" not in text
    assert 'CMD ["trivyop", "run"]' in text


def test_build_gets_the_files_that_it_copies() -> None:
    """Everything is ignored but what `.containerignore` lets in."""
    text = (ROOT / "deploy" / "kustomize" / "Containerfile").read_text()
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in line.split()
    }
    let_in = {line[1:] for line in (ROOT / ".containerignore").read_text().split() if line.startswith("!")}

    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
