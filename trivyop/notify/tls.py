"""TLS: the context for one endpoint, from PEM texts.

Promises: what cannot work is found before anything is sent, and named: a text that is no certificate, a key
that belongs to another one, a certificate whose time is over or has not come.
Not here: what the other side shows (``notify.transport`` words those failures).
"""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


class TlsError(Exception):
    """A PEM text that cannot be used; ``part`` says which: "ca", "certificate" or "key"."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason)
        self.part = part


def build_context(
    ca: str | None, certificate: str | None, key: str | None, *, now: datetime
) -> ssl.SSLContext | None:
    """A context that verifies, with ``ca`` in the place of the usual authorities; None: nothing unusual."""
    if ca is None and certificate is None:
        return None
    authorities = None
    if ca is not None:
        _check_times("ca", ca, now, all_of_them=True)
        authorities = "\n".join(_PEM.findall(ca))  # without comments, whose letters Python may not take
    try:
        context = ssl.create_default_context(cadata=authorities)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise TlsError("ca", f"is not a certificate in PEM: {_reason(error)}") from None
    if certificate is not None:
        _check_times("certificate", certificate, now, all_of_them=False)
        _load(context, certificate, key or certificate)
    return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # The standard library reads keys from files only: one in memory where the system has such, else one that
    # only we can read, for as long as it takes.
    descriptor, path = _private_file()
    try:
        os.write(descriptor, f"{certificate}\n{key}\n".encode())
        context.load_cert_chain(path, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("key", "does not belong to the certificate") from None
        raise TlsError("key", f"is not a key in PEM for the certificate: {_reason(error)}") from None
    except (ValueError, OSError) as error:
        raise TlsError("key", str(error)) from None
    finally:
        os.close(descriptor)
        if not path.startswith("/proc/"):
            os.unlink(path)


def _private_file() -> tuple[int, str]:
    try:
        descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        return tempfile.mkstemp()
    return descriptor, f"/proc/self/fd/{descriptor}"


def _no_password() -> str:
    raise ValueError("is encrypted; a key without a password is needed")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error).replace("_", " ").lower()


def _check_times(part: str, pem: str, now: datetime, *, all_of_them: bool) -> None:
    """Refuse a leaf certificate out of its time, or authorities that are all out of theirs."""
    times = [_times(text) for text in _PEM.findall(pem)]
    if not times:
        raise TlsError(part, "is not a certificate in PEM")
    looked_at = times if all_of_them else times[:1]
    if any(begin <= now <= end for begin, end in looked_at):
        return
    begin, end = looked_at[0]
    if now > end:
        raise TlsError(part, f"has expired on {end:%Y-%m-%d %H:%M} UTC")
    raise TlsError(part, f"is not valid before {begin:%Y-%m-%d %H:%M} UTC")


def _times(pem: str) -> tuple[datetime, datetime]:
    """From when to when a certificate is valid; what cannot be read is left to OpenSSL to refuse."""
    try:
        _, body, _ = _element(ssl.PEM_cert_to_DER_cert(pem.strip()), 0)
        _, rest, _ = _element(body, 0)
        position = 0
        if rest[0] == _VERSION:
            _, _, position = _element(rest, 0)
        for _ in range(3):  # serial number, algorithm, issuer
            _, _, position = _element(rest, position)
        _, validity, _ = _element(rest, position)
        kind, begin, position = _element(validity, 0)
        other, end, _ = _element(validity, position)
        return _time(kind, begin), _time(other, end)
    except (ValueError, IndexError):
        return datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _element(data: bytes, position: int) -> tuple[int, bytes, int]:
    """Tag and content of the DER element at a position, and where the next one begins."""
    tag, length = data[position], data[position + 1]
    position += 2
    if length >= 0x80:
        digits = length & 0x7F
        length = int.from_bytes(data[position : position + digits], "big")
        position += digits
    return tag, data[position : position + length], position + length


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year; from 50 on it is the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(tag)
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
