"""The endpoints, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from trivyop.observe.health import Health
from trivyop.web.server import AddressError, SeriesSource, parse_address, serving

ANY_PORT = "127.0.0.1:0"


@asynccontextmanager
async def served(
    registry: CollectorRegistry | None = None,
    health: Health | None = None,
    series: SeriesSource | None = None,
    *,
    metrics: str = ANY_PORT,
    probes: str = ANY_PORT,
) -> AsyncGenerator[dict[str, str]]:
    """The endpoints with what is given; yields their URLs."""
    async with serving(
        registry or CollectorRegistry(),
        health or Health(),
        series,
        metrics_address=metrics,
        probe_address=probes,
    ) as urls:
        yield urls


async def get(url: str, **headers: str) -> tuple[int, str, str]:
    """Status, content type and text."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":8080", (None, 8080)),
        ("127.0.0.1:9090", ("127.0.0.1", 9090)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("0", None),
        ("", None),
    ],
)
def test_address_is_host_and_port_or_off(text: str, address: tuple[str | None, int] | None) -> None:
    assert parse_address("SETTING", text) == address


@pytest.mark.parametrize("text", ["8080", "host", ":", "host:", ":x", ":-1", ":65536", "off"])
def test_malformed_address_is_refused_with_the_settings_name(text: str) -> None:
    with pytest.raises(AddressError, match=r"^SETTING='.*': write HOST:PORT, :PORT, or 0"):
        parse_address("SETTING", text)


async def test_metrics_are_served_as_prometheus_reads_them() -> None:
    registry = CollectorRegistry()
    Counter("trivyop_things_total", "Things.", registry=registry).inc(3)

    async with served(registry) as urls:
        status, content_type, text = await get(f"{urls['metrics']}/metrics")

    assert status == 200
    assert content_type.startswith("text/plain")
    assert "# HELP trivyop_things_total Things.\n" in text
    assert "trivyop_things_total 3.0\n" in text


async def test_metrics_are_served_as_openmetrics_to_who_asks_for_it() -> None:
    async with served() as urls:
        _, content_type, text = await get(
            f"{urls['metrics']}/metrics", Accept="application/openmetrics-text; version=1.0.0"
        )

    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/healthz", "/healthz/"])
async def test_process_is_alive_whatever_it_waits_for(path: str) -> None:
    health = Health()
    health.require("informers", lambda: "waiting for pods")

    async with served(health=health) as urls:
        assert (await get(urls["probes"] + path))[0] == 200


@pytest.mark.parametrize("path", ["/readyz", "/readyz/"])
async def test_readiness_names_what_holds_and_what_does_not(path: str) -> None:
    waiting: list[str] = ["pods"]
    health = Health()
    health.require("operator", lambda: None)
    health.require("informers", lambda: f"waiting for {', '.join(waiting)}" if waiting else None)

    async with served(health=health) as urls:
        before = await get(urls["probes"] + path)
        waiting.clear()
        after = await get(urls["probes"] + path)

    assert (before[0], before[2]) == (503, "[+] operator\n[-] informers: waiting for pods\nnot ready\n")
    assert (after[0], after[2]) == (200, "[+] operator\n[+] informers\nready\n")


async def test_each_address_has_its_own_endpoints() -> None:
    """Who may probe need not be able to scrape."""
    async with served() as urls:
        assert urls["metrics"] != urls["probes"]
        assert (await get(f"{urls['metrics']}/readyz"))[0] == 404
        assert (await get(f"{urls['probes']}/metrics"))[0] == 404


async def test_one_address_for_both_serves_both() -> None:
    address = f"127.0.0.1:{free_port()}"

    async with served(metrics=address, probes=address) as urls:
        assert urls["metrics"] == urls["probes"]
        assert (await get(f"{urls['metrics']}/metrics"))[0] == 200
        assert (await get(f"{urls['metrics']}/healthz"))[0] == 200


