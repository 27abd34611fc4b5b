"""Slack and Teams: a digest that is short, within the services' limits, and that nobody can speak through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.notify.reports import ROWS, Json, change, report, vulnerability
from trivyop.kube.resources import ObjectKey
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import ScanFailed, Verb
from trivyop.notify.filters import Filter
from trivyop.notify.findings import diff, finding_ids
from trivyop.notify.formats import FORMATS, DigestFormat
from trivyop.notify.formats.digest import Digest, Note
from trivyop.notify.formats.slack import HEADING_LENGTH, TEXT_LENGTH
from trivyop.notify.formats.teams import MAX_BYTES
from trivyop.report.findings import Severity
from trivyop.settings.kinds import SecretText

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FORMATS_OF_DIGESTS = ("slack", "teams")


def endpoint(cluster: str = "", **wanted: object) -> Endpoint:
    wants = Filter.parse(wanted, endpoint="chat")
    return Endpoint(
        name="chat", url=SecretText("https://unused"), format="slack", cluster=cluster, filter=wants
    )


def note(document: Json, before: Json | None = None, to: Endpoint | None = None) -> Note | None:
    ids = finding_ids(before) if before else None
    return Note.of(change(document), diff(ids, document), to or endpoint())


def gone(document: Json) -> Note | None:
    found = diff(finding_ids(document), document, deleted=True)
    return Note.of(change(document, Verb.DELETE), found, endpoint())


def failed(image: str, message: str = "no") -> Note:
    scan = ObjectKey("trivy-system", f"scan-of-{image}")
    event = ScanFailed(scan, "u", image, "", "", "auth", message, 1, (), NOW, "h")
    made = Note.of(event, None, endpoint())
    assert made is not None
    return made


def notes(*made: Note | None) -> list[Note]:
    return [one for one in made if one is not None]


def render(name: str, made: list[Note], to: Endpoint | None = None) -> Json:
    """What a service is sent."""
    format_ = FORMATS[name]
    assert isinstance(format_, DigestFormat)
    (message,) = format_.digest(made, to or endpoint(), NOW)
    assert message.content_type == "application/json"
    body: Json = orjson.loads(message.body)
    return body


def slack_texts(body: Json) -> Iterator[Json]:
    for block in body["blocks"]:
        yield from block.get("elements", [block.get("text")])


def runs(body: Json) -> list[Json]:
    """Every run of text of a card."""
    (attachment,) = body["attachments"]
    return [run for block in attachment["content"]["body"] for run in block["inlines"]]


WEB = report(
    vulnerability("CVE-2023-5363", "HIGH", fixed="3.0.11", title="openssl: incorrect cipher key"),
    vulnerability("CVE-2025-27587", "LOW", fixed=""),
)


def test_slack_message_reads_well() -> None:
    body = render("slack", notes(note(WEB), failed("shop/old:1", "denied")), endpoint("prod"))

    texts = [text["text"] for text in slack_texts(body)]
    assert texts == [
        "prod: 2 new findings in 1 workload",
        "new: 1 high, 1 low; scans that fail: 1",
        (
            "*New findings*\n"
            "• *High* `CVE-2023-5363` in `openssl`, fixed in `3.0.11`: openssl: incorrect cipher key\n"
            "• *Low* `CVE-2025-27587` in `openssl`: about CVE-2025-27587"
        ),
        "*Workloads with new findings*\n• `shop/web` 1 high, 1 low",
        "*Scans that fail*\n• `shop/old:1` auth: denied",
    ]
    assert body["text"] == "prod: 2 new findings in 1 workload (new: 1 high, 1 low; scans that fail: 1)"


def test_teams_card_says_the_same() -> None:
    card = render("teams", notes(note(WEB), failed("shop/old:1", "denied")), endpoint("prod"))
    slack = render("slack", notes(note(WEB), failed("shop/old:1", "denied")), endpoint("prod"))

    words = re.sub(r"[*`•\n ]", "", "".join(text["text"] for text in slack_texts(slack)))
    assert re.sub(r"\s", "", "".join(run["text"] for run in runs(card))) == words
    content = card["attachments"][0]["content"]
    assert (content["type"], content["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in content["body"]} == {"RichTextBlock"}


def test_resolved_findings_and_failed_scans_alone_make_a_heading() -> None:
    (heading, *_) = slack_texts(render("slack", notes(note(report(), before=WEB))))
    (other, *_) = slack_texts(render("slack", [failed("a"), failed("b")]))

    assert heading["text"] == "2 findings resolved"
    assert other["text"] == "2 scans fail"


@pytest.mark.parametrize("name", FORMATS_OF_DIGESTS)
def test_nothing_to_tell_is_not_told(name: str) -> None:
    format_ = FORMATS[name]
    assert isinstance(format_, DigestFormat)

    assert format_.note(change(WEB), diff(finding_ids(WEB), WEB), endpoint()) is None
    assert list(format_.digest([], endpoint(), NOW)) == []


def test_rollout_that_changes_nothing_is_not_told() -> None:
    """The new ReplicaSet's report is new, the old one's goes: for people nothing has happened."""
    rows = WEB["report"]["vulnerabilities"]
    old, new = (report(*rows, name=f"web-{suffix}") for suffix in ("7b8cd85855", "6f94bd9c7b"))

    assert Digest.of(notes(note(new), gone(old)), endpoint()).empty


def test_rollout_that_brings_something_tells_that_alone() -> None:
    rows = WEB["report"]["vulnerabilities"]
    old = report(*rows, name="web-7b8cd85855")
    new = report(rows[0], vulnerability("CVE-3", "CRITICAL"), name="web-6f94bd9c7b")

    digest = Digest.of(notes(gone(old), note(new)), endpoint())

    assert digest.new == {Severity.CRITICAL: 1}
    assert [found.named.name for found in digest.findings] == ["CVE-3"]


def test_what_goes_with_its_workload_is_not_resolved() -> None:
    assert Digest.of(notes(gone(WEB)), endpoint()).empty


def test_finding_of_many_workloads_is_one_line() -> None:
    made = [note(report(vulnerability("CVE-1"), name=f"web{n}", kind="Pod")) for n in range(3)]

    digest = Digest.of(notes(*made), endpoint())

    (found,) = digest.findings
    assert found.workloads == 3
    assert digest.new == {Severity.HIGH: 3}


def test_worst_workloads_and_findings_come_first() -> None:
    few_bad = report(vulnerability("CVE-1", "CRITICAL"), name="a", kind="Pod")
    many_low = report(*(vulnerability(f"CVE-{n}", "LOW") for n in range(20, 29)), name="b", kind="Pod")

    digest = Digest.of(notes(note(many_low), note(few_bad)), endpoint())

    assert [workload for workload, _ in digest.workloads] == ["shop/a", "shop/b"]
    assert digest.findings[0].named.name == "CVE-1"


def test_filter_chooses_findings_and_only_new_ones_leave_out_what_is_gone() -> None:
    to = endpoint(severity="HIGH", onlyNew=True)
    before = report(vulnerability("CVE-9"))
    after = report(vulnerability("CVE-1"), vulnerability("CVE-2", "LOW"))

    digest = Digest.of(notes(note(after, before, to)), to)

    assert digest.new == {Severity.HIGH: 1}
    assert not digest.resolved


@given(st.lists(st.tuples(st.sampled_from("abcd"), ROWS, ROWS), max_size=5), st.randoms())
def test_order_of_notes_means_nothing(states: list[tuple[str, list[Json], list[Json]]], chance: Any) -> None:
    made = notes(
        *(
            note(report(*rows, name=name, kind="Pod"), report(*before, name=name))
            for name, before, rows in states
        )
    )
    other = list(made)
    chance.shuffle(other)

    assert Digest.of(made, endpoint()) == Digest.of(other, endpoint())


WILD = st.text(max_size=400) | st.sampled_from(
    [
        "<!channel> <@U123> <https://evil.example|click>",
        "@here #general *bold* _x_ ~y~ `z` ```w```",
        ":skull: &lt;!here&gt; &amp;",
        "[click](https://evil.example) **bold** <at>All</at> {{DATE(2026-01-02T00:00:00Z)}} ${x} {{{",
        "a\u202eb\u2066c\nd\x00e",
        "&" * 400,
        "{$" * 200,
    ]
)
WILD_ROWS = st.lists(
    st.builds(
        vulnerability, WILD, st.sampled_from(list(Severity)), fixed=WILD, resource=WILD, title=WILD
    ).map(dict),
    min_size=1,
    max_size=15,
)
WILD_NOTES = st.lists(
    st.tuples(WILD, WILD, WILD_ROWS, WILD).map(
        lambda one: [
            *notes(note(report(*one[2], name=one[0], namespace=one[1], kind="Pod"))),
            failed(one[0], one[3]),
        ]
    ),
    min_size=1,
    max_size=15,
).map(lambda lists: [made for each in lists for made in each])


@given(WILD_NOTES, WILD)
def test_slack_is_told_within_its_limits_and_nobody_speaks_through_it(made: list[Note], cluster: str) -> None:
    body = render("slack", made, endpoint(cluster))

    assert len(body["blocks"]) <= 50
    assert len(body["text"]) <= TEXT_LENGTH
    assert not re.search(r"[<>*~`]|\b_|_\b|&(?!amp;|lt;|gt;)", body["text"])
    for block in body["blocks"]:
        assert block["type"] != "header" or len(block["text"]["text"]) <= HEADING_LENGTH
    for text in slack_texts(body):
        assert 0 < len(text["text"]) <= TEXT_LENGTH
        assert not re.search("[<>]|&(?!amp;|lt;|gt;)", text["text"])
        assert text["type"] == "mrkdwn" or text["emoji"] is False
        if text["type"] == "mrkdwn":
            assert text["verbatim"] is True
            for line in text["text"].split("\n"):
                check_styles(line)


def check_styles(line: str) -> None:
    """Only what we style is styled: whole titles, severities, and code spans that are closed."""
    assert line.count("`") % 2 == 0
    outside = re.sub("`[^`]+`", "", line)
    assert "`" not in outside
    assert not re.search(r"~|(?<![^\W_])_|_(?![^\W_])", outside)
    assert re.fullmatch(r"\*[^*]+\*|• \*[^*]+\* [^*]*|[^*]*", outside)
    assert not re.search(r":[\w+'-]+:", outside)


@given(WILD_NOTES, WILD)
def test_teams_is_told_within_its_limits_and_nobody_speaks_through_it(made: list[Note], cluster: str) -> None:
    body = render("teams", made, endpoint(cluster))

    assert len(orjson.dumps(body)) <= MAX_BYTES
    for run in runs(body):
        assert run["type"] == "TextRun"
        assert run["text"]
        assert "{{" not in run["text"]
        assert "${" not in run["text"]
    assert "msteams" in body["attachments"][0]["content"]
    assert "entities" not in body["attachments"][0]["content"]["msteams"]


@pytest.mark.parametrize("name", FORMATS_OF_DIGESTS)
def test_what_is_not_to_be_seen_is_taken_out(name: str) -> None:
    row = vulnerability("CVE-1", title="a\u202eb\u2066c\nd\x00e\u2028f")

    assert "a b c d e f" in orjson.dumps(render(name, notes(note(report(row))))).decode()


@pytest.mark.parametrize("name", FORMATS_OF_DIGESTS)
def test_digest_of_very_much_says_how_much_more_there_is(name: str) -> None:
    made = [
        note(report(*(vulnerability(f"CVE-{n}-{m}") for m in range(50)), name=f"web{n}", kind="Pod"))
        for n in range(100)
    ]

    text = orjson.dumps(render(name, notes(*made))).decode()

    assert "5,000 new findings in 100 workloads" in text
    assert "and 4,990 more" in text
    assert "and 90 more" in text


def test_note_of_a_large_report_is_small() -> None:
    rows = [vulnerability(f"CVE-{n}", title="x" * 10_000) for n in range(1_000)]

    (made,) = notes(note(report(*rows)))

    assert len(made.news) == 6_000
    assert sum(len(text) for named in made.named for text in (named.name, named.title)) < 5_000
