"""Vulnerabilities of packages that Debian and Alpine ship.

Sources, each by the CVE's id: nvd.nist.gov/vuln/detail/ID (scores, weaknesses, dates),
security-tracker.debian.org/tracker/ID, secdb.alpinelinux.org (v3.18/main).
"""

from __future__ import annotations

from trivyop.sandbox.registry.facts.model import (
    ALPINE_318,
    DEBIAN_11,
    DEBIAN_12,
    LOCAL_CRASH,
    REMOTE_ALL,
    REMOTE_CRASH,
    Affected,
    Score,
    Severity,
    Status,
    Vulnerability,
)


def _busybox(cve: str, title: str, fixed: str, weakness: str, published: str) -> Vulnerability:
    return Vulnerability(
        cve,
        f"busybox: {title}",
        f"A crafted awk program makes BusyBox crash: {title}.",
        (Affected(ALPINE_318, "busybox", fixed),),
        {"nvd": Score(5.5, LOCAL_CRASH)},
        weaknesses=(weakness,),
        references=(f"https://nvd.nist.gov/vuln/detail/{cve}",),
        published=published,
    )


OPENSSL = (
    Vulnerability(
        "CVE-2023-5363",
        "openssl: key and IV lengths are handled in the wrong order",
        "Key or IV lengths set through parameters are ignored for some ciphers, so that they are cut short.",
        (
            Affected(DEBIAN_12, "openssl", "3.0.11-1~deb12u2", vendor_ids=("DSA-5532-1",)),
            Affected(ALPINE_318, "openssl", "3.1.4-r0"),
        ),
        {
            "nvd": Score(7.5, "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"),
            "redhat": Score(5.9, "AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N"),
        },
        weaknesses=("CWE-684",),
        references=(
            "https://www.openssl.org/news/secadv/20231024.txt",
            "https://nvd.nist.gov/vuln/detail/CVE-2023-5363",
        ),
        published="2023-10-25T18:17:43.613Z",
        modified="2024-11-21T08:41:36.82Z",
    ),
    Vulnerability(
        "CVE-2023-5678",
        "openssl: long X9.42 DH keys take very long to check",
        "Who lets others choose Diffie-Hellman keys can be kept busy with one that is far too long.",
        (
            Affected(DEBIAN_12, "openssl", "3.0.13-1~deb12u1"),
            Affected(ALPINE_318, "openssl", "3.1.4-r1"),
        ),
        {"nvd": Score(5.3, "AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L")},
        weaknesses=("CWE-754",),
        references=("https://www.openssl.org/news/secadv/20231106.txt",),
        published="2023-11-06T16:15:42.67Z",
        modified="2024-11-21T08:42:15.45Z",
    ),
    Vulnerability(
        "CVE-2024-0727",
        "openssl: a broken PKCS12 file crashes the program",
        "Fields that may be absent in a PKCS12 file are read without a check, which ends the process.",
        (
            Affected(DEBIAN_12, "openssl", "3.0.13-1~deb12u1"),
            Affected(ALPINE_318, "openssl", "3.1.4-r5"),
        ),
        {"nvd": Score(5.5, LOCAL_CRASH)},
        weaknesses=("CWE-476",),
        references=("https://www.openssl.org/news/secadv/20240125.txt",),
        published="2024-01-26T09:15:07.637Z",
    ),
    Vulnerability(
        "CVE-2025-27587",
        "openssl: timing of ECDSA signatures on PowerPC tells about the key",
        "",
        (Affected(DEBIAN_12, "openssl", status=Status.AFFECTED, severity=Severity.LOW),),
        severities={"nvd": Severity.MEDIUM},
        references=("https://github.com/openssl/openssl/issues/24253",),
    ),
)

ZLIB_AND_CURL = (
    Vulnerability(
        "CVE-2022-37434",
        "zlib: heap overflow in inflate by a large gzip header",
        "inflateGetHeader writes behind its buffer when a gzip header has a large extra field.",
        (Affected(DEBIAN_11, "zlib", "1:1.2.11.dfsg-2+deb11u2", vendor_ids=("DSA-5218-1",)),),
        {"nvd": Score(9.8, REMOTE_ALL)},
        weaknesses=("CWE-787",),
        references=("https://nvd.nist.gov/vuln/detail/CVE-2022-37434",),
        published="2022-08-05T07:15:07.24Z",
    ),
    Vulnerability(
        "CVE-2023-45853",
        "zlib: integer overflow in MiniZip's zipOpenNewFileInZip4_64",
        "A very long file name, comment or extra field overflows the heap. Debian does not build MiniZip.",
        (Affected(DEBIAN_12, "zlib", status=Status.WILL_NOT_FIX),),
        {"nvd": Score(9.8, REMOTE_ALL)},
        weaknesses=("CWE-190",),
        references=("https://github.com/madler/zlib/pull/843",),
        published="2023-10-14T02:15:09.323Z",
    ),
    Vulnerability(
        "CVE-2023-38545",
        "curl: heap overflow in the SOCKS5 handshake",
        "A host name too long for a SOCKS5 proxy is copied into a buffer that is too small for it.",
        (Affected(DEBIAN_12, "curl", "7.88.1-10+deb12u4", vendor_ids=("DSA-5523-1",)),),
        {"nvd": Score(9.8, REMOTE_ALL)},
        weaknesses=("CWE-787",),
        references=("https://curl.se/docs/CVE-2023-38545.html",),
        published="2023-10-18T04:15:11.077Z",
    ),
    Vulnerability(
        "CVE-2023-38546",
        "curl: cookies from a file called none",
        "A copied handle may load cookies from a file of the name none in the working directory.",
        (Affected(DEBIAN_12, "curl", "7.88.1-10+deb12u4", vendor_ids=("DSA-5523-1",)),),
        {"nvd": Score(3.7, "AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:L/A:N")},
        references=("https://curl.se/docs/CVE-2023-38546.html",),
        published="2023-10-18T04:15:11.137Z",
    ),
)

BUSYBOX = (
    _busybox("CVE-2023-42363", "use after free in awk", "1.36.1-r7", "CWE-416", "2023-11-27T22:15:07.94Z"),
    _busybox(
        "CVE-2023-42364", "use after free in evaluate", "1.36.1-r7", "CWE-416", "2023-11-27T23:15:07.313Z"
    ),
    _busybox(
        "CVE-2023-42366", "heap overflow in next_token", "1.36.1-r6", "CWE-787", "2023-11-27T23:15:07.42Z"
    ),
)

NEWS = (
    Vulnerability(
        "CVE-2024-6119",
        "openssl: checking names of a certificate may crash",
        "A client that compares a certificate with an e-mail or other name may read an invalid address.",
        (Affected(DEBIAN_12, "openssl", "3.0.14-1~deb12u2", vendor_ids=("DSA-5764-1",)),),
        {"nvd": Score(7.5, REMOTE_CRASH)},
        weaknesses=("CWE-843",),
        references=("https://openssl-library.org/news/secadv/20240903.txt",),
        published="2024-09-03T16:15:07.177Z",
    ),
)
"""What a later version of the database knows in addition: one more finding in packages already scanned."""
