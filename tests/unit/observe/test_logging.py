"""Log lines: JSON for machines, readable for people, nothing below the level."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from trivyop.observe.logging import LEVELS, configure_logging, set_level


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Logging is the process's: put it back."""
    root = logging.getLogger()
    handlers, level, config = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**config)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_of_json_starts_with_time_level_and_event() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    structlog.get_logger().info("scan_failed", image="nginx:1", seconds=3)

    (line,) = lines(stream)
    assert list(line) == ["timestamp", "level", "event", "image", "seconds"]
    assert line | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "event": "scan_failed",
        "image": "nginx:1",
        "seconds": 3,
    }
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_keys_bound_around_are_in_the_line() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    with bound_contextvars(key="shop/web"):
        structlog.get_logger().info("reconciled")

    assert lines(stream)[0]["key"] == "shop/web"


@pytest.mark.parametrize("level", LEVELS)
def test_lines_below_the_level_are_not_written(level: str) -> None:
    stream = io.StringIO()
    configure_logging(level, stream=stream)
    log = structlog.get_logger()

    for one in LEVELS:
        getattr(log, one)("said")

    assert [line["level"] for line in lines(stream)] == list(LEVELS[LEVELS.index(level) :])


def test_level_may_change_while_loggers_are_in_use() -> None:
    stream = io.StringIO()
    configure_logging("error", stream=stream)
    log = structlog.get_logger()
    log.info("before")
    configure_logging("info", stream=stream)
    log.info("after")

    assert [line["event"] for line in lines(stream)] == ["after"]


def test_exception_is_one_field_of_one_line() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("reconcile_crashed")

    (line,) = lines(stream)
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'broken'")


def test_what_is_no_json_is_written_as_text() -> None:
    """A log line is never the reason of a failure."""
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    structlog.get_logger().info("odd", value={1: object})

    assert lines(stream)[0]["value"] == {"1": str(object)}


def test_terminal_gets_lines_for_people() -> None:
    stream = Terminal()
    configure_logging("info", stream=stream)

    structlog.get_logger().info("scan_failed", image="nginx:1")

    assert "scan_failed" in stream.getvalue()
    assert "nginx:1" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(stream)


@pytest.mark.parametrize(("stream", "as_json"), [(Terminal(), True), (io.StringIO(), False)])
def test_format_can_be_asked_for(stream: io.StringIO, as_json: bool) -> None:
    configure_logging("info", stream=stream, json=as_json)

    structlog.get_logger().info("said")

    assert stream.getvalue().startswith("{") == as_json


def test_no_colours_outside_of_terminals() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream, json=False)

    structlog.get_logger().warning("said", key="value")

    assert "\x1b" not in stream.getvalue()


def test_other_libraries_are_heard_from_warnings_on_in_the_same_format() -> None:
    stream = io.StringIO()
    configure_logging("debug", stream=stream)

    logging.getLogger("aiohttp").info("not this")
    logging.getLogger("aiohttp").warning("but %s", "this")

    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("but this", "warning")


def test_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="'verbose' is not one of debug, info, warning, error"):
        configure_logging("verbose")


def test_level_changes_for_loggers_that_are_there_already() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    logger = structlog.get_logger("trivyop.controllers")

    logger.debug("before")
    set_level("debug")
    logger.debug("meanwhile")
    set_level("warning")
    logger.info("after")
    logging.getLogger("aiohttp").warning("foreign")

    assert [line["event"] for line in lines(stream)] == ["meanwhile", "foreign"]


def test_unknown_level_changes_nothing() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)

    with pytest.raises(ValueError, match="loud"):
        set_level("loud")

    structlog.get_logger().info("still")
    assert len(lines(stream)) == 1
