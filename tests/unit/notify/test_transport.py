"""Delivery: what each answer means, how long one takes at most, and what never leaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.clock import NOON, FakeClock, settle
from tests.unit.notify.receiver import Fault, Receiver, receiving
from trivyop.errors import TransientError
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.formats import Message
from trivyop.notify.secrets import build_access
from trivyop.notify.tls import TlsError, build_context
from trivyop.notify.transport import Access, RefusedError, Transport, retry_after_seconds
from trivyop.sandbox.pki import Pki
from trivyop.settings.kinds import SecretText

NOW = datetime.now(UTC)  # of certificates that are made here
MESSAGE = Message(b'{"a": 1}', "application/json", "msg_1", {"X-Format": "1"})
TOKEN = "s3cret-token"


@asynccontextmanager
async def transport(receiver: Receiver | str, clock: FakeClock, **options: Any) -> AsyncGenerator[Transport]:
    url = receiver if isinstance(receiver, str) else receiver.url
    headers = {"Authorization": f"Bearer {TOKEN}"}
    access = Access(**{"endpoint": "siem", "url": url, "headers": headers, "secrets": (TOKEN,)} | options)
    one = Transport(access, clock=clock)
    try:
        yield one
    finally:
        await one.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_message_arrives_with_its_headers_and_connections_are_used_again(clock: FakeClock) -> None:
    async with receiving(clock) as receiver, transport(receiver, clock) as one:
        for _ in range(3):
            await one.send(MESSAGE)

        first = receiver.requests[0]
        assert first.body == b'{"a": 1}'
        assert first.headers["Content-Type"] == "application/json"
        assert first.headers["X-Format"] == "1"
        assert first.headers["Authorization"] == f"Bearer {TOKEN}"
        assert "webhook-signature" not in first.headers
        assert len(receiver.peers) == 1


async def test_each_try_is_signed_with_the_time_it_leaves(clock: FakeClock) -> None:
    async with receiving(clock) as receiver, transport(receiver, clock, signing_keys=(b"k",)) as one:
        await one.send(MESSAGE)
        clock.advance(600)
        await one.send(MESSAGE)

        first, second = (request.headers for request in receiver.requests)
        assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 600
        assert first["webhook-id"] == second["webhook-id"] == "msg_1"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault.ERROR, "answers 500: no, because"),
        (Fault.TIMEOUT, "answers 408: no, because"),
        (Fault.BUSY, "answers 429"),
        (Fault.RESET, "endpoint 'siem': "),
        (Fault.HANG, "no answer within 30 s"),
    ],
)
async def test_what_may_work_later(clock: FakeClock, fault: Fault, says: str) -> None:
    async with receiving(clock, misbehave=lambda _: fault) as receiver, transport(receiver, clock) as one:
        with pytest.raises(TransientError, match=says):
            await one.send(MESSAGE)


async def test_a_receiver_says_when(clock: FakeClock) -> None:
    faults = iter((Fault.BUSY, Fault.BUSY_UNTIL))
    async with (
        receiving(clock, misbehave=lambda _: next(faults)) as receiver,
        transport(receiver, clock) as one,
    ):
        for seconds in (7, 9):
            with pytest.raises(TransientError) as raised:
                await one.send(MESSAGE)
            assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("999999999", 3600),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOON - timedelta(seconds=90), usegmt=True), 0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
        ("Fri, 99 Jan 2026 12:00:00 GMT", None),
        ("Fri, 02 Jan 2026 12:00:00 +99999999999999", None),
        ("Fri, 02 Jan 2026 12:00:00 +999999999999999999999999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 3600),
        ("9" * 400, 3600),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(text, NOON) == seconds


async def test_a_refusal_is_final(clock: FakeClock) -> None:
    async with (
        receiving(clock, misbehave=lambda _: Fault.REFUSE) as receiver,
        transport(receiver, clock) as one,
    ):
        with pytest.raises(RefusedError, match="endpoint 'siem' answers 400: no, because"):
            await one.send(MESSAGE)


async def test_a_redirect_leaks_nothing(clock: FakeClock) -> None:
    """Neither headers nor body get to the other host; it may be another one's login page."""
    async with (
        receiving(clock) as other,
        receiving(clock, misbehave=lambda _: Fault.REDIRECT, elsewhere=other.url) as receiver,
        transport(receiver, clock) as one,
    ):
        with pytest.raises(TransientError, match=r"answers 307, a redirect to 127\.0\.0\.1, which is not"):
            await one.send(MESSAGE)

        assert other.requests == []
        assert other.peers == set()


