"""Pki: a certificate authority made on the spot, and the certificates it issues.

Everything lives in memory; keys are P-256 because those are made in a millisecond. TLS contexts need
files for a moment, which are gone again when the call returns.

Promises: every certificate chains to ``ca_pem`` and is valid from an hour ago for a year.
Not here: revocation, rotation. A sandbox lives shorter than its certificates.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = timedelta(days=365)
_SLACK = timedelta(hours=1)  # for clocks that run behind ours


@dataclass(frozen=True, slots=True)
class Pki:
    """A CA; ``ca_pem`` is what its clients trust."""

    ca_pem: bytes
    _ca: x509.Certificate
    _key: ec.EllipticCurvePrivateKey
    client_ca_pem: bytes = b""  # whose client certificates our servers accept; empty: ours

    @classmethod
    def create(cls, name: str = "trivyop-sandbox-ca") -> Self:
        """Make a new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name, ())
        usage = _key_usage(ca=True)
        builder = (
            _builder(subject, subject, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        ca = builder.sign(key, hashes.SHA256())
        return cls(ca.public_bytes(serialization.Encoding.PEM), ca, key)

    def accepting(self, client_ca_pem: bytes) -> Pki:
        """The same authority, whose servers accept the clients of another one."""
        return replace(self, client_ca_pem=client_ca_pem)

    @property
    def signing_key(self) -> ec.EllipticCurvePrivateKey:
        """The authority's key, with which service account tokens are signed as well."""
        return self._key

    def issue(self, cn: str, orgs: Iterable[str] = (), hosts: Iterable[str] = ()) -> tuple[bytes, bytes]:
        """Issue a certificate for server and client use; returns (certificate, key), both PEM.

        To the API server ``cn`` is the user and ``orgs`` the groups; ``hosts`` are DNS names or IP addresses.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(cn, orgs), self._ca.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names := [_host(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def server_context(
        self, cn: str, hosts: Iterable[str], *, client_certificates: ssl.VerifyMode = ssl.CERT_OPTIONAL
    ) -> ssl.SSLContext:
        """Build the TLS side of a server; client certificates, if given, must be of the right authority."""
        trusted = (self.client_ca_pem or self.ca_pem).decode()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=trusted)
        context.verify_mode = client_certificates
        _load(context, *self.issue(cn, hosts=hosts))
        return context

    def client_context(self, cn: str = "", orgs: Iterable[str] = ()) -> ssl.SSLContext:
        """Build the TLS side of a client that trusts us; it has a certificate if ``cn`` is given."""
        context = ssl.create_default_context(cadata=self.ca_pem.decode())
        if cn:
            _load(context, *self.issue(cn, orgs))
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + _VALID)
    )


def _name(cn: str, orgs: Iterable[str]) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, org) for org in orgs]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    handle, name = tempfile.mkstemp(suffix=".pem")  # readable by us only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate + key)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()
