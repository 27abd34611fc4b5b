"""Pages of a list: good objects come through, whatever stands beside them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from trivyop.errors import TerminalError, TransientError
from trivyop.kube.objects import Object
from trivyop.kube.pages import decode_one, decode_page
from trivyop.kube.resources import ObjectKey


def page(*items: Any, **metadata: str) -> bytes:
    return json.dumps({"kind": "PodList", "metadata": metadata, "items": items}).encode()


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"} | metadata}


def test_page_has_its_objects_its_version_and_its_continuation() -> None:
    body = page(pod("a"), pod("b"), resourceVersion="9", **{"continue": "more"})

    listing = decode_page(body, Object)

    assert [item.metadata.name for item in listing.items] == ["a", "b"]
    assert (listing.resource_version, listing.continue_token) == ("9", "more")


@pytest.mark.parametrize("kind", [Object, dict])
def test_only_who_asks_for_a_struct_is_spared_managed_fields(kind: type[Any]) -> None:
    body = json.dumps({"metadata": {}, "items": [pod("a", managedFields=[{"manager": "x"}], uid="u")]})
    body = body.replace(": ", ":").replace(", ", ",")

    [item] = decode_page(body.encode(), kind).items

    assert msgspec.to_builtins(item)["metadata"]["uid"] == "u"
    if kind is dict:
        assert item["metadata"]["managedFields"] == [{"manager": "x"}]


def test_managed_fields_that_are_not_what_they_should_be_cost_time_only() -> None:
    """With an array in them, what is left after taking them away is no JSON."""
    fields = [{"fieldsV1": {"f:a": [{}], "f:b": {}}}]
    body = json.dumps({"metadata": {}, "items": [pod("a", managedFields=fields)]}, separators=(",", ":"))

    assert [item.metadata.name for item in decode_page(body.encode(), Object).items] == ["a"]


def test_null_for_no_items_is_an_empty_list() -> None:
    """Some servers write what an empty slice is in their language."""
    assert decode_page(b'{"metadata": {}, "items": null}', Object).items == []


def test_malformed_object_costs_itself_and_is_named() -> None:
    left_out: list[ObjectKey] = []
    body = page(pod("a"), pod("b", labels="not a map"), {"metadata": 5}, pod("c"))

    listing = decode_page(body, Object, lambda key, _: left_out.append(key))

    assert [item.metadata.name for item in listing.items] == ["a", "c"]
    assert left_out == [ObjectKey("shop", "b"), ObjectKey("", "?")]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"metadata": {', b"[]", b'{"kind": "Status"}', b"\xff"])
def test_body_that_is_no_list_is_worth_another_try(body: bytes) -> None:
    with pytest.raises(TransientError):
        decode_page(body, Object)


def test_lone_malformed_object_is_terminal_and_named() -> None:
    with pytest.raises(TerminalError, match="shop/web is malformed"):
        decode_one(b'{"metadata": {"labels": 1}}', Object, "shop/web")