async def test_a_redirect_to_what_is_no_url_is_one_all_the_same(clock: FakeClock) -> None:
    async with (
        receiving(clock, misbehave=lambda _: Fault.REDIRECT, elsewhere="http://[") as receiver,
        transport(receiver, clock) as one,
    ):
        with pytest.raises(TransientError, match="answers 307, a redirect, which is not followed"):
            await one.send(MESSAGE)


@pytest.mark.parametrize("fault", [Fault.SLOW_BODY, Fault.ENDLESS_BODY])
async def test_what_was_taken_in_counts_whatever_comes_after(clock: FakeClock, fault: Fault) -> None:
    async with receiving(clock, misbehave=lambda _: fault) as receiver, transport(receiver, clock) as one:
        async with asyncio.timeout(30):
            await one.send(MESSAGE)

        assert clock.monotonic() < 30


async def test_an_answer_that_repeats_a_secret_is_not_shown_with_it(clock: FakeClock) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        body = b"\x1b[31m" + request.replace(b"\r\n", b" ")
        writer.write(b"HTTP/1.1 401 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with transport(f"http://127.0.0.1:{port}/", clock) as one:
            with pytest.raises(RefusedError) as raised:
                await one.send(MESSAGE)

    assert "answers 401" in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    ("target", "header", "answer"),
    [
        ("/services/T0/B0/token", "", "Cannot POST /services/T0/B0/token"),
        ("/hook?key=token%2Bone", "", "No route for /hook?key=token%2Bone"),
        ("/hook?key=token%2Bone", "", "key=token+one is not known"),
        ("/hook", "Basic dG9rZW46dG9rZW4=", "unknown: dG9rZW46dG9rZW4="),
    ],
)
async def test_a_part_of_the_url_or_of_a_header_is_not_shown_either(
    clock: FakeClock, target: str, header: str, answer: str
) -> None:
    """Chat services keep their secret in the path; web frameworks quote it in their 404."""
    async with receiving(clock, misbehave=lambda _: Fault.REFUSE, reason=lambda: answer) as receiver:
        endpoint = Endpoint(
            name="siem",
            url=SecretText(receiver.url.removesuffix("/hook") + target),
            headers={"Authorization": SecretText(header)} if header else {},
        )
        one = Transport(build_access(endpoint, {}, {}, now=NOW), clock=clock)
        try:
            with pytest.raises(RefusedError) as raised:
                await one.send(MESSAGE)
        finally:
            await one.close()

    assert "***" in str(raised.value)
    assert "token" not in str(raised.value)
    assert "dG9" not in str(raised.value)


async def test_an_answer_that_is_not_http(clock: FakeClock) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2 " + TOKEN.encode() + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with transport(f"http://127.0.0.1:{port}/", clock) as one:
            with pytest.raises(TransientError, match=r"endpoint 'siem': what it answers is not HTTP$"):
                await one.send(MESSAGE)


