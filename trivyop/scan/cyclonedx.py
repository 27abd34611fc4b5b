"""Bills of materials: a CycloneDX document reduced to what the reports hold.

Trivy gives components without a package URL, and the document, random identifiers. Here they become functions
of what they identify, so that the same image always has the same bill of materials, but for its timestamp.
A large document is taken apart while it is read (``splitting.py``), and of a bill of materials that fits no
report of the given budget only that is kept which such a report can hold.

Promises: every reference that came in and is kept resolves after it; order comes from sorting. What is not a
CycloneDX document is a ``ParseError``. How a document was read does not show in the result.
Not here: the report around it, and what it takes to be given to ``trivy sbom`` again (``matching.py``).
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import Counter
from typing import IO, Any, TypeVar, cast

import msgspec

from trivyop.report.findings import BomLeftOut, Sbom
from trivyop.report.growing import GrowingBom
from trivyop.scan.scanfacts import ComponentFact, Linked
from trivyop.scan.splitting import WHOLE_BYTES, Path, SplitError, bytes_in, split
from trivyop.trivy.failures import ParseError

T = TypeVar("T")

_Json = dict[str, Any]
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_NAMESPACE = uuid.UUID("6f3b1a52-8d0f-5c1e-9b57-0a4f3f7f2c11")  # random once, for names of ours


class _License(msgspec.Struct, omit_defaults=True):
    id: str = ""
    name: str = ""
    url: str = ""


class _LicenseChoice(msgspec.Struct, omit_defaults=True):
    expression: str = ""
    license: _License | None = None


class _Hash(msgspec.Struct):
    alg: str
    content: str


class _Property(msgspec.Struct, order=True):
    name: str
    value: str = ""


class _Contact(msgspec.Struct, omit_defaults=True):
    name: str = ""
    email: str = ""
    phone: str = ""


class _Supplier(msgspec.Struct, omit_defaults=True):
    name: str = ""
    url: list[str] | None = None
    contact: list[_Contact] | None = None


class _Component(msgspec.Struct, omit_defaults=True):
    bom_ref: str = msgspec.field(name="bom-ref", default="")
    type: str = ""
    group: str = ""
    name: str = ""
    version: str = ""
    purl: str = ""
    supplier: _Supplier | None = None
    hashes: list[_Hash] | None = None
    licenses: list[_LicenseChoice] | None = None
    properties: list[_Property] | None = None


class _Dependency(msgspec.Struct, rename="camel"):
    ref: str
    depends_on: list[str] = []


class _Metadata(msgspec.Struct):
    component: _Component | None = None
    timestamp: str = ""


class _Document(msgspec.Struct, rename="camel"):
    bom_format: str = ""
    spec_version: str = ""
    serial_number: str = ""
    version: int = 1
    metadata: _Metadata | None = None
    components: list[_Component] | None = None
    dependencies: list[_Dependency] | None = None


_DECODER = msgspec.json.Decoder(_Document)
_COMPONENT_DECODER = msgspec.json.Decoder(_Component)
_DEPENDENCY_DECODER = msgspec.json.Decoder(_Dependency)
_LONG_ARRAYS = (None,)


def parse_bom(data: bytes, *, scanner_version: str) -> Sbom:
    """Read a CycloneDX document in JSON and reduce it to the fields we use."""
    sbom, _ = _of_whole(data, scanner_version, None, None)
    return sbom


def read_bom(
    file: IO[bytes], *, scanner_version: str, budget_bytes: int | None, linked: Linked | None = None
) -> tuple[Sbom, BomLeftOut]:
    """Read a CycloneDX document in JSON of any size; None for the budget: keep all of it.

    ``linked`` is filled with what the scan says of the components. It takes about a second for 10 MB, in
    which other threads have their turn.
    """
    if bytes_in(file) <= WHOLE_BYTES:
        return _of_whole(file.read(), scanner_version, budget_bytes, linked)
    try:
        return _of_parts(file, scanner_version, budget_bytes, linked)
    except SplitError as error:
        raise ParseError(f"the bill of materials is not CycloneDX in JSON: {error}") from None


def _of_whole(
    data: bytes, scanner_version: str, budget_bytes: int | None, linked: Linked | None
) -> tuple[Sbom, BomLeftOut]:
    document = _decode(_DECODER, data)
    reduced = _Reduced(budget_bytes, linked)
    for component in document.components or ():
        reduced.add_component(component)
    for dependency in document.dependencies or ():
        reduced.add_dependency(dependency)
    return reduced.sbom(document, scanner_version)


def _of_parts(
    file: IO[bytes], scanner_version: str, budget_bytes: int | None, linked: Linked | None
) -> tuple[Sbom, BomLeftOut]:
    reduced = _Reduced(budget_bytes, linked)

    def take(path: Path, text: str) -> None:
        if path == ("components",):
            reduced.add_component(_decode(_COMPONENT_DECODER, text))
        elif path == ("dependencies",):
            reduced.add_dependency(_decode(_DEPENDENCY_DECODER, text))

    rest = split(file, _LONG_ARRAYS, take)
    return reduced.sbom(_decode(_DECODER, rest), scanner_version)


def _decode(decoder: msgspec.json.Decoder[T], data: bytes | str) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ParseError(f"the bill of materials is not CycloneDX in JSON: {error}") from None


class _Reduced:
    """A bill of materials on its way to its reduced form, one component at a time."""

    def __init__(self, budget_bytes: int | None, linked: Linked | None) -> None:
        self._bom = GrowingBom(budget_bytes)
        self._linked = linked
        self._renamed: dict[str, str] = {}  # as long as dependencies need it
        self._seen: Counter[bytes] = Counter()  # components without a name of their own, by identity
        self._content = 0

    def add_component(self, component: _Component) -> None:
        identity = _identity(component)
        self._content += int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=16).digest())
        raw_ref = component.bom_ref
        plain = self._plain(component, identity)
        if self._linked is not None:
            self._linked.add(_fact(component, raw_ref))
        self._bom.add_component(plain)

    def add_dependency(self, dependency: _Dependency) -> None:
        self._bom.add_dependency({"ref": dependency.ref, "dependsOn": dependency.depends_on})

    def sbom(self, document: _Document, scanner_version: str) -> tuple[Sbom, BomLeftOut]:
        """Finish it; of ``document`` all counts but components and dependencies."""
        if document.bom_format != "CycloneDX" or not document.spec_version:
            raise ParseError("the bill of materials is JSON, but not CycloneDX")
        metadata = document.metadata or _Metadata()
        root = metadata.component
        identity = _identity(root) if root else ""
        plain_root = self._plain(root, identity) if root else None
        components, dependencies, left_out = self._bom.result(plain_root)
        sbom: Sbom = {
            "bomFormat": document.bom_format,
            "specVersion": document.spec_version,
            "serialNumber": f"urn:uuid:{self._serial(identity)}",
            "version": document.version,
            "metadata": _metadata(metadata.timestamp, plain_root, scanner_version),
            "components": components,
        }
        if self._bom.has_dependencies:
            sbom["dependencies"] = self._dependencies(dependencies)
        return sbom, left_out

    def _plain(self, component: _Component, identity: str) -> _Json:
        component.bom_ref = self._stable_ref(component.bom_ref, identity)
        if component.properties:
            component.properties.sort()
        return cast("_Json", _without_empty(msgspec.to_builtins(component)))

    def _stable_ref(self, ref: str, identity: str) -> str:
        """A new name for a random one: of what the component is, counted where several are the same."""
        if not _UUID.fullmatch(ref):
            return ref
        short = hashlib.blake2b(identity.encode(), digest_size=8).digest()  # there may be very many
        number = self._seen[short]
        self._seen[short] += 1
        name = str(uuid.uuid5(_NAMESPACE, f"{number}:{identity}"))
        if self._bom.has_dependencies:
            self._renamed[ref] = name
        else:
            self._renamed.clear()
        return name

    def _serial(self, root: str) -> uuid.UUID:
        """One number for one content, whatever its order."""
        return uuid.uuid5(_NAMESPACE, f"{self._content % 2**128:032x}:{root}")

    def _dependencies(self, dependencies: list[_Json]) -> list[_Json]:
        def new(ref: str) -> str:
            return self._renamed.get(ref, ref)

        found = [
            {"ref": new(one["ref"]), "dependsOn": sorted(map(new, one["dependsOn"]))} for one in dependencies
        ]
        return sorted(found, key=lambda one: str(one["ref"]))


def has_packages(sbom: Sbom) -> bool:
    """Whether anything in it can be matched against a vulnerability database."""
    components: list[_Json] = sbom.get("components") or []
    return any(component.get("purl") for component in components)


def _fact(component: _Component, raw_ref: str) -> ComponentFact:
    return ComponentFact(
        ref=component.bom_ref,
        raw_ref=raw_ref,
        name=f"{component.group}/{component.name}" if component.group else component.name,
        purl=component.purl,
        properties=[(one.name, one.value) for one in component.properties or ()],
    )


def _identity(component: _Component) -> str:
    properties = sorted((one.name, one.value) for one in component.properties or [])
    return json.dumps(
        [component.type, component.group, component.name, component.version, component.purl, properties]
    )


def _metadata(timestamp: str, root: _Json | None, scanner_version: str) -> _Json:
    tool = {"type": "application", "group": "aquasecurity", "name": "trivy", "version": scanner_version}
    reduced: _Json = {"timestamp": timestamp, "tools": {"components": [tool]}}
    if root is not None:
        reduced["component"] = root
    return reduced


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = {key: _without_empty(inner) for key, inner in cast("_Json", value).items()}
        return {key: inner for key, inner in cleaned.items() if inner not in ("", None, [], {})}
    if isinstance(value, list):
        return [_without_empty(inner) for inner in cast("list[Any]", value)]
    return value
