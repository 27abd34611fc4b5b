"""Files of an image: what package managers and languages leave behind, as scanners read it.

Each function gives the files of one thing (path without leading slash -> content); a layer is their union.

Promises: same arguments, same bytes, jars included.
Not here: programs that run. The images are for scanners; a node that runs them as processes runs its own.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from trivyop.sandbox.registry.oci import MTIME
from trivyop.sandbox.registry.rpmdb import build_rpm_database

Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package of a distribution."""

    name: str
    version: str
    source: str = ""  # the source package, when it has another name
    license: str = ""
    maintainer: str = ""  # of dpkg: "NGINX Packaging <nginx-packaging@f5.com>"; of rpm: the vendor
    epoch: int = 0  # of rpm


def debian(version: str, *packages: Package, architecture: str = "amd64") -> Files:
    """A Debian of that version ("12.4") with these packages, as dpkg notes them."""
    codename = {"11": "bullseye", "12": "bookworm"}[version.partition(".")[0]]
    release = {
        "PRETTY_NAME": f"Debian GNU/Linux {version.partition('.')[0]} ({codename})",
        "NAME": "Debian GNU/Linux",
        "VERSION_ID": version.partition(".")[0],
        "VERSION_CODENAME": codename,
        "ID": "debian",
    }
    files = {"etc/os-release": _os_release(release), "etc/debian_version": f"{version}\n".encode()}
    return {**files, **_dpkg(packages, architecture)}


def ubuntu(version: str, *packages: Package, esm: bool = False, architecture: str = "amd64") -> Files:
    """An Ubuntu of that version ("18.04"); ``esm`` if it is subscribed to extended security maintenance."""
    release = {"NAME": "Ubuntu", "VERSION_ID": version, "ID": "ubuntu", "ID_LIKE": "debian"}
    lsb = f"DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={version}\nDISTRIB_CODENAME=none\n"
    files = {"etc/os-release": _os_release(release), "etc/lsb-release": lsb.encode()}
    if esm:
        services = [{"name": "esm-infra", "status": "enabled"}]
        files["var/lib/ubuntu-advantage/status.json"] = _pretty({"services": services})
    return {**files, **_dpkg(packages, architecture)}


def _dpkg(packages: Sequence[Package], architecture: str) -> Files:
    files: Files = {}
    entries: list[str] = []
    for package in packages:
        fields = {
            "Package": package.name,
            "Status": "install ok installed",
            "Priority": "optional",
            "Section": "libs",
            "Maintainer": package.maintainer or "Sandbox <sandbox@example.org>",
            "Architecture": architecture,
            **({"Source": package.source} if package.source else {}),
            "Version": package.version,
            "Description": "a package of the sandbox",
        }
        entries.append("".join(f"{key}: {value}\n" for key, value in fields.items()))
        if package.license:
            notice = (
                "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
                f"Files: *\nCopyright: its authors\nLicense: {package.license}\n"
            )
            files[f"usr/share/doc/{package.name}/copyright"] = notice.encode()
    return {**files, "var/lib/dpkg/status": "\n".join(entries).encode()}


def alpine(
    version: str, *packages: Package, repositories: Sequence[str] = (), architecture: str = "x86_64"
) -> Files:
    """An Alpine of that version ("3.18.3") with these packages, as apk notes them.

    ``repositories`` are releases ("v3.18", "edge") that packages are installed from; most images name one.
    """
    release = {
        "NAME": "Alpine Linux",
        "ID": "alpine",
        "VERSION_ID": version,
        "PRETTY_NAME": f"Alpine Linux v{version.rpartition('.')[0]}",
    }
    entries = [
        f"P:{package.name}\nV:{package.version}\nA:{architecture}\no:{package.source or package.name}\n"
        f"L:{package.license or 'MIT'}\nT:a package of the sandbox\nm:Sandbox <sandbox@example.org>\n"
        for package in packages
    ]
    files = {
        "etc/os-release": _os_release(release),
        "etc/alpine-release": f"{version}\n".encode(),
        "lib/apk/db/installed": "\n".join(entries).encode(),
    }
    if repositories:
        lines = [f"https://dl-cdn.alpinelinux.org/alpine/{name}/main\n" for name in repositories]
        files["etc/apk/repositories"] = "".join(lines).encode()
    return files


