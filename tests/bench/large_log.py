"""A made-up scan of an image with far too much in it, as the log of its scan pod.

Its result has the size that is asked for, its bill of materials a quarter of that. Text is as varied and as
indented as Trivy's, so that it packs as well.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from trivyop.report.findings import Severity
from trivyop.scan.framing import BOM_PART, RESULT_PART

IMAGE = "registry.example.com/shop/huge:1.0"
DIGEST = "sha256:" + "7" * 64
_REFERENCE = f"registry.example.com/shop/huge@{DIGEST}"
_LAYER = {"Digest": "sha256:" + "1" * 64, "DiffID": "sha256:" + "2" * 64}
_TEXT = """
    a flaw was found in the way crafted input is processed which allows remote attackers to cause denial of
    service or execute arbitrary code via an out-of-bounds write when parsing malformed certificates
"""
_WORDS = _TEXT.split()
_LINE = 57  # bytes that make a line of base64


def write_log(path: Path, scan_id: str, size: int) -> int:
    """Write the log; returns the exact number of vulnerabilities in it."""
    counted = [0]
    with path.open("wb") as log:
        _frame(log, scan_id, RESULT_PART, _result(size, counted))
        _frame(log, scan_id, BOM_PART, _bom(size // 4))
        last = f"trivyop/1 done scan={scan_id} parts=2 exit=0"
        log.write(f"{last} check={hashlib.sha256(last.encode()).hexdigest()[:16]}\n".encode())
    return counted[0]


def _frame(log: IO[bytes], scan_id: str, part: str, texts: Iterable[str]) -> None:
    log.write(f"trivyop/1 begin scan={scan_id} part={part} encoding=gzip+base64\n".encode())
    packer, digest, size, packed = zlib.compressobj(6, wbits=31), hashlib.sha256(), 0, b""
    for text in texts:
        data = text.encode()
        size += len(data)
        digest.update(data)
        packed += packer.compress(data)
        whole = len(packed) // _LINE * _LINE
        log.write(_lines(packed[:whole]))
        packed = packed[whole:]
    log.write(_lines(packed + packer.flush()))
    end = f"trivyop/1 end scan={scan_id} part={part} bytes={size} sha256={digest.hexdigest()}\n"
    log.write(end.encode())


def _lines(packed: bytes) -> bytes:
    starts = range(0, len(packed), _LINE)
    return b"".join(base64.b64encode(packed[start : start + _LINE]) + b"\n" for start in starts)


def _result(size: int, counted: list[int]) -> Iterator[str]:
    head = {
        "SchemaVersion": 2,
        "Trivy": {"Version": "0.76.0"},
        "ArtifactName": _REFERENCE,
        "ArtifactType": "container_image",
        "Metadata": {
            "OS": {"Family": "debian", "Name": "12.4"},
            "RepoDigests": [_REFERENCE],
            "ImageConfig": {"architecture": "amd64", "os": "linux"},
        },
    }
    yield json.dumps(head, indent=2)[:-2] + ',\n  "Results": [\n'
    results = ((f"{_REFERENCE} (debian 12.4)", "os-pkgs", "debian"), ("Node.js", "lang-pkgs", "node-pkg"))
    for index, (target, class_name, type_) in enumerate(results):
        about = {"Target": target, "Class": class_name, "Type": type_}
        yield ",\n" * bool(index) + json.dumps(about, indent=2)[:-2] + ',\n"Packages": [\n'
        yield from _items(_package, size // 20, index)
        yield '\n],\n"Vulnerabilities": [\n'
        for text in _items(_vulnerability, size * 9 // 20, index):
            counted[0] += 1
            yield text
        yield "\n]\n}"
    yield "\n]\n}\n"


def _bom(size: int) -> Iterator[str]:
    head = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:9006346d-4586-45b2-841f-cb1aac01cff1",
        "version": 1,
        "metadata": {
            "timestamp": "2026-01-01T00:00:00+00:00",
            "component": {"bom-ref": _REFERENCE, "type": "container", "name": _REFERENCE},
        },
    }
    yield json.dumps(head, indent=2)[:-2] + ',\n  "components": [\n'
    yield from _items(_component, size * 4 // 5, 0)
    yield '\n],\n"dependencies": [\n'
    yield from _items(_dependency, size // 5, 0)
    yield "\n]\n}\n"


def _items(make: Callable[[int, random.Random], dict[str, Any]], size: int, seed: int) -> Iterator[str]:
    """So many of them that they take ``size`` characters."""
    rng = random.Random(seed)
    number = 0
    while size > 0:
        text = (",\n" if number else "") + json.dumps(make(number, rng), indent=2)
        size -= len(text)
        number += 1
        yield text


def _vulnerability(number: int, rng: random.Random) -> dict[str, Any]:
    name = f"CVE-{rng.randrange(2010, 2027)}-{number:05}"
    return {
        "VulnerabilityID": name,
        "PkgID": f"package-{number % 3000}@1.0",
        "PkgName": f"package-{number % 3000}",
        "PkgIdentifier": {
            "PURL": f"pkg:deb/debian/package-{number % 3000}@1.0?arch=amd64&distro=debian-12.4"
        },
        "InstalledVersion": "1.0-1+deb12u1",
        **({"FixedVersion": "1.0-1+deb12u2"} if number % 3 else {}),
        "Layer": _LAYER,
        "SeveritySource": "debian",
        "PrimaryURL": f"https://avd.aquasec.com/nvd/{name.lower()}",
        "Title": " ".join(rng.choices(_WORDS, k=12)),
        "Description": " ".join(rng.choices(_WORDS, k=120)),
        "Severity": rng.choice(list(Severity)),
        "CweIDs": ["CWE-684", f"CWE-{rng.randrange(1000)}"],
        "VendorSeverity": {"nvd": rng.randrange(5), "redhat": 2},
        "CVSS": {
            "nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", "V3Score": 7.5},
            "redhat": {"V3Vector": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N", "V3Score": 5.9},
        },
        "References": [f"https://example.com/{rng.getrandbits(64):x}/advisory" for _ in range(12)],
        "PublishedDate": "2023-10-25T18:17:43.613Z",
        "LastModifiedDate": "2024-11-21T08:41:36.82Z",
    }


def _package(number: int, rng: random.Random) -> dict[str, Any]:
    return {
        "ID": f"package-{number}@1.0",
        "Name": f"package-{number}",
        "Identifier": {"PURL": f"pkg:deb/debian/package-{number}@1.0", "UID": f"{rng.getrandbits(64):x}"},
        "Version": "1.0",
        "Layer": _LAYER,
        "InstalledFiles": [f"/usr/share/package-{number}/file-{file}" for file in range(rng.randrange(40))],
    }


def _component(number: int, rng: random.Random) -> dict[str, Any]:
    return {
        "bom-ref": f"{rng.getrandbits(32):08x}-0000-4000-8000-{number:012x}",
        "type": "library",
        "name": f"package-{number}",
        "version": "1.0",
        "purl": f"pkg:npm/package-{number}@1.0",
        "licenses": [{"license": {"name": "MIT"}}],
        "properties": [
            {"name": "aquasecurity:trivy:LayerDigest", "value": _LAYER["Digest"]},
            {"name": "aquasecurity:trivy:PkgID", "value": f"package-{number}@1.0"},
            {"name": "aquasecurity:trivy:PkgType", "value": "node-pkg"},
        ],
    }


def _dependency(number: int, rng: random.Random) -> dict[str, Any]:
    return {
        "ref": f"pkg:npm/package-{number}@1.0",
        "dependsOn": [f"pkg:npm/package-{rng.randrange(1000)}@1.0"],
    }