async def test_endpoint_can_be_switched_off() -> None:
    async with served(metrics="0") as urls:
        assert set(urls) == {"probes"}
    async with served(metrics="0", probes="0") as urls:
        assert urls == {}


async def test_address_in_use_is_told_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressError, match=f"cannot listen on {address}: "):
            async with served(metrics=address):
                pass


async def test_ports_are_free_again_after_the_block() -> None:
    address = f"127.0.0.1:{free_port()}"

    for _ in range(2):
        async with served(metrics=address) as urls:
            assert (await get(f"{urls['metrics']}/metrics"))[0] == 200


class Many:
    """Series in some pieces."""

    def chunks(self) -> Iterator[bytes]:
        yield b"# HELP a A.\n# TYPE a gauge\n"
        for n in range(1000):
            yield f'a{{n="{n}"}} {n}\n'.encode()


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_series_follow_in_the_format_of_the_rest(accept: str) -> None:
    registry = CollectorRegistry()
    Counter("b", "B.", registry=registry).inc()
    async with served(registry, series=Many()) as urls:
        _, content_type, text = await get(f"{urls['metrics']}/metrics", Accept=accept)

    parse = open_metrics if "openmetrics" in content_type else plain_text
    families = {family.name: family for family in parse(text)}
    assert accept.partition(";")[0] in content_type
    assert families.keys() - {"b_created"} == {"a", "b"}  # the client tells when a counter was made
    assert [sample.value for sample in families["a"].samples] == list(range(1000))
    assert text.count("# EOF") == ("openmetrics" in content_type)


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=abc",
        "application/openmetrics-text;version=2.x.1",
        "text/plain; version=abc",
        "text/plain;version=",
        f"text/plain; version={'9' * 5000}",
        "application/openmetrics-text;version=\N{GREEK SMALL LETTER ALPHA}",
        "text/plain; version=1.0.0; escaping=\N{GREEK SMALL LETTER ALPHA}",
        "application/openmetrics-text; version=9.0.0",
        ";;;,=,;q=,q",
    ],
)
async def test_malformed_wish_for_a_format_gets_the_plain_text(accept: str) -> None:
    async with served() as urls:
        status, content_type, _ = await get(f"{urls['metrics']}/metrics", Accept=accept)

    assert status == 200
    assert content_type.startswith("text/plain; version=")


async def test_page_is_compressed_for_who_takes_that() -> None:
    async with (
        served(series=Many()) as urls,
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{urls['metrics']}/metrics", headers={"Accept-Encoding": "gzip"}) as answer,
    ):
        packed = await answer.read()

    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed).count(b"\n") == 1002


async def test_others_get_their_turn_during_a_scrape() -> None:
    """Probes are answered while a page is rendered, however long it is."""
    answered = asyncio.Event()

    class Endless:
        def chunks(self) -> Iterator[bytes]:
            while not answered.is_set():
                yield b"a 1\n" * 1000

    async with served(series=Endless()) as urls:
        scrape = asyncio.create_task(get(f"{urls['metrics']}/metrics"))
        status, _, _ = await get(f"{urls['probes']}/healthz")
        answered.set()
        await scrape

    assert status == 200


async def test_readiness_tells_what_is_so_in_any_case() -> None:
    health = Health()
    health.require("operator", lambda: None)
    health.add_note("leader", lambda: "this replica leads")
    health.mention("database", lambda: "none yet")
    async with served(health=health) as urls:
        status, _, text = await get(f"{urls['probes']}/readyz?verbose")

    assert status == 200
    assert text == "[+] operator\n[i] leader: this replica leads\n[!] database: none yet\nready\n"


@pytest.mark.parametrize("path", ["/healthz/ping", "/readyz/ping"])
async def test_checks_that_controller_runtime_has_are_answered(path: str) -> None:
    async with served() as urls:
        assert (await get(urls["probes"] + path))[0] == 200
