"""Exposition: the text that Prometheus reads, for series that are too many to be objects first.

One line is ``name{a="b",c="d"} 1``. Whoever has many series writes their lines from pieces that repeat; the
two formats (Prometheus text, OpenMetrics) only differ in what stands around the lines of a gauge.
Not here: counters and histograms, of which there are few; ``prometheus_client`` renders those.
"""

from __future__ import annotations

from typing import Final

OPEN_METRICS_END: Final = b"# EOF\n"


def escape(value: str) -> str:
    """A label value as it stands between quotes."""
    if '"' in value or "\\" in value or "\n" in value:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value


def show_labels(**labels: str) -> str:
    """``a="b",c="d"``, in the order given; a trailing underscore of a name (``class_``) is dropped."""
    return ",".join(f'{name.removesuffix("_")}="{escape(value)}"' for name, value in labels.items())


def show_head(name: str, documentation: str) -> str:
    """The two lines before the series of a gauge."""
    text = documentation.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {name} {text}\n# TYPE {name} gauge\n"


def show_number(value: float) -> str:
    """As few digits as identify the number: 10, 5.5."""
    return str(int(value)) if value == int(value) else repr(float(value))
