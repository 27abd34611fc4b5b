"""Transport: what can go wrong between us and a server, over a real socket."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from tests.clock import FakeClock
from tests.unit.kube.toy import config_of, serving, status
from trivyop.errors import DeniedError, ForbiddenError, TransientError
from trivyop.kube.access import Access
from trivyop.kube.transport import ApiMetrics, Call, SilentError, Transport
from trivyop.sandbox.pki import Pki

GET = Call("get", "pods", "GET", "/api/v1/pods")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def ok(request: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


async def never(request: web.BaseRequest) -> web.Response:
    return await asyncio.get_running_loop().create_future()


def transport(url: str, clock: FakeClock, **options: Any) -> Transport:
    return Transport(config_of(url), user_agent="trivyop/test", clock=clock, **options)


async def test_request_carries_who_we_are_and_what_we_want(clock: FakeClock) -> None:
    seen: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        seen.append(request)
        return web.Response(text=(await request.read()).decode()[::-1])

    async with serving(handler) as url:
        config = config_of(url, Access(f"{url}/k8s/c1", authorization="Bearer secret"))
        async with Transport(config, user_agent="trivyop/test", clock=clock) as http:
            call = replace(
                GET, method="POST", params={"limit": "5"}, body=b"abc", content_type="x/y", accept="z/*"
            )
            assert await http.request(call) == b"cba"

    [request] = seen
    assert request.path_qs == "/k8s/c1/api/v1/pods?limit=5"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["User-Agent"] == "trivyop/test"
    assert (request.headers["Content-Type"], request.headers["Accept"]) == ("x/y", "z/*")


async def test_server_that_does_not_know_us_is_shown_new_credentials_once(clock: FakeClock) -> None:
    tokens: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        tokens.append(request.headers["Authorization"])
        return web.Response(text="hello") if tokens[-1] == "new" else status(401, "Unauthorized")

    async with serving(handler) as url:
        config = config_of(url, *(Access(url, authorization=token) for token in ("old", "new", "worse")))
        async with Transport(config, user_agent="t", clock=clock) as http:
            assert await http.request(GET) == b"hello"
            assert tokens == ["old", "new"]

        config = config_of(url, *(Access(url, authorization=token) for token in ("bad", "worse", "new")))
        tokens.clear()
        async with Transport(config, user_agent="t", clock=clock) as http:
            with pytest.raises(TransientError, match="401"):
                await http.request(GET)
            assert tokens == ["bad", "worse"]


async def test_credentials_that_did_not_change_are_not_shown_again(clock: FakeClock) -> None:
    count = 0

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal count
        count += 1
        return status(401, "Unauthorized")

    async with serving(handler) as url, transport(url, clock) as http:
        with pytest.raises(TransientError, match="401"):
            await http.request(GET)
    assert count == 1


async def test_servers_wish_to_be_left_alone_for_a_while_reaches_the_caller(clock: FakeClock) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return status(429, "TooManyRequests", **{"Retry-After": "12"})

    async with serving(handler) as url, transport(url, clock) as http:
        with pytest.raises(TransientError) as refused:
            await http.request(GET)
        assert refused.value.retry_after == 12


async def test_refusal_names_the_request_but_not_its_query(clock: FakeClock) -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return status(403, "Forbidden", "not you")

    async with serving(handler) as url, transport(url, clock) as http:
        for error in (DeniedError, ForbiddenError):
            with pytest.raises(error, match=r"^GET /api/v1/pods: 403 not you$"):
                await http.request(replace(GET, params={"token": "secret"}))
            clock.advance(180)


async def test_server_that_is_not_there(clock: FakeClock) -> None:
    async with serving(ok) as url:
        pass
    async with transport(url, clock) as http:
        with pytest.raises(TransientError, match="GET /api/v1/pods"):
            await http.request(GET)


async def test_server_that_hangs_up_in_mid_answer(clock: FakeClock) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with serving(handler) as url, transport(url, clock) as http:
        with pytest.raises(TransientError):
            await http.request(GET)
        with pytest.raises(TransientError):
            async with http.stream(GET) as stream:
                [chunk async for chunk in stream.chunks(lambda: 60)]


async def test_server_that_never_answers_is_given_up(clock: FakeClock) -> None:
    async with serving(never) as url, transport(url, clock) as http:
        asking = asyncio.create_task(http.request(replace(GET, seconds=30)))
        await clock.until_pending()
        clock.advance(30)
        with pytest.raises(TransientError, match="no answer in time"):
            await asking


async def test_stream_that_falls_silent_is_given_up(clock: FakeClock) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"word")
        return await never(request)

    async with serving(handler) as url, transport(url, clock) as http, http.stream(GET) as stream:
        chunks = stream.chunks(lambda: 150)
        assert await anext(chunks) == b"word"
        waiting = asyncio.ensure_future(anext(chunks))
        await clock.until_pending()
        clock.advance(150)
        with pytest.raises(SilentError, match="silent for 150 s"):
            await waiting


async def test_errors_of_the_streams_reader_stay_its_own(clock: FakeClock) -> None:
    """A full disk under the reader is not the network's fault."""
    async with serving(ok) as url, transport(url, clock) as http:
        with pytest.raises(OSError, match="disk full"):
            async with http.stream(GET):
                raise OSError("disk full")


async def test_requests_share_slots_that_streams_do_not_take(clock: FakeClock) -> None:
    open_now, most = 0, 0
    gate = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal open_now, most
        if request.path == "/stream":
            response = web.StreamResponse()
            await response.prepare(request)
            await gate.wait()
            return response
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0)
        open_now -= 1
        return web.Response(text="hello")

    async with serving(handler) as url, transport(url, clock, max_requests=2) as http:
        async with http.stream(replace(GET, path="/stream")), http.stream(replace(GET, path="/stream")):
            answers = await asyncio.gather(*(http.request(GET) for _ in range(20)))
        gate.set()
        assert answers == [b"hello"] * 20
    assert most <= 2


