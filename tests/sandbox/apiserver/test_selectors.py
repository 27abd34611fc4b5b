"""Selectors mean what they mean to Kubernetes; what is malformed is refused in its words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.apiserver.objects.refusals import Refused
from trivyop.sandbox.apiserver.selectors import matches, parse_fields, parse_labels, selector_of

WEB: dict[str, str] = {"app": "web", "tier": "front", "replicas": "3"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("app=web,tier==front", True),
        ("app != web", False),
        ("missing!=x", True),
        ("app in (db, web)", True),
        ("app notin (db)", True),
        ("missing notin (a,b)", True),
        ("tier", True),
        ("!tier", False),
        ("replicas>2,replicas<4", True),
        ("app>2", False),
        ("app in ()", False),
        ("app=", False),
        ("example.com/app", False),
    ],
)
def test_label_selectors(selector: str, selected: bool) -> None:
    assert matches(parse_labels(selector), WEB) is selected


@pytest.mark.parametrize(
    "selector", ["=x", "app in", "app in (a", "a b", ",", "app=a,", "a/b/c", "app=a=b", "(a)"]
)
def test_malformed_label_selectors_are_bad_requests(selector: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_labels(selector)
    assert refusal.value.code == 400


@given(st.text(max_size=30))
def test_any_text_is_a_selector_or_a_bad_request(text: str) -> None:
    """Whatever a client sends, the server does not crash."""
    for parse in (parse_labels, lambda t: parse_fields(t, ("metadata.name",))):
        with suppress(Refused):
            matches(parse(text), WEB)


def test_field_selectors_know_escapes_and_fields() -> None:
    selector = parse_fields(r"metadata.name=a\,b,spec.nodeName!=", ("metadata.name", "spec.nodeName"))

    assert matches(selector, {"metadata.name": "a,b", "spec.nodeName": "n"})
    assert not matches(selector, {"metadata.name": "a,b", "spec.nodeName": ""})
    with pytest.raises(Refused, match="field label not supported"):
        parse_fields("status.phase=Running", ("metadata.name", "spec.nodeName"))


@pytest.mark.parametrize(
    ("term", "selected"),
    [
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["back"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["back"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False),
        ({}, True),
    ],
)
def test_selectors_inside_objects(term: dict[str, Any], selected: bool) -> None:
    assert matches(selector_of(term), WEB) is selected
