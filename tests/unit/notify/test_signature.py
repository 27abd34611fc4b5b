"""Signatures: as the Standard Webhooks specification has them, verified by code that is not ours."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import NOON
from trivyop.notify.signature import signed_headers, signing_keys

KEY = b"0123456789abcdef0123456789abcdef"


def openssl_hmac(key: bytes, content: bytes) -> str:
    openssl = shutil.which("openssl")
    assert openssl is not None
    done = subprocess.run(
        [openssl, "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"],
        input=content,
        capture_output=True,
        check=True,
    )
    return base64.b64encode(done.stdout).decode()


def test_openssl_agrees() -> None:
    headers = signed_headers([KEY], "msg_1", b'{"a": 1}', NOON)

    timestamp = str(int(NOON.timestamp()))
    expected = openssl_hmac(KEY, f"msg_1.{timestamp}.".encode() + b'{"a": 1}')
    assert headers == {
        "webhook-id": "msg_1",
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{expected}",
    }


def test_the_specifications_own_example() -> None:
    """From the reference implementations' tests: key, id, timestamp, payload, signature."""
    (key,) = signing_keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = NOON.fromtimestamp(1614265330, tz=NOON.tzinfo)

    headers = signed_headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', at)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_another_time_another_signature() -> None:
    """So what somebody recorded cannot be sent again later with a new timestamp."""
    early, late = (
        signed_headers([KEY], "msg_1", b"{}", NOON + timedelta(seconds=seconds)) for seconds in (0, 1)
    )

    assert early["webhook-signature"] != late["webhook-signature"]
    assert early["webhook-id"] == late["webhook-id"]


def test_while_keys_are_exchanged_both_sign() -> None:
    keys = signing_keys(f"whsec_{base64.b64encode(KEY).decode()}\nold key\n")

    signatures = signed_headers(keys, "m", b"{}", NOON)["webhook-signature"].split(" ")

    alone = [signed_headers([key], "m", b"{}", NOON)["webhook-signature"] for key in (KEY, b"old key")]
    assert signatures == alone


@pytest.mark.parametrize("text", ["", "\n \n", "whsec_", "whsec_!!!"])
def test_unusable_keys_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|whsec_") as raised:
        signing_keys(text)

    assert "!!!" not in str(raised.value)


@given(st.binary(min_size=1, max_size=64))
def test_any_key_can_be_written_in_base64(key: bytes) -> None:
    assert signing_keys(f" whsec_{base64.b64encode(key).decode()} \n") == (key,)


def documented_verify() -> Callable[[dict[str, str], bytes, str], None]:
    """The sample in the documentation, as a receiver would take it over."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text()
    (sample,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(sample, scope)  # noqa: S102 - our own page
    return scope["verify"]


@pytest.mark.parametrize("text", [f"whsec_{base64.b64encode(KEY).decode()}", "just words"])
def test_the_documented_receiver_takes_what_is_ours_and_nothing_else(text: str) -> None:
    verify, body, now = documented_verify(), b'{"a": 1}', datetime.now(UTC)
    headers = signed_headers(signing_keys(f"{text}\nanother key"), "msg_1", body, now)

    verify(headers, body, text)
    verify(headers, body, "another key")

    recorded = signed_headers(signing_keys(text), "msg_1", body, now - timedelta(minutes=10))
    later = {**recorded, "webhook-timestamp": headers["webhook-timestamp"]}
    for bad, bytes_, key in (
        (headers, b'{"a": 2}', text),
        (headers, body, "a third key"),
        ({**headers, "webhook-id": "msg_2"}, body, text),
        (recorded, body, text),
        (later, body, text),
    ):
        with pytest.raises(ValueError, match=r"too old|not from the operator"):
            verify(bad, bytes_, key)
