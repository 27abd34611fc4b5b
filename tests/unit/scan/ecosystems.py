"""Images of many distributions and languages, and a database that has something on each of them.

What is in them is made up but for the names; each image is one way in which a scan and a match of its bill of
materials could come apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from trivyop.sandbox.registry import bbolt
from trivyop.sandbox.registry.facts.model import (
    Affected,
    Severity,
    Source,
    Vulnerability,
)
from trivyop.sandbox.registry.filesystems import (
    Files,
    Package,
    alpine,
    debian,
    jar,
    node_application,
    rpm_based,
    ubuntu,
)
from trivyop.sandbox.registry.javadb import build_java_database
from trivyop.sandbox.registry.languages import (
    composer_application,
    dotnet_application,
    go_binary,
    python_packages,
    ruby_gems,
    rust_binary,
)
from trivyop.sandbox.registry.oci import Image, to_json
from trivyop.sandbox.registry.vulndb import UPDATED_AT, build_database

JSONStream = "JSONStream"
NGINX = "NGINX Packaging <nginx-packaging@f5.com>"


def _source(bucket: str, name: str = "") -> Source:
    return Source(bucket, name or bucket.partition(" ")[0], bucket, "https://example.org/")


def _language(ecosystem: str) -> Source:
    return _source(f"{ecosystem}::Advisories of {ecosystem}", "ghsa")


_AFFECTED: tuple[Affected, ...] = (
    *(
        Affected(_source(bucket), package, fixed="9.0-1")
        for bucket in (
            *("debian 12", "ubuntu 18.04", "ubuntu 18.04-ESM", "ubuntu 22.04", "Azure Linux 3.0"),
            *("Photon OS 5.0", "rocky 9", "wolfi", "chainguard"),
            *("Oracle Linux 9", "alma 9", "amazon linux 2023", "openSUSE Leap 15.5", "CBL-Mariner 2.0"),
        )
        for package in ("openssl", "nginx", "dracut", "containerd.io")
    ),
    *(
        Affected(_source(f"alpine {release}", "alpine"), "busybox", fixed=f"9.{number}.0-r0")
        for number, release in enumerate(("3.18", "3.20", "3.21", "edge"))
    ),
    Affected(_source("ubuntu 18.04-ESM"), "zlib", fixed="9.0-1"),
    *(
        Affected(_language(ecosystem), package, ranges=(("", "9.0.0"),))
        for ecosystem, packages in {
            "npm": ("jsonstream", "JSONStream", "lodash", "@angular/core"),
            "composer": ("Monolog/Monolog", "monolog/monolog", "twig/twig"),
            "pip": ("pyyaml", "flask-admin", "django"),
            "rubygems": ("rack", "RedCloth"),
            "nuget": ("newtonsoft.json", "Newtonsoft.Json"),
            "go": ("github.com/Masterminds/sprig", "stdlib", "golang.org/x/net"),
            "cargo": ("openssl", "RustyXML"),
            "maven": ("org.apache.logging.log4j:log4j-core", "log4j-core"),
        }.items()
        for package in packages
    ),
)

VULNERABILITIES = tuple(
    Vulnerability(
        f"CVE-2030-{1000 + number}",
        f"{one.package}: made up",
        "Something is wrong.",
        (one,),
        severities={"nvd": Severity(1 + number % 4)},
    )
    for number, one in enumerate(_AFFECTED)
)


def red_hat_buckets(*packages: str) -> Mapping[str, bbolt.Bucket]:
    """Red Hat's advisories: by package, for content sets that are numbers by an index."""
    repositories = {
        f"rhel-{n}-for-x86_64-{part}-rpms": b"[1]" for n in (8, 9) for part in ("baseos", "appstream")
    }
    entry = {
        "FixedVersion": "9:9.0-1.el9",
        "Affected": [1],
        "Cves": [{"ID": "CVE-2030-9000", "Severity": 3}],
    }
    advisories: dict[str, bbolt.Bucket] = {
        package: {"RHSA-2030:0001": to_json({"Entries": [entry]})} for package in packages
    }
    return {
        "Red Hat": advisories,
        "Red Hat CPE": {
            "repository": repositories,
            "nvr": {},
            "cpe": {"1": b'"cpe:/o:redhat:enterprise_linux:9"'},
        },
    }


def database(*, updated_at: datetime = UPDATED_AT, news: tuple[Vulnerability, ...] = ()) -> Image:
    return build_database(
        (*VULNERABILITIES, *news),
        updated_at=updated_at,
        more=red_hat_buckets("openssl-libs", "containerd.io", "nginx"),
    )


