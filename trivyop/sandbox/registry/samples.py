"""Sample images for the demo and the tests, and what Trivy finds in each with the sandbox's database.

``SAMPLE_IMAGES`` maps names to builders; building all takes a few milliseconds. ``EXPECTED_FINDINGS`` is
what a scan must come to; a test lets the real Trivy confirm every line of it.

Not here: what is known about the vulnerabilities (`facts/`), what files look like (`filesystems.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trivyop.sandbox.registry.filesystems import (
    Package,
    alpine,
    debian,
    jar,
    leaked_credentials,
    node_application,
)
from trivyop.sandbox.registry.javadb import Jar, build_java_database
from trivyop.sandbox.registry.oci import ARM64, Image
from trivyop.sandbox.registry.vulndb import build_database

_OLD_OPENSSL = (
    Package("libssl3", "3.0.11-1~deb12u1", "openssl", "Apache-2.0"),
    Package("openssl", "3.0.11-1~deb12u1", license="Apache-2.0"),
)
_BASE = Package("base-files", "12.4", license="GPL-2.0-or-later")
_LOG4J = Jar(
    "org.apache.logging.log4j",
    "log4j-core",
    "2.14.1",
    jar("org.apache.logging.log4j", "log4j-core", "2.14.1"),
)
_COMMONS_TEXT = Jar(
    "org.apache.commons",
    "commons-text",
    "1.9",
    jar("org.apache.commons", "commons-text", "1.9", says_what_it_is=False),
)


def web_image() -> Image:
    """A Node.js shop on Debian, with a library that Debian will not fix."""
    return Image.build(
        debian("12.4", *_OLD_OPENSSL, Package("zlib1g", "1:1.2.13.dfsg-1", "zlib", "Zlib")),
        node_application("app", lodash="4.17.20", minimist="1.2.0"),
        env={"NODE_ENV": "production"},
    )


def orders_image() -> Image:
    """A Java service: one jar says what it is, the other is known by its digest only."""
    jars = {"app/lib/log4j-core-2.14.1.jar": _LOG4J.data, "app/lib/text.jar": _COMMONS_TEXT.data}
    return Image.build(debian("12.4", _BASE), jars)


def payments_image() -> Image:
    """An image with credentials left in it."""
    return Image.build(debian("12.4", _BASE), leaked_credentials("app"))


def gateway_image() -> Image:
    """Two platforms with different packages, so that a scan of the wrong one shows."""
    return Image.index(
        Image.build(debian("12.4", *_OLD_OPENSSL)),
        Image.build(
            debian("12.4", Package("curl", "7.88.1-10+deb12u3"), architecture="arm64"), platform=ARM64
        ),
    )


def legacy_image() -> Image:
    """A Debian whose support has ended, with one famous hole."""
    return Image.build(debian("11.4", Package("zlib1g", "1:1.2.11.dfsg-2+deb11u1", "zlib", "Zlib")))


def cache_image() -> Image:
    """A small Alpine."""
    return Image.build(
        alpine(
            "3.18.3",
            Package("busybox", "1.36.1-r2", license="GPL-2.0-only"),
            Package("libcrypto3", "3.1.4-r1", "openssl", "Apache-2.0"),
        )
    )


def clean_image() -> Image:
    """Packages that had holes, in versions that have none."""
    return Image.build(debian("12.4", _BASE, Package("curl", "7.88.1-10+deb12u8", license="curl")))


def single_image() -> Image:
    """One package with one finding."""
    return Image.build(alpine("3.18.3", Package("busybox", "1.36.1-r6", license="GPL-2.0-only")))


def static_image() -> Image:
    """Built from scratch: one file, no package, no operating system."""
    return Image.build({"server": b"\x00not a program\x00"})


def numbered_images(count: int, prefix: str = "scale/app") -> dict[str, Image]:
    """``count`` small images of different digests, named ``scale/app-0:1`` and so on; two findings each."""
    base = alpine("3.18.3", Package("busybox", "1.36.1-r6"))
    return {f"{prefix}-{n}:1": Image.build(base, {"etc/number": f"{n}\n".encode()}) for n in range(count)}


SAMPLE_IMAGES: Mapping[str, Callable[[], Image]] = {
    "shop/web:1.0": web_image,
    "shop/orders:2.3.1": orders_image,
    "shop/payments:0.9": payments_image,
    "shop/gateway:3": gateway_image,
    "shop/legacy:0.1": legacy_image,
    "library/cache:7": cache_image,
    "library/clean:1": clean_image,
    "library/single:1": single_image,
    "library/static:1": static_image,
}

VULNERABILITY_DATABASE = "trivy-db:2"
JAVA_DATABASE = "trivy-java-db:1"


def sample_images() -> dict[str, Image]:
    """Everything a sandbox registry serves: the samples, and both databases under the names above."""
    return {
        **{name: build() for name, build in SAMPLE_IMAGES.items()},
        VULNERABILITY_DATABASE: build_database(),
        JAVA_DATABASE: build_java_database([_COMMONS_TEXT]),
    }


@dataclass(frozen=True, slots=True)
class Expected:
    """What a scan of one image comes to; findings are (id, package, severity), secrets are rule ids."""

    vulnerabilities: frozenset[tuple[str, str, str]] = frozenset()
    secrets: frozenset[str] = frozenset()
    end_of_life: bool = False


def _expected(*lines: str, secrets: tuple[str, ...] = (), end_of_life: bool = False) -> Expected:
    findings = frozenset((words[0], words[1], words[2]) for words in map(str.split, lines))
    return Expected(findings, frozenset(secrets), end_of_life)


_OPENSSL_FINDINGS = tuple(
    f"{cve} {package} {severity}"
    for package in ("libssl3", "openssl")
    for cve, severity in (
        ("CVE-2023-5363", "HIGH"),
        ("CVE-2023-5678", "MEDIUM"),
        ("CVE-2024-0727", "MEDIUM"),
        ("CVE-2025-27587", "LOW"),
    )
)
_LOG4J_CORE = "org.apache.logging.log4j:log4j-core"

EXPECTED_FINDINGS: Mapping[tuple[str, str], Expected] = {
    ("shop/web:1.0", "linux/amd64"): _expected(
        *_OPENSSL_FINDINGS,
        "CVE-2023-45853 zlib1g CRITICAL",
        "CVE-2021-23337 lodash HIGH",
        "CVE-2020-28500 lodash MEDIUM",
        "CVE-2020-7598 minimist MEDIUM",
        "CVE-2021-44906 minimist CRITICAL",
    ),
    ("shop/orders:2.3.1", "linux/amd64"): _expected(
        f"CVE-2021-44228 {_LOG4J_CORE} CRITICAL",
        f"CVE-2021-45046 {_LOG4J_CORE} CRITICAL",
        f"CVE-2021-45105 {_LOG4J_CORE} HIGH",
        "CVE-2022-42889 org.apache.commons:commons-text CRITICAL",
    ),
    ("shop/payments:0.9", "linux/amd64"): _expected(
        secrets=("aws-access-key-id", "aws-secret-access-key", "github-pat", "private-key")
    ),
    ("shop/gateway:3", "linux/amd64"): _expected(*_OPENSSL_FINDINGS),
    ("shop/gateway:3", "linux/arm64"): _expected("CVE-2023-38545 curl CRITICAL", "CVE-2023-38546 curl LOW"),
    ("shop/legacy:0.1", "linux/amd64"): _expected("CVE-2022-37434 zlib1g CRITICAL", end_of_life=True),
    ("library/cache:7", "linux/amd64"): _expected(
        "CVE-2023-42363 busybox MEDIUM",
        "CVE-2023-42364 busybox MEDIUM",
        "CVE-2023-42366 busybox MEDIUM",
        "CVE-2024-0727 libcrypto3 MEDIUM",
        end_of_life=True,
    ),
    ("library/clean:1", "linux/amd64"): _expected(),
    ("library/single:1", "linux/amd64"): _expected(
        "CVE-2023-42363 busybox MEDIUM", "CVE-2023-42364 busybox MEDIUM", end_of_life=True
    ),
    ("library/static:1", "linux/amd64"): _expected(),
}
