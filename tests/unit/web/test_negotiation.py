"""Which format a client gets: any header has an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from trivyop.web.negotiation import choose_format, takes_gzip

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PIECES = [
    *("application/openmetrics-text", "text/plain", "*/*", "text/html", "version", "escaping", "q", "1.0.0"),
    *("0.0.4", "2.0.0", "abc", "0", "1", "0.5", "allow-utf-8", ",", ";", "=", " ", '"', "\x00", "\u03b1", ""),
]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/html, */*", PLAIN),
        ("text/plain", PLAIN),
        ("text/plain;version=0.0.4", PLAIN),
        ("application/openmetrics-text", OPEN_METRICS),
        ("application/OpenMetrics-Text; VERSION=1.0.0", f"{OPEN_METRICS}; escaping=underscores"),
        (PROMETHEUS_2, f"{OPEN_METRICS}; escaping=underscores"),
        (PROMETHEUS_3, f"{OPEN_METRICS}; escaping=allow-utf-8"),
        ("application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4", PLAIN),
        ("application/openmetrics-text;version=abc", PLAIN),
        ("application/openmetrics-text;version=2.0.0", PLAIN),  # a format that we do not write
        ("application/openmetrics-text;version=abc,application/openmetrics-text", OPEN_METRICS),
        ("application/openmetrics-text;q=0", PLAIN),
        ("application/openmetrics-text;q=high", PLAIN),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", PLAIN),
        ("text/plain;q=0.1,application/openmetrics-text;q=0.9", OPEN_METRICS),
    ],
)
def test_format_is_the_best_that_both_sides_have(accept: str, content_type: str) -> None:
    assert choose_format(accept)[1] == content_type


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_any_header_has_an_answer_that_can_be_sent(accept: str) -> None:
    """What a client wrote never comes back in our header, and never fails the scrape."""
    registry = CollectorRegistry()
    Counter("a", "A.", registry=registry)

    encode, content_type = choose_format(accept)

    assert content_type.startswith((PLAIN[:11], OPEN_METRICS[:28]))
    assert content_type.isascii()
    assert content_type.isprintable()
    assert encode(registry).endswith(b"# EOF\n") == content_type.startswith("application/openmetrics-text")


@given(st.one_of(st.text(), st.lists(st.sampled_from([*PIECES, "gzip"])).map("".join)))
def test_compression_is_only_for_who_lists_it(header: str) -> None:
    assert not takes_gzip(header) or "gzip" in header.lower()


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, identity", False),
        ("not-gzip", False),
    ],
)
def test_gzip_is_used_unless_it_is_ruled_out(header: str, *, takes: bool) -> None:
    assert takes_gzip(header) is takes
