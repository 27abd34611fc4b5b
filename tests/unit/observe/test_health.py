from __future__ import annotations

from trivyop.observe.health import Health


def test_nothing_required_is_ready() -> None:
    assert Health().problems() == {}


def test_conditions_are_asked_anew_each_time() -> None:
    reason: list[str | None] = ["starting"]
    health = Health()
    health.require("operator", lambda: reason[0])

    assert health.problems() == {"operator": "starting"}
    reason[0] = None
    assert health.problems() == {}


def test_condition_of_the_same_name_takes_the_place_of_the_first() -> None:
    health = Health()
    health.require("operator", lambda: "old")
    health.require("operator", lambda: None)

    assert health.names() == ("operator",)
    assert health.problems() == {}


def test_names_come_in_the_order_they_were_required_in() -> None:
    health = Health()
    for name in ("b", "a"):
        health.require(name, lambda: None)

    assert health.names() == ("b", "a")