async def test_nobody_listens(clock: FakeClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with transport(f"http://127.0.0.1:{taken.getsockname()[1]}/", clock) as one:
            with pytest.raises(TransientError, match="endpoint 'siem': Cannot connect"):
                await one.send(MESSAGE)


async def test_a_retired_courier_finishes_what_it_carries(clock: FakeClock) -> None:
    """New secrets do not cut requests that are under way with the old ones."""
    gate = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await gate.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with transport(f"http://127.0.0.1:{port}/", clock) as one:

            async def send() -> None:
                async with one.in_use():
                    await one.send(MESSAGE)

            sending = asyncio.create_task(send())
            await settle()
            await one.retire()
            gate.set()

            await sending
            assert one._session.closed


# TLS


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki.create()


def certificate_until(pki: Pki, end: datetime, host: str = "localhost") -> tuple[str, str]:
    """A certificate whose time ends, or ended, then; PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)]))
        .issuer_name(x509.load_pem_x509_certificate(pki.ca_pem).subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=2))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(pki.signing_key.public_key()), critical=False
        )
        .sign(pki.signing_key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    return certificate.public_bytes(encoding).decode(), secret.decode()


async def test_a_ca_of_ones_own_and_a_client_certificate(clock: FakeClock, pki: Pki) -> None:
    certificate, key = (pem.decode() for pem in pki.issue("trivyop"))
    context = build_context(pki.ca_pem.decode(), certificate, key, now=NOW)
    serving = pki.server_context("localhost", ["localhost"])
    serving.verify_mode = ssl.CERT_REQUIRED
    async with receiving(clock, serving) as receiver, transport(receiver, clock, tls=context) as one:
        await one.send(MESSAGE)

        assert len(receiver.taken) == 1


async def test_a_ca_may_have_comments_in_any_language(clock: FakeClock, pki: Pki) -> None:
    context = build_context(f"# Z\u00fcrich\n{pki.ca_pem.decode()}# fin\u00e9\n", None, None, now=NOW)
    async with (
        receiving(clock, pki.server_context("localhost", ["localhost"])) as receiver,
        transport(receiver, clock, tls=context) as one,
    ):
        await one.send(MESSAGE)

        assert len(receiver.taken) == 1


def test_letters_inside_a_certificate_are_no_certificate(pki: Pki) -> None:
    broken = pki.ca_pem.decode().replace("MII", "M\u00fcI", 1)

    with pytest.raises(TlsError, match="is not a certificate in PEM") as raised:
        build_context(broken, None, None, now=NOW)
    assert raised.value.part == "ca"


async def test_an_unknown_authority_is_named(clock: FakeClock, pki: Pki) -> None:
    async with (
        receiving(clock, pki.server_context("localhost", ["localhost"])) as receiver,
        transport(receiver, clock) as one,
    ):
        with pytest.raises(TransientError, match="endpoint 'siem': TLS: the certificate of localhost: "):
            await one.send(MESSAGE)


async def test_a_certificate_for_another_host_is_named(clock: FakeClock, pki: Pki) -> None:
    context = build_context(pki.ca_pem.decode(), None, None, now=NOW)
    async with receiving(clock, pki.server_context("elsewhere", ["elsewhere.example"])) as receiver:
        async with transport(receiver, clock, tls=context) as one:
            with pytest.raises(TransientError, match=r"endpoint 'siem': TLS: .*localhost"):
                await one.send(MESSAGE)
        async with transport(receiver, clock, tls=context, server_name="elsewhere.example") as one:
            await one.send(MESSAGE)


async def test_a_receivers_certificate_that_expired_is_named(
    clock: FakeClock, pki: Pki, tmp_path: Path
) -> None:
    certificate, key = certificate_until(pki, NOW - timedelta(days=1))
    (tmp_path / "pem").write_text(certificate + key)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(tmp_path / "pem")
    context = build_context(pki.ca_pem.decode(), None, None, now=NOW)
    async with receiving(clock, serving) as receiver, transport(receiver, clock, tls=context) as one:
        with pytest.raises(TransientError, match=r"endpoint 'siem': TLS: .*certificate has expired"):
            await one.send(MESSAGE)


def test_what_cannot_work_is_found_before_anything_is_sent(pki: Pki) -> None:
    good, key = (pem.decode() for pem in pki.issue("trivyop"))
    expired, of_expired = certificate_until(pki, NOW - timedelta(days=1))
    future, of_future = certificate_until(pki, NOW + timedelta(days=30))
    other = pki.issue("other")[1].decode()
    ca = pki.ca_pem.decode()
    cases = {
        ("ca", "is not a certificate in PEM"): ("nonsense", None, None),
        ("certificate", "is not a certificate in PEM"): (ca, "nonsense", key),
        ("key", "does not belong to the certificate"): (ca, good, other),
        ("key", "is not a key in PEM"): (ca, good, "nonsense"),
        ("certificate", "has expired on"): (ca, expired, of_expired),
        ("certificate", "is not valid before"): (ca, future, of_future),
        ("ca", "has expired on"): (expired, None, None),
    }
    for (part, says), texts in cases.items():
        with pytest.raises(TlsError, match=says) as raised:
            build_context(*texts, now=NOW)
        assert raised.value.part == part
        assert "PRIVATE" not in str(raised.value)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(pki: Pki) -> None:
    """OpenSSL would ask at the terminal."""
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    certificate = pki.issue("trivyop")[0].decode()

    with pytest.raises(TlsError, match="is encrypted"):
        build_context(None, certificate, encrypted.decode(), now=NOW)


def test_with_nothing_unusual_there_is_no_context_of_ones_own() -> None:
    assert build_context(None, None, None, now=NOW) is None
