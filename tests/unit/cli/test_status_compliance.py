"""What `trivyop status` says of compliance."""

from __future__ import annotations

import orjson

from trivyop.cli.status_compliance import Standing, show_compliance
from trivyop.compliance.resource import SaidStatus


def test_each_specification_has_a_line_and_its_problem_another() -> None:
    said = SaidStatus.parse(
        orjson.dumps(
            {
                "updateTimestamp": "2026-12-01T12:00:00Z",
                "nextRun": "2026-12-01T18:00:00Z",
                "summary": {"passCount": 5, "failCount": 3, "manualCount": 2, "notEvaluatedCount": 1},
                "conditions": [{"type": "Valid", "status": "False", "message": "spec.cron: it never fires"}],
            }
        )
    )

    shown = show_compliance([Standing("cis", said), Standing("new", SaidStatus())])

    lines = [line.split() for line in shown.splitlines()]
    assert ["cis", "5", "3", "2", "1", "2026-12-01T12:00:00Z", "2026-12-01T18:00:00Z"] in lines
    assert ["new", "-", "-", "-", "-", "never", "-"] in lines
    assert "cis: spec.cron: it never fires" in shown


def test_nothing_is_said_without_specifications() -> None:
    assert show_compliance([]) == ""