OPENSSL = Package("libssl3", "3.0-1", "openssl")
LANGUAGES: Mapping[str, Files] = {
    "npm": node_application("app", JSONStream="1.0.0", lodash="4.0.0", **{"@angular/core": "1.0.0"}),
    "composer": composer_application("srv/php", Monolog__Monolog="1.0.0", twig__twig="2.0.0"),
    "pip": python_packages("usr/lib/python3/site-packages", PyYAML="5.0", Flask_Admin="1.0", Django="4.0"),
    "gems": ruby_gems("usr/lib/ruby/gems/3.0.0", rack="2.0.0", RedCloth="4.0.0"),
    "nuget": dotnet_application("opt/net", "App", Newtonsoft__Json="8.0.0"),
    "go": go_binary(
        "usr/bin/server",
        "example.com/server",
        "1.20.1",
        ("github.com/Masterminds/sprig", "v2.0.0"),
        ("golang.org/x/net", "v0.1.0"),
    ),
    "rust": rust_binary("usr/bin/tool", "tool", openssl="0.10.0", RustyXML="0.3.0"),
    "jar": {
        "app/lib/log4j-core-2.14.1.jar": jar("org.apache.logging.log4j", "log4j-core", "2.14.1"),
        "app/other/log4j.jar": jar("org.apache.logging.log4j", "log4j-core", "2.14.1"),
    },
}
EVERY_LANGUAGE: Files = {path: data for files in LANGUAGES.values() for path, data in files.items()}

DISTRIBUTIONS: Mapping[str, Files] = {
    "debian": debian("12.4", OPENSSL),
    "debian-third-party": debian("12.4", OPENSSL, Package("nginx", "1.27.0-1~bookworm", maintainer=NGINX)),
    "ubuntu": ubuntu("22.04", OPENSSL),
    "ubuntu-end-of-life": ubuntu("18.04", OPENSSL, Package("zlib1g", "1.0-1", "zlib")),
    "ubuntu-esm": ubuntu("18.04", OPENSSL, Package("zlib1g", "1.0-1", "zlib"), esm=True),
    "alpine": alpine("3.20.1", Package("busybox", "1.36.1-r2"), repositories=("v3.20",)),
    "alpine-without-repositories": alpine("3.20.1", Package("busybox", "1.36.1-r2")),
    "alpine-edge": alpine("3.21.0_alpha20240923", Package("busybox", "1.36.1-r2"), repositories=("edge",)),
    "alpine-mixed": alpine("3.20.1", Package("busybox", "1.36.1-r2"), repositories=("v3.20", "edge")),
    "alpine-newer": alpine("3.20.1", Package("busybox", "1.36.1-r2"), repositories=("v3.21",)),
    "red-hat": rpm_based(
        "rhel", "9.4", Package("openssl-libs", "3.0-1.el9", "openssl", epoch=1), vendor="Red Hat, Inc."
    ),
    "red-hat-third-party": rpm_based(
        "rhel",
        "9.4",
        Package("openssl-libs", "3.0-1.el9", "openssl", epoch=1),
        Package("containerd.io", "1.6.0-3.1.el9", maintainer="Docker"),
        vendor="Red Hat, Inc.",
    ),
    "rocky": rpm_based(
        "rocky", "9.4", Package("openssl", "3.0-1.el9"), vendor="Rocky Enterprise Software Foundation"
    ),
    "azure": rpm_based(
        "azurelinux",
        "3.0",
        Package("openssl", "3.0-1.azl3"),
        Package("dracut", "0.1-1.azl3", "(none)"),
        vendor="Microsoft Corporation",
    ),
    "photon": rpm_based(
        "photon",
        "5.0",
        Package("openssl", "3.0-1.ph5"),
        Package("dracut", "0.1-1.ph5", "(none)"),
        vendor="VMware, Inc.",
    ),
    "oracle": rpm_based("ol", "9.4", Package("openssl", "3.0-1.el9"), vendor="Oracle America"),
    "alma": rpm_based("almalinux", "9.4", Package("openssl", "3.0-1.el9"), vendor="AlmaLinux"),
    "leap": rpm_based("opensuse-leap", "15.5", Package("openssl", "3.0-1.1"), vendor="openSUSE"),
    "mariner": rpm_based(
        "mariner",
        "2.0",
        Package("openssl", "3.0-1.cm2"),
        Package("dracut", "0.1-1.cm2", "(none)"),
        vendor="Microsoft Corporation",
    ),
    "rapidfort": ubuntu("22.04", OPENSSL) | {"usr/share/rapidfort/curated.json": b"{}"},
    "none": {},
}
IMAGES: Mapping[str, Files] = {
    **{f"os/{name}": files for name, files in DISTRIBUTIONS.items()},
    **{f"lang/{name}": {**files, **debian("12.4", OPENSSL)} for name, files in LANGUAGES.items()},
    "lang/all": {**EVERY_LANGUAGE, **alpine("3.20.1", Package("busybox", "1.36.1-r2"))},
}


def registry_content() -> dict[str, Image]:
    """The images under their names with tag 1, and the databases."""
    return {
        **{f"{name}:1": Image.build(files) for name, files in IMAGES.items()},
        "trivy-db:2": database(),
        "trivy-java-db:1": build_java_database([]),
    }
