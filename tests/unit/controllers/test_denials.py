"""Which refusals close a whole kind."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.clock import FakeClock
from trivyop.controllers.denials import Denials
from trivyop.errors import ForbiddenError, InvalidError, TerminalError
from trivyop.kube.resources import SBOMREPORTS, VULNERABILITYREPORTS

DENIED = ForbiddenError(
    'PATCH /apis/x: 403 sbomreports.aquasecurity.github.io "a" is forbidden: User "u" cannot patch resource '
    '"sbomreports" in API group "aquasecurity.github.io" in the namespace "shop"'
)


def test_denied_kind_is_told_once_and_closed_for_a_day() -> None:
    clock = FakeClock()
    denials = Denials(clock)
    with capture_logs() as logs:
        assert denials.note(SBOMREPORTS, "", DENIED)
        assert denials.note(SBOMREPORTS, "", DENIED)

    assert [line["event"] for line in logs] == ["kind_not_writable"]
    assert denials.holds(SBOMREPORTS, "")
    assert not denials.holds(VULNERABILITYREPORTS, "")
    assert not denials.holds(SBOMREPORTS, "shop"), "another scope"
    assert SBOMREPORTS.name in (denials.text() or "")

    clock.advance(24 * 3600)
    assert not denials.holds(SBOMREPORTS, "")
    assert denials.text() is None


@pytest.mark.parametrize(
    "error",
    [
        ForbiddenError('403 "a" is forbidden: exceeded quota: objects'),
        ForbiddenError('403 admission webhook "policy" denied the request: no labels'),
        ForbiddenError("403 unable to create new content in namespace shop because it is being terminated"),
        InvalidError("422 report.summary: Required value", ()),
        TerminalError("405 not allowed"),
    ],
)
def test_refusal_of_one_report_closes_nothing(error: TerminalError) -> None:
    denials = Denials(FakeClock())

    assert not denials.note(SBOMREPORTS, "", error)
    assert not denials.holds(SBOMREPORTS, "")
