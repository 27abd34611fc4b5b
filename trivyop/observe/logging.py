"""Logging: one structlog configuration, JSON lines in a cluster, readable lines on a terminal.

Event names are constants that say what happened; what varies is a bound key. Python's own `logging`
(aiohttp, kubernetes-asyncio) is sent through the same renderer, from level WARNING up.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = ("debug", "info", "warning", "error")


def _dumps(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _time_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put what every line has in front, so that lines of raw JSON can be read by people too."""
    head = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**head, **event}


def _threshold(level: str) -> int:
    if level not in LEVELS:
        raise ValueError(f"log level {level!r} is not one of {', '.join(LEVELS)}")
    return logging.getLevelNamesMapping()[level.upper()]


def set_level(level: str) -> None:
    """Log from `level` up from now on; raises ``ValueError`` for an unknown level."""
    threshold = _threshold(level)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(threshold))
    logging.getLogger().setLevel(max(threshold, logging.WARNING))


def configure_logging(level: str = "info", *, stream: TextIO | None = None, json: bool | None = None) -> None:
    """Set up logging for the process, from `level` up; raises ``ValueError`` for an unknown level.

    ``json=None`` decides by the stream: a terminal gets readable lines, anything else JSON.
    """
    threshold = _threshold(level)
    output = stream or sys.stderr
    as_json = not output.isatty() if json is None else json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        last: list[Processor] = [
            structlog.processors.format_exc_info,
            _time_first,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=output.isatty(), pad_event_to=0)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(output),
        cache_logger_on_first_use=False,  # for ``set_level``
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(threshold, logging.WARNING))
