"""What `trivyop status` makes of lines; reading them is tested end to end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from trivyop.cli.status import Line, show_failures, show_held_back, show_lines

NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
FINE = Line(
    namespace="shop",
    workload="replicaset/web-1",
    container="web",
    image="registry/web:1",
    state="Succeeded",
    critical=2,
    high=0,
    secrets=1,
    last_success="2026-01-02T11:59:18Z",
    attempts=1,
    image_scan="sha256-1",
)
NEVER = Line("shop", "job/new", "app", "registry/new:1", "NotScanned", image_scan="sha256-2")
FAILED = Line(
    namespace="shop",
    workload="pod/lost",
    container="app",
    image="registry/lost:1",
    state="Failed",
    reason="not-found",
    message="no such manifest",
    attempts=3,
    next_retry="2026-01-02T12:10:00Z",
    image_scan="sha256-3",
)


def cells(shown: str, line: int = 1) -> list[str]:
    """A line of the table, cell by cell; 0 is the header."""
    return [cell.strip() for cell in shown.splitlines()[line].split("   ") if cell.strip()]


def test_scanned_container_shows_counts_and_their_age() -> None:
    shown = show_lines([FINE], now=NOON)

    assert cells(shown)[4:] == ["Succeeded", "2", "0", "1", "42s"]
    assert shown.endswith("\n\n1 container: 1 Succeeded")


def test_clean_and_never_scanned_cannot_be_confused() -> None:
    clean = replace(FINE, critical=0, secrets=0)

    assert cells(show_lines([clean], now=NOON))[4:] == ["Succeeded", "0", "0", "0", "42s"]
    assert cells(show_lines([NEVER], now=NOON))[4:] == ["NotScanned", "-", "-", "-", "-"]


def test_failure_shows_its_class_message_and_next_try() -> None:
    shown = show_lines([FAILED], now=NOON)

    assert cells(shown)[4] == "Failed (not-found)"
    assert "\n\nregistry/lost:1: not-found: no such manifest (next try in 10m)\n\n" in shown


def test_failure_after_a_success_keeps_its_counts() -> None:
    """Old data stays visible until new data replaces it."""
    again = replace(FINE, state="Failed", reason="network", message="no route to host")

    assert cells(show_lines([again], now=NOON))[4:] == ["Failed (network)", "2", "0", "1", "42s"]


def test_image_that_failed_for_many_is_explained_once() -> None:
    others = [replace(FAILED, namespace="data"), replace(FAILED, workload="pod/other")]

    assert show_failures([FAILED, *others], now=NOON).count("no such manifest") == 1


def test_next_try_tells_what_is_due_and_what_never_comes() -> None:
    due = replace(FAILED, next_retry="2026-01-02T11:59:59Z")
    final = replace(FAILED, next_retry="")

    assert show_failures([due], now=NOON).endswith("(next try now)")
    assert show_failures([final], now=NOON).endswith("(no further try)")


def test_summary_counts_what_needs_attention_first() -> None:
    queued = replace(NEVER, state="Queued")

    shown = show_lines([FINE, FAILED, NEVER, queued, FINE], now=NOON)

    assert shown.endswith("\n\n5 containers: 1 NotScanned, 1 Failed, 2 Succeeded, 1 Queued")


def test_wide_adds_attempts_next_try_and_the_name_of_the_scan() -> None:
    shown = show_lines([FAILED], now=NOON, wide=True)

    assert cells(shown, 0)[-3:] == ["ATTEMPTS", "NEXT TRY", "IMAGESCAN"]
    assert cells(shown)[-3:] == ["3", "10m", "sha256-3"]


def test_nothing_to_show_is_said() -> None:
    assert show_lines([], now=NOON) == "No workloads found."


def test_images_that_wait_for_pods_to_start_are_counted_by_what_keeps_them() -> None:
    held = replace(FAILED, state="Queued", reason="admission", message="exceeded quota")
    lines = [replace(held, image_scan=f"scan-{number}") for number in range(3)]
    trying = replace(held, image_scan="scan-4", state="Running")
    queued = replace(held, image_scan="scan-5", reason="", message="")
    retried = replace(held, image_scan="scan-6", state="Running", reason="network", message="no route")

    shown = show_held_back([*lines, *lines, trying, queued, retried])

    assert shown == "4 images cannot be scanned yet: admission: exceeded quota"
