"""The tables of the documentation that say what the code says: settings, metrics, failures.

Run ``python -m trivyop.cli.reference`` (``make docs``) after a change of any of them; a test compares. The
page of settings is written as a whole; of other pages only what stands between the markers
``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from trivyop.app import Operator
from trivyop.control.clock import SystemClock
from trivyop.control.queue import Priority
from trivyop.controllers.metrics import ScanCollector
from trivyop.controllers.usage import Usage
from trivyop.controllers.view import View
from trivyop.kube.client import Api
from trivyop.kube.config import Access, ClusterConfig
from trivyop.kube.discovery import Discovery
from trivyop.kube.transport import ApiMetrics
from trivyop.scan.slots import Slots
from trivyop.settings import load_settings
from trivyop.settings.reference import build_page as build_settings_page
from trivyop.trivy.failures import FailureClass, RetryPolicy, failure, retry_policy

_SETTING = re.compile(r"\btrivy\.[\w.-]*\w(?:\.<\w+>)?|\bOPERATOR_\w+")
_DOCS = Path(__file__).resolve().parents[2] / "docs"

# What each class of failure means; what helps is in the failure itself.
_MEANINGS: dict[FailureClass, str] = {
    FailureClass.AUTH: "The registry wants other credentials than those that were tried, or any at all.",
    FailureClass.NOT_FOUND: "The registry does not have the image.",
    FailureClass.INVALID_IMAGE: "The text in the workload is no image reference.",
    FailureClass.RATE_LIMIT: "The registry does not want to be asked so often.",
    FailureClass.TLS: "The registry's certificate is not trusted, or it does not speak TLS.",
    FailureClass.NETWORK: "The registry cannot be reached, or breaks off.",
    FailureClass.PLATFORM: "The image exists, but not for the platform of the node.",
    FailureClass.OUT_OF_MEMORY: "The scan needed more memory than it may have.",
    FailureClass.TIMEOUT: "The scan took longer than it may.",
    FailureClass.DISK: "There was no room for the image's layers, the database or the result.",
    FailureClass.DATABASE: "The vulnerability database, or the one of Java archives, could not be fetched.",
    FailureClass.TOO_LARGE: "The image is larger than what may be scanned.",
    FailureClass.ADMISSION: "The cluster refused the scan Job or its pod.",
    FailureClass.SCANNER_IMAGE: "The node could not start the image that holds Trivy.",
    FailureClass.INTERRUPTED: "The scan pod was evicted or deleted, or its node went away.",
    FailureClass.TRANSPORT: "The result did not arrive whole.",
    FailureClass.PARSE: "The result is not what Trivy promises to print, or is of another image.",
    FailureClass.SCANNER: "Trivy said something that fits no other class.",
}

# Metrics by what they are about: heading, and how their names begin. The first that fits counts.
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Scans and reports", ("trivyop_scan", "trivyop_image", "trivyop_report", "trivyop_database")),
    ("Kubernetes API", ("trivyop_api", "trivyop_informer", "trivyop_events")),
    ("Work in hand", ("trivyop_workqueue", "trivyop_reconcile")),
    ("Other", ("trivyop_",)),
)


class _Notes(CollectorRegistry):
    """A registry that remembers who registered."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        self.collectors.append(collector)
        super().register(collector)


def build_metrics_table() -> str:
    """Every metric of the operator's own, in tables by subject."""
    rows: dict[str, list[tuple[str, ...]]] = {heading: [] for heading, _ in _GROUPS}
    for family, labels in sorted(_families(), key=lambda one: one[0].name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        heading = next((heading for heading, starts in _GROUPS if name.startswith(starts)), None)
        if heading is not None:  # the others are of the Prometheus client
            cells = (f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels))
            rows[heading].append((*cells, family.documentation))
    header = ("Metric", "Type", "Labels", "Meaning")
    return "\n\n".join(
        f"### {heading}\n\n{_table(header, found)}" for heading, found in rows.items() if found
    )


def _families() -> Iterator[tuple[Metric, Sequence[str]]]:
    """The families of metrics with their labels, of an operator that is built and not run."""
    registry = _Notes()
    config = ClusterConfig(_nowhere, Access("https://unused"))
    api = Api(config, metrics=ApiMetrics(registry))
    Operator(api, load_settings({"OPERATOR_NAMESPACE": "unused"}, {}, {}, {}, {}), registry=registry)
    nothing = View(api, Discovery({}), operator_namespace="", watched_namespaces=(), clock=SystemClock())
    ScanCollector(registry, nothing, Usage(), Slots(1, _ignore))
    for collector in registry.collectors:
        for family in getattr(collector, "describe", collector.collect)():
            # no public name tells the labels of a metric that has no series yet
            labels = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
            yield family, labels


def _ignore(_scan: str, _priority: Priority) -> None:
    """Nobody waits for a slot here."""


async def _nowhere() -> Access:
    raise AssertionError("nothing is asked of a cluster here")


def build_failures_table() -> str:
    """Every class of failure: what it means, what helps, when it is tried again."""
    rows = [
        (
            f"`{one}`",
            _MEANINGS[one],
            _SETTING.sub(r"`\g<0>`", failure(one, "").remedy),
            _retries(retry_policy(one)),
        )
        for one in FailureClass
    ]
    return _table(("Reason", "What it means", "What helps", "Tried again"), rows)


def _retries(policy: RetryPolicy) -> str:
    if not policy.retries:
        return "when the workload changes"
    return f"after {_duration(policy.base_seconds)}, later every {_duration(policy.max_seconds)}"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:g} s"
    return f"{minutes:g} min" if minutes < 60 else f"{minutes / 60:g} h"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def build_pages(docs: Path = _DOCS) -> dict[Path, str]:
    """What the pages should hold; those with markers are read first."""
    return {
        docs / "settings.md": build_settings_page(),
        docs / "metrics.md": _replaced(docs / "metrics.md", "metrics", build_metrics_table()),
        docs / "troubleshooting.md": _replaced(
            docs / "troubleshooting.md", "failures", build_failures_table()
        ),
    }


def _replaced(page: Path, name: str, table: str) -> str:
    """The page with `table` between the markers; ``ValueError`` if they are not there, once each."""
    begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
    text, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _: f"{begin}\n\n{table}\n\n{end}",
        page.read_text(),
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{page} has the markers {begin} and {end} {count} times")
    return text


def main() -> None:
    """Write the pages that differ, and say which."""
    for path, text in build_pages().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            sys.stdout.write(f"written: {path}\n")


if __name__ == "__main__":
    main()
