from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.objects.making import DEPLOYMENT, POD
from trivyop.sandbox.apiserver.objects.refusals import Refused
from trivyop.sandbox.apiserver.objects.strategic import strategic_patch


def containers(*names: str, **fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, **fields} for name in names]}}


def patched(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(document)
    result = strategic_patch(POD.schema, document, patch)
    assert document == before
    return result


def names(document: dict[str, Any]) -> list[str]:
    return [container["name"] for container in document["spec"]["containers"]]


def test_items_merge_by_key_and_new_ones_follow_the_one_before_them() -> None:
    result = patched(containers("a", "b", image="1"), containers("a", "c", image="2"))

    assert names(result) == ["a", "c", "b"]
    assert [container["image"] for container in result["spec"]["containers"]] == ["2", "2", "1"]


def test_directives_delete_replace_and_order() -> None:
    live = containers("a", "b", "c", image="1")

    deleted = {"spec": {"containers": [{"name": "b", "$patch": "delete"}]}}
    assert names(patched(live, deleted)) == ["a", "c"]
    replaced = {"spec": {"containers": [{"$patch": "replace"}, {"name": "z"}]}}
    assert names(patched(live, replaced)) == ["z"]
    ordered = {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}]}}
    assert names(patched(live, ordered)) == ["c", "a", "b"]


def test_scalars_merge_where_they_are_a_set_and_are_replaced_elsewhere() -> None:
    live = {"metadata": {"finalizers": ["x/a"]}, "spec": {"tolerations": [{"key": "a"}]}}
    patch = {"metadata": {"finalizers": ["x/b"]}, "spec": {"tolerations": [{"key": "b"}]}}

    result = patched(live, patch)

    assert result["metadata"]["finalizers"] == ["x/b", "x/a"]
    assert result["spec"]["tolerations"] == [{"key": "b"}]
    gone = patched(result, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/a"]}})
    assert gone["metadata"]["finalizers"] == ["x/b"]


def test_retain_keys_drops_what_the_patch_does_not_list() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}

    assert strategic_patch(DEPLOYMENT.schema, live, patch) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_null_deletes() -> None:
    assert patched({"metadata": {"labels": {"a": "b", "c": "d"}}}, {"metadata": {"labels": {"a": None}}}) == {
        "metadata": {"labels": {"c": "d"}}
    }


def test_an_item_without_its_key_is_the_servers_problem() -> None:
    with pytest.raises(Refused) as refused:
        patched(containers("a"), {"spec": {"containers": [{"image": "nameless"}]}})
    assert refused.value.code == 500
    assert refused.value.message == "map: map[image:nameless] does not contain declared merge key: name"


NAMES = st.lists(st.sampled_from("abcdef"), unique=True)


@given(NAMES, NAMES)
def test_the_patchs_order_holds_and_nothing_is_lost(live: list[str], patch: list[str]) -> None:
    result = names(patched(containers(*live), containers(*patch)))

    assert sorted(result) == sorted({*live, *patch})
    assert [name for name in result if name in patch] == patch
    assert [name for name in result if name not in patch] == [name for name in live if name not in patch]
