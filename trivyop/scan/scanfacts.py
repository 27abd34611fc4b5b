"""Scan facts: what a scan's JSON says of an image and its packages, and the bill of materials does not.

They are collected while the report is read (``trivy_json.py``), and tied to components while the bill of
materials is (``cyclonedx.py``). Of thousands of packages only those that stand out are remembered.

What gets lost, after the sources of Trivy 0.76 (pkg/sbom/io): packages of third-party repositories look like
the distribution's own; names of npm packages and package URLs of some languages lose their case.

Not here: what follows from it (``matchable.py``), and how a document is made good (``matching.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import unquote

PACKAGE_ID = "aquasecurity:trivy:PkgID"
PACKAGE_TYPE = "aquasecurity:trivy:PkgType"
FILE_PATH = "aquasecurity:trivy:FilePath"
THIRD_PARTY = "third-party"
SYSTEM_URLS = ("pkg:rpm/", "pkg:deb/", "pkg:apk/")  # of packages of a distribution
NAMED_BY_URL = frozenset({"maven", "gradle", "cocoapods", "bitnami"})  # Trivy ignores these components' names

PackageKey: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PackageFact:
    """One package as a scan tells of it; texts are "" where it does not."""

    type: str  # of the result it is in: "debian", "node-pkg"
    class_name: str
    id: str = ""
    name: str = ""
    purl: str = ""
    path: str = ""
    source: str = ""
    repository: str = ""  # the class of it: "official", "third-party"


@dataclass(slots=True)
class Tally:
    """Findings, counted and hashed so that their order does not matter."""

    count: int = 0
    _sum: int = 0

    def add(self, id_: str, package: str, *parts: str) -> None:
        """Count one: its id, the package's name in any case, and what else has to be equal."""
        parts = (id_, package.lower(), *parts)
        digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
        self.count += 1
        self._sum = (self._sum + int.from_bytes(digest)) % 2**128


@dataclass(slots=True)
class ScanFacts:
    """Filled by who reads the report."""

    family: str = ""
    os_name: str = ""
    extended: bool = False  # the distribution's extended security maintenance
    supplier: str = ""  # who rebuilt the distribution's packages: "rapidfort"
    has_special: bool = False  # packages by which Trivy chooses other advisories: Seal's, Root.io's
    third_party: set[PackageKey] = field(default_factory=set[PackageKey])
    names: dict[PackageKey, str] = field(default_factory=dict[PackageKey, str])
    purls: dict[PackageKey, str] = field(default_factory=dict[PackageKey, str])
    tally: Tally = field(default_factory=Tally)

    def add_package(self, package: PackageFact) -> None:
        if package.class_name == "os-pkgs":
            names = (package.name.lower(), package.source.lower())
            self.has_special |= any(name.startswith("seal-") for name in names) or ".root.io" in package.id
            if package.repository == THIRD_PARTY:
                self.third_party.add(_key(package.id, package.type, package.path, package.purl, package.name))
            return
        if package.purl and package.purl != package.purl.lower():
            self.purls[_key(package.id, package.type, package.path, package.purl, package.name)] = (
                package.purl
            )
        if package.name != package.name.lower() and _kind(package.purl) not in NAMED_BY_URL:
            self.names[_key(package.id, package.type, package.path, package.purl, package.name)] = (
                package.name
            )


@dataclass(frozen=True, slots=True)
class ComponentFact:
    """One component of a bill of materials, as far as it matters here."""

    ref: str  # as reports have it
    raw_ref: str  # as Trivy wrote it
    name: str  # with its group
    purl: str = ""
    properties: Sequence[tuple[str, str]] = ()

    def property(self, name: str) -> str:
        return next((value for key, value in self.properties if key == name), "")


@dataclass(slots=True)
class Linked:
    """What is known of components, by their references; ``raw_`` are those of Trivy's own document."""

    facts: ScanFacts
    third_party: list[str] = field(default_factory=list[str])
    names: dict[str, str] = field(default_factory=dict[str, str])
    purls: dict[str, str] = field(default_factory=dict[str, str])
    kinds: set[str] = field(default_factory=set[str])  # of package URLs
    raw_ignored: set[str] = field(default_factory=set[str])  # what a match has to leave out
    _found: set[PackageKey] = field(default_factory=set[PackageKey])

    @property
    def missing(self) -> int:
        """How many packages stood out in the scan, and have no component."""
        facts = self.facts
        return len(facts.third_party.union(facts.names, facts.purls) - self._found)

    def add(self, component: ComponentFact) -> None:
        if not component.purl:
            return
        self.kinds.add(_kind(component.purl))
        key = _key(
            component.property(PACKAGE_ID),
            component.property(PACKAGE_TYPE),
            component.property(FILE_PATH),
            component.purl,
            component.name,
        )
        facts = self.facts
        if is_left_out(facts.family, component.purl, component.properties):
            self.raw_ignored.add(component.raw_ref)
        if key in facts.third_party:
            self.third_party.append(component.ref)
            self.raw_ignored.add(component.raw_ref)
            self._found.add(key)
        name, purl = facts.names.get(key), facts.purls.get(key)
        if name is not None:
            self._found.add(key)
            if name != component.name:
                self.names[component.ref] = name
        if purl is not None:
            self._found.add(key)
            if purl != component.purl:
                self.purls[component.ref] = purl


_BY_SOURCE = frozenset({"azurelinux", "cbl-mariner", "photon", "debian", "ubuntu", "echo"})
_SOURCE_NAME = "aquasecurity:trivy:SrcName"


def is_left_out(family: str, purl: str, properties: Sequence[tuple[str, str]]) -> bool:
    """Whether a scan has nothing to match a package by: its source, of which it has none.

    Read back, Trivy takes the package's own name for the source's. These are the distributions whose
    advisories it looks up by the source alone.
    """
    is_system = _kind(purl) in ("rpm", "deb")
    return is_system and family in _BY_SOURCE and all(name != _SOURCE_NAME for name, _ in properties)


def _key(id_: str, type_: str, path: str, purl: str, name: str) -> PackageKey:
    """The same for a package in the JSON and for its component; a URL's case and escapes differ."""
    url = unquote(purl.partition("?")[0]).lower()
    return (id_, type_, path, url or name.lower())


def _kind(purl: str) -> str:
    return purl.removeprefix("pkg:").partition("/")[0]
