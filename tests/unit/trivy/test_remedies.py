"""Remedies: for each cause that Kubernetes or Trivy names, what helps against that cause and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools.docs.settings_page import build_page
from trivyop.trivy.failureclasses import FailureClass
from trivyop.trivy.failures import classify
from trivyop.trivy.remedies import CAUSES, GENERAL, remedy_for

DATA = Path(__file__).parents[2] / "data"

# Reason and message as a Kubernetes 1.36 API server, its controllers and a kubelet write them.
OF_PODS: list[dict[str, str]] = json.loads((DATA / "pod-troubles.json").read_text())


@pytest.mark.parametrize("said", OF_PODS, ids=lambda said: f"{said['class']}: {said['cause']}")
def test_pods_that_cannot_be_made_or_started_say_what_helps(said: dict[str, str]) -> None:
    explained = classify(reason=said["reason"], message=said["message"])

    assert explained.failure_class == said["class"]
    causes = CAUSES[explained.failure_class]
    assert explained.remedy in [cause.remedy for cause in causes if cause.name == said["cause"]]


def test_every_setting_that_a_remedy_names_exists() -> None:
    known = build_page()
    remedies = [*GENERAL.values(), *(cause.remedy for causes in CAUSES.values() for cause in causes)]
    named = re.findall(r"\b(?:trivy|scanJob|node)\.[\w.]*\w|\bOPERATOR_\w+", " ".join(remedies))

    assert named
    assert [name for name in named if f"`{name}" not in known] == []


@pytest.mark.parametrize("failure_class", FailureClass)
def test_a_message_without_a_cause_gets_the_general_remedy(failure_class: FailureClass) -> None:
    assert remedy_for(failure_class, "") == GENERAL[failure_class]
