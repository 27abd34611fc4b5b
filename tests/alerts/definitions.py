"""The dashboard and the alert rules, as they are in the manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from tests.e2e.programs import ROOT

Json = dict[str, Any]
RULES = ROOT / "manifests/prometheus/prometheusrule.yaml"
DASHBOARD: Json = json.loads((ROOT / "manifests/grafana/trivyop.json").read_text())
COMPONENTS = ROOT / "deploy/kustomize/components"

_VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$namespace": ".*"}


def groups() -> list[Json]:
    """The groups of rules; the caller's own."""
    found: list[Json] = yaml.safe_load(RULES.read_text())["spec"]["groups"]
    return found


@cache
def rules() -> tuple[Json, ...]:
    return tuple(rule for group in groups() for rule in group["rules"])


def alerts() -> list[Json]:
    return [rule for rule in rules() if "alert" in rule]


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard, with the panel's title."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def filled_in(query: str) -> str:
    """A query with values in the place of Grafana's variables."""
    for variable, value in _VARIABLES.items():
        query = query.replace(variable, value)
    assert "$" not in query
    return query