def rpm_based(
    system: str, version: str, *packages: Package, vendor: str, architecture: str = "x86_64"
) -> Files:
    """A distribution with RPM; ``system`` is the ID of its os-release ("rhel", "azurelinux", "photon").

    Versions of packages are version and release ("1.2-3.el9"). A source is the name of a source package, of
    the same version; "(none)" for a package that names none.
    """
    names = {"rhel": "Red Hat Enterprise Linux", "photon": "VMware Photon OS"}
    name = names.get(system, system)
    release = {"NAME": name, "ID": system, "VERSION_ID": version, "PRETTY_NAME": f"{name} {version}"}
    files = {"etc/os-release": _os_release(release)}
    if system == "rhel":
        files["etc/redhat-release"] = f"Red Hat Enterprise Linux release {version} (Plow)\n".encode()
    rows: list[dict[str, str | int]] = []
    for package in packages:
        number, _, build = package.version.partition("-")
        source = package.source or package.name
        rows.append(
            {
                "name": package.name,
                "version": number,
                "release": build,
                "vendor": package.maintainer or vendor,
                "license": package.license or "MIT",
                "arch": architecture,
                "source": source if source == "(none)" else f"{source}-{package.version}.src.rpm",
                **({"epoch": package.epoch} if package.epoch else {}),
            }
        )
    return {**files, "var/lib/rpm/rpmdb.sqlite": build_rpm_database(rows)}


def node_application(folder: str, **dependencies: str) -> Files:
    """A Node.js application with its dependencies (name=version) installed below ``node_modules``."""
    manifest = {"name": folder.rpartition("/")[2], "version": "1.0.0", "dependencies": dependencies}
    files = {f"{folder}/package.json": _pretty(manifest)}
    for name, version in dependencies.items():
        installed = {"name": name, "version": version, "license": "MIT"}
        files[f"{folder}/node_modules/{name}/package.json"] = _pretty(installed)
    return files


def jar(group: str, artifact: str, version: str, *, says_what_it_is: bool = True) -> bytes:
    """A jar as Maven builds it; one that does not say what it is can only be known by its digest."""
    manifest = "Manifest-Version: 1.0\r\nCreated-By: the sandbox\r\n\r\n"
    entries = {"META-INF/MANIFEST.MF": manifest, f"{artifact.replace('-', '/')}/made.txt": f"{version}\n"}
    if says_what_it_is:
        properties = f"groupId={group}\nartifactId={artifact}\nversion={version}\n"
        entries[f"META-INF/maven/{group}/{artifact}/pom.properties"] = properties
    when = datetime.fromtimestamp(MTIME, UTC)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in entries.items():
            entry = zipfile.ZipInfo(name, (when.year, when.month, when.day, 0, 0, 0))
            entry.create_system = 3  # Unix, wherever this runs
            archive.writestr(entry, text)
    return buffer.getvalue()


def leaked_credentials(folder: str) -> Files:
    """Credentials left in an image: made up, of the right form, and put together here.

    In one piece they would make scanners of this source code raise an alarm.
    """
    key_id = "AK" + "IA" + _letters("aws key id", 16).upper()
    secret_key = _letters("aws secret key", 40)
    token = "gh" + "p_" + _letters("github token", 36)
    rule = "-----"
    kind = "RSA " + "PRIVATE " + "KEY"
    body = "\n".join(_letters(f"line {number}", 64) for number in range(12))
    return {
        f"{folder}/.aws/credentials": (
            f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret_key}\n".encode()
        ),
        f"{folder}/.env": f"GITHUB_TOKEN={token}\n".encode(),
        f"{folder}/tls/server.pem": f"{rule}BEGIN {kind}{rule}\n{body}\n{rule}END {kind}{rule}\n".encode(),
    }


def _letters(seed: str, count: int) -> str:
    text = base64.b64encode(hashlib.sha512(seed.encode()).digest()).decode()
    return text.translate(str.maketrans("+/=", "xyz"))[:count]


def _os_release(fields: dict[str, str]) -> bytes:
    return "".join(f'{key}="{value}"\n' for key, value in fields.items()).encode()


def _pretty(document: object) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
