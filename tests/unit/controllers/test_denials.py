"""Which refusals hold back a whole kind, when it is closed, and when it is open again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.clock import EagerClock, FakeClock
from tests.unit.kube.toy import api_to, status
from trivyop.controllers.denials import Denials
from trivyop.errors import AdmissionError, DeniedError, ForbiddenError, InvalidError, TerminalError
from trivyop.kube.resources import SBOMREPORTS, VULNERABILITYREPORTS

TEXT = (
    'PATCH /apis/x: 403 sbomreports.aquasecurity.github.io "a" is forbidden: User "u" cannot patch resource '
    '"sbomreports" in API group "aquasecurity.github.io" in the namespace "shop"'
)


class Reviewer:
    """Answers access reviews."""

    def __init__(self) -> None:
        self.allowed: bool | None = False  # None: nobody may ask
        self.asked: list[dict[str, str]] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        if self.allowed is None:
            return status(422)
        review = json.loads(await request.read())
        self.asked.append(review["spec"]["resourceAttributes"])
        return web.json_response(review | {"status": {"allowed": self.allowed}})


@asynccontextmanager
async def asking(reviewer: Reviewer, clock: FakeClock) -> AsyncGenerator[Denials]:
    async with api_to(reviewer, clock=clock) as api:
        denials = Denials(api, clock)
        running = asyncio.create_task(denials.run())
        yield denials
        running.cancel()
        await asyncio.wait([running])


async def test_denied_kind_is_held_back_then_closed_and_logged_once() -> None:
    clock = FakeClock()
    async with api_to(Reviewer(), clock=clock) as api:
        denials = Denials(api, clock)
        with capture_logs() as logs:
            assert denials.note(SBOMREPORTS, "", DeniedError(TEXT))
            assert denials.note(SBOMREPORTS, "", DeniedError(TEXT))
            assert denials.closed(SBOMREPORTS, "") is None
            assert denials.text() is None, "it may be over in a moment"
            with pytest.raises(DeniedError, match="cannot patch"):
                denials.check(SBOMREPORTS, "")
            denials.check(VULNERABILITYREPORTS, "")
            denials.check(SBOMREPORTS, "another scope")
            assert logs == []

            clock.advance(180)
            assert isinstance(denials.closed(SBOMREPORTS, ""), ForbiddenError)
            denials.check(SBOMREPORTS, "")
            assert denials.closed(SBOMREPORTS, "another scope") is None

        assert [line["event"] for line in logs] == ["kind_not_writable"]
        assert SBOMREPORTS.name in (denials.text() or "")


async def test_permission_that_is_given_opens_the_kind_within_a_minute() -> None:
    """One question for a kind, however many reports are held back."""
    clock, reviewer = EagerClock(), Reviewer()
    given = asyncio.Event()
    async with api_to(reviewer, clock=clock) as api:
        denials = Denials(api, clock)
        denials.add_handler(given.set)
        denials.note(SBOMREPORTS, "", ForbiddenError(TEXT))
        assert denials.closed(SBOMREPORTS, "") is not None
        for _ in range(10):
            await denials.ask()
            clock.advance(31)
        assert not given.is_set()
        assert reviewer.asked[0] == {
            "verb": "patch",
            "group": "aquasecurity.github.io",
            "resource": "sbomreports",
            "namespace": "shop",
        }

        reviewer.allowed = True
        await denials.ask()

        assert given.is_set()
        assert denials.closed(SBOMREPORTS, "") is None
        assert denials.text() is None


async def test_questions_become_rarer() -> None:
    clock, reviewer = FakeClock(), Reviewer()
    async with api_to(reviewer, clock=clock) as api:
        denials = Denials(api, clock)
        denials.note(SBOMREPORTS, "", DeniedError(TEXT))
        asked: list[float] = []
        for second in range(200):
            before = len(reviewer.asked)
            await denials.ask()
            if len(reviewer.asked) > before:
                asked.append(second)
            clock.advance(1)

    assert asked == [1, 3, 7, 15, 31, 61, 91, 121, 151, 181]


async def test_denial_is_followed_by_itself() -> None:
    clock, reviewer = FakeClock(), Reviewer()
    reviewer.allowed = True
    given = asyncio.Event()
    async with asking(reviewer, clock) as denials:
        denials.add_handler(given.set)
        denials.note(SBOMREPORTS, "", DeniedError(TEXT))
        await clock.until(lambda: clock.next_due == 1)
        clock.advance(1)
        await asyncio.wait_for(given.wait(), 10)


async def test_where_nobody_may_ask_a_write_has_to_show() -> None:
    clock, reviewer = FakeClock(), Reviewer()
    reviewer.allowed = None
    async with api_to(reviewer, clock=clock) as api:
        denials = Denials(api, clock)
        denials.note(SBOMREPORTS, "", ForbiddenError(TEXT))
        for _ in range(2):
            clock.advance(301)
            await denials.ask()

    assert denials.closed(SBOMREPORTS, "") is None


@pytest.mark.parametrize(
    "error",
    [
        AdmissionError('403 "a" is forbidden: exceeded quota: objects'),
        AdmissionError('403 admission webhook "policy" denied the request: no labels'),
        AdmissionError("403 unable to create new content in namespace shop because it is being terminated"),
        ForbiddenError("403 a proxy's page"),
        InvalidError("422 report.summary: Required value", ()),
        TerminalError("405 not allowed"),
    ],
)
async def test_refusal_of_one_report_closes_nothing(error: TerminalError) -> None:
    clock = FakeClock()
    async with api_to(Reviewer(), clock=clock) as api:
        denials = Denials(api, clock)

        assert not denials.note(SBOMREPORTS, "", error)
        denials.check(SBOMREPORTS, "")
        assert denials.closed(SBOMREPORTS, "") is None