async def test_new_certificate_is_shown_on_new_connections(clock: FakeClock, tmp_path: Path) -> None:
    """A certificate is proven once per connection, so one that expired sticks to the open ones."""
    pki = Pki.create()
    (tmp_path / "ca").write_bytes(pki.ca_pem)

    def access(url: str, name: str) -> Access:
        certificate, key = pki.issue(name)
        (tmp_path / f"{name}.crt").write_bytes(certificate)
        (tmp_path / f"{name}.key").write_bytes(key)
        files = {"cert_file": str(tmp_path / f"{name}.crt"), "key_file": str(tmp_path / f"{name}.key")}
        return Access.of(url, ca_file=str(tmp_path / "ca"), **files)

    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        subject = request.transport.get_extra_info("peercert")["subject"]
        name = dict(pair[0] for pair in subject)["commonName"]
        return status(401, "Unauthorized") if name == "old" else web.Response(text=name)

    async with serving(handler, pki.server_context("api", ["127.0.0.1"])) as url:
        config = config_of(url, access(url, "old"), access(url, "new"))
        async with Transport(config, user_agent="t", clock=clock) as http:
            assert await http.request(GET) == b"new"


async def test_server_with_a_certificate_of_an_unknown_authority_is_not_spoken_to(
    clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "ca").write_bytes(Pki.create("somebody else").ca_pem)
    reached = False

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal reached
        reached = True
        return web.Response(text="hello")

    async with serving(handler, Pki.create().server_context("api", ["127.0.0.1"])) as url:
        config = config_of(url, Access.of(url, ca_file=str(tmp_path / "ca"), authorization="Bearer secret"))
        async with Transport(config, user_agent="t", clock=clock) as http:
            with pytest.raises(TransientError, match=r"(?i)certificate"):
                await http.request(GET)
    assert not reached


async def test_authority_that_was_replaced_is_read_anew(clock: FakeClock, tmp_path: Path) -> None:
    pki = Pki.create()
    (tmp_path / "old").write_bytes(Pki.create("old").ca_pem)
    (tmp_path / "new").write_bytes(pki.ca_pem)

    async with serving(ok, pki.server_context("api", ["127.0.0.1"])) as url:
        accesses = (Access.of(url, ca_file=str(tmp_path / name)) for name in ("old", "new"))
        async with Transport(config_of(url, *accesses), user_agent="t", clock=clock) as http:
            assert await http.request(GET) == b"hello"


async def test_request_goes_by_way_of_the_proxy(clock: FakeClock) -> None:
    seen: list[str] = []

    async def proxy(request: web.BaseRequest) -> web.Response:
        seen.append(request.raw_path)
        return web.Response(text="by proxy")

    async with serving(proxy) as proxy_url:
        config = config_of("", Access("http://api.example.com", proxy=proxy_url))
        async with Transport(config, user_agent="t", clock=clock) as http:
            assert await http.request(GET) == b"by proxy"
    assert seen == ["http://api.example.com/api/v1/pods"]


async def test_tls_goes_through_a_proxy_end_to_end_and_by_the_name_it_is_told(
    clock: FakeClock, tmp_path: Path
) -> None:
    """The proxy sees where to, and nothing else; the certificate is for a name that nobody can resolve."""
    pki = Pki.create()
    (tmp_path / "ca").write_bytes(pki.ca_pem)
    asked: list[bytes] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        host, port = asked[0].split()[1].decode().split(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    async with proxy, serving(ok, pki.server_context("api", ["kubernetes.inner"])) as url:
        access = Access.of(
            url,
            ca_file=str(tmp_path / "ca"),
            authorization="Bearer secret",
            tls_server_name="kubernetes.inner",
            proxy=f"http://user:pw@127.0.0.1:{proxy.sockets[0].getsockname()[1]}",
        )
        async with Transport(config_of(url, access), user_agent="t", clock=clock) as http:
            assert await http.request(GET) == b"hello"

    assert asked[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"Proxy-Authorization: Basic" in asked[0]
    assert b"secret" not in asked[0]


async def test_closed_client_opens_nothing_any_more(clock: FakeClock) -> None:
    async with serving(ok) as url:
        async with transport(url, clock) as http:
            await http.request(GET)
        with pytest.raises(RuntimeError, match="closed"):
            await http.request(GET)


async def test_metrics_count_answers_refusals_and_failures(clock: FakeClock) -> None:
    registry = CollectorRegistry()
    codes = iter([200, 429])

    async def handler(request: web.BaseRequest) -> web.Response:
        code = next(codes)
        return web.Response(text="hello") if code == 200 else status(code)

    async with serving(handler) as url, transport(url, clock, metrics=ApiMetrics(registry)) as http:
        await http.request(GET)
        with pytest.raises(TransientError):
            await http.request(GET)
    async with transport(url, clock, metrics=http._metrics) as http:
        with pytest.raises(TransientError):
            await http.request(GET)

    def count(code: str) -> float | None:
        labels = {"verb": "get", "resource": "pods", "code": code}
        return registry.get_sample_value("trivyop_api_requests_total", labels)

    assert [count(code) for code in ("200", "429", "failed")] == [1, 1, 1]
    labels = {"verb": "get", "resource": "pods"}
    assert registry.get_sample_value("trivyop_api_request_duration_seconds_count", labels) == 3
