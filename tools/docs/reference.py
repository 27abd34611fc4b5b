"""The tables of the documentation that say what the code says: settings, metrics, failures.

Run ``python -m tools.docs.reference`` (``make docs``) after a change of any of them; a test compares. The
page of settings is written as a whole; of other pages only what stands between the markers
``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client.metrics_core import Metric

from tools.docs.log_events import MEANINGS, find_events
from tools.docs.settings_page import build_page as build_settings_page
from trivyop.app import Operator
from trivyop.kube.access import Access
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.transport import ApiMetrics
from trivyop.observe.registry import SteadyRegistry
from trivyop.report.kinds import all_families
from trivyop.settings import load_settings
from trivyop.trivy.failureclasses import FailureClass
from trivyop.trivy.remedies import CAUSES, GENERAL
from trivyop.trivy.retries import RetryPolicy, retry_policy

_SETTING = re.compile(r"\b(?:trivy|scanJob|node)\.[\w.-]*\w(?:\.<\w+>)?|\bOPERATOR_\w+")
_DOCS = Path(__file__).resolve().parents[2] / "docs"

# What each class of failure means; what helps is in the failure itself.
_MEANINGS: dict[FailureClass, str] = {
    FailureClass.AUTH: "The registry refuses the credentials that were tried, or requires some.",
    FailureClass.NOT_FOUND: "The registry does not have the image, or hides it.",
    FailureClass.INVALID_IMAGE: "The image name in the workload is not a valid reference.",
    FailureClass.UNSUPPORTED: "The reference leads to no image that Trivy can read, or to a damaged one.",
    FailureClass.RATE_LIMIT: "The registry limits how often it may be asked.",
    FailureClass.TLS: "The registry's certificate is not trusted, or the registry does not speak TLS.",
    FailureClass.NETWORK: "The registry cannot be reached, breaks the connection, or has an error.",
    FailureClass.PLATFORM: "The image exists, but not for the platform of the node.",
    FailureClass.OUT_OF_MEMORY: "The scan needed more memory than its limit.",
    FailureClass.TIMEOUT: "The scan took longer than its limit.",
    FailureClass.DISK: "There was no room for the image's layers, the database or the result.",
    FailureClass.DATABASE: "A database (vulnerabilities, Java archives) could not be fetched or read.",
    FailureClass.TRIVY_SERVER: "The Trivy server (mode ClientServer) refuses, or cannot be reached.",
    FailureClass.CONFIGURATION: "Trivy does not accept a setting, or a file that a setting names.",
    FailureClass.TOO_LARGE: "The image is larger than the limit for scans.",
    FailureClass.ADMISSION: "The API server refused the scan Job or its pod.",
    FailureClass.PERMISSION: "The operator may not create the scan Job, or may not read its log.",
    FailureClass.UNSCHEDULABLE: "The scheduler finds no node for the scan pod.",
    FailureClass.SCANNER_IMAGE: "The node could not start the image that holds Trivy.",
    FailureClass.POD_START: "The node could not give the scan pod a volume, Secret, ConfigMap or network.",
    FailureClass.INTERRUPTED: "The scan pod was evicted or deleted, or its node went away.",
    FailureClass.TRANSPORT: "The result arrived incomplete.",
    FailureClass.PARSE: "The result is not in Trivy's format, or is about another image.",
    FailureClass.SCANNER: "Trivy failed with a message that fits no other class.",
}

# Metrics by what they are about: heading, and how their names begin. The first that fits counts.
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Audits", ("trivyop_audit", "trivyop_polic", "trivyop_check", "trivyop_node")),
    ("Webhooks", ("trivyop_webhook",)),
    ("Metrics themselves", ("trivyop_series", "trivyop_reports_unread", "trivyop_collector")),
    ("Compliance", ("trivyop_compliance",)),
    ("Scans and reports", ("trivyop_scan", "trivyop_image", "trivyop_report", "trivyop_database")),
    ("Kubernetes API", ("trivyop_api", "trivyop_informer", "trivyop_events")),
    ("Work in hand", ("trivyop_workqueue", "trivyop_reconcile")),
    ("Other", ("trivyop_",)),
)


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
    registry = SteadyRegistry()
    config = ClusterConfig(_nowhere, Access("https://unused"))
    api = Api(config, metrics=ApiMetrics(registry))
    settings = load_settings({"OPERATOR_NAMESPACE": "unused"}, {}, {}, {}, {})
    Operator(api, settings, registry=registry).register_all()
    for collector in registry.collectors:
        for family in getattr(collector, "describe", collector.collect)():
            # no public name tells the labels of a metric that has no series yet
            labels = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
            yield family, labels


def build_series_table() -> str:
    """Every metric that is counted from reports."""
    rows = [
        (
            f"`{family.name}`",
            ", ".join(f"`{label}`" for label in family.labels),
            family.help,
            f"`{family.setting}`" if family.setting else "",
        )
        for family in all_families()
    ]
    return _table(("Metric", "Labels", "Meaning", "Off, unless set"), rows)


async def _nowhere() -> Access:
    raise AssertionError("nothing is asked of a cluster here")


def build_events_table() -> str:
    """Every event of the operator's log."""
    rows = [
        (
            f"`{event.name}`",
            ", ".join(event.levels),
            ", ".join(f"`{key}`" for key in event.keys),
            MEANINGS.get(event.name, ""),
        )
        for event in find_events()
    ]
    return _table(("Event", "Level", "Keys", "Meaning"), rows)


def build_failures_table() -> str:
    """Every class of failure: what it means, what helps, when it is tried again."""
    rows = [
        (
            f"`{one}`",
            _MEANINGS[one],
            _SETTING.sub(r"`\g<0>`", GENERAL[one]),
            _retries(retry_policy(one)),
        )
        for one in FailureClass
    ]
    return _table(("Reason", "What it means", "What helps", "Tried again"), rows)


def build_causes_table() -> str:
    """What helps where the message of a failure names its cause."""
    rows = [
        (f"`{one}`", cause.name, _SETTING.sub(r"`\g<0>`", cause.remedy))
        for one in FailureClass
        for cause in CAUSES.get(one, ())
    ]
    return _table(("Reason", "Cause", "What helps"), rows)


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
        docs / "metrics.md": _replaced(
            docs / "metrics.md", metrics=build_metrics_table(), series=build_series_table()
        ),
        docs / "logs.md": _replaced(docs / "logs.md", events=build_events_table()),
        docs / "troubleshooting.md": _replaced(
            docs / "troubleshooting.md", failures=build_failures_table(), causes=build_causes_table()
        ),
    }


def _replaced(page: Path, **tables: str) -> str:
    """The page with each table between its markers; ``ValueError`` if they are not there, once each."""
    text = page.read_text()
    for name, table in tables.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        block = f"{begin}\n\n{table}\n\n{end}"
        text, count = re.subn(
            f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, block=block: block, text, flags=re.DOTALL
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
