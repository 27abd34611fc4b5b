"""Bills of materials: a CycloneDX document reduced to what the reports hold.

Trivy gives components without a package URL, and the document, random identifiers. Here they become functions
of what they identify, so that the same image always has the same bill of materials, but for its timestamp.

Promises: every reference that came in resolves after it; order comes from sorting. What is not a CycloneDX
document is a ``ParseError``. The result can be given to ``trivy sbom``.
Not here: the report around it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from trivyop.report.findings import Sbom
from trivyop.scan.failures import ParseError

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


def parse_bom(data: bytes | bytearray, *, scanner_version: str) -> Sbom:
    """Read a CycloneDX document in JSON and reduce it."""
    try:
        document = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ParseError(f"the bill of materials is not CycloneDX in JSON: {error}") from None
    if document.bom_format != "CycloneDX" or not document.spec_version:
        raise ParseError("the bill of materials is JSON, but not CycloneDX")
    metadata = document.metadata or _Metadata()
    components = document.components or []
    root = metadata.component
    renamed = _stable_refs(root, components)
    for component in ([root] if root else []) + components:
        component.bom_ref = renamed.get(component.bom_ref, component.bom_ref)
        if component.properties:
            component.properties.sort()
    components.sort(key=lambda component: (component.bom_ref, component.name, component.version))
    return {
        "bomFormat": document.bom_format,
        "specVersion": document.spec_version,
        "serialNumber": f"urn:uuid:{_serial(root, components)}",
        "version": document.version,
        "metadata": _metadata(metadata, scanner_version),
        "components": [_plain(component) for component in components],
        "dependencies": _dependencies(document.dependencies or [], renamed),
    }


def has_packages(sbom: Sbom) -> bool:
    """Whether anything in it can be matched against a vulnerability database."""
    components: list[_Json] = sbom.get("components") or []
    return any(component.get("purl") for component in components)


def as_document(sbom: Sbom) -> bytes:
    """The reduced bill of materials as a CycloneDX document, for ``trivy sbom``."""
    return json.dumps(sbom, separators=(",", ":")).encode()


def _stable_refs(root: _Component | None, components: list[_Component]) -> dict[str, str]:
    """New names for random ones: of what a component is, counted where several are the same."""
    renamed: dict[str, str] = {}
    seen: dict[str, int] = {}
    random = [component for component in components if _UUID.fullmatch(component.bom_ref)]
    if root is not None and _UUID.fullmatch(root.bom_ref):
        random.append(root)
    for component in sorted(random, key=_identity):
        identity = _identity(component)
        number = seen[identity] = seen.get(identity, -1) + 1
        renamed[component.bom_ref] = str(uuid.uuid5(_NAMESPACE, f"{number}:{identity}"))
    return renamed


def _identity(component: _Component) -> str:
    properties = sorted((one.name, one.value) for one in component.properties or [])
    return json.dumps(
        [component.type, component.group, component.name, component.version, component.purl, properties]
    )


def _serial(root: _Component | None, components: list[_Component]) -> uuid.UUID:
    """One number for one content."""
    identities = sorted(_identity(component) for component in components)
    return uuid.uuid5(_NAMESPACE, json.dumps([_identity(root) if root else "", identities]))


def _metadata(metadata: _Metadata, scanner_version: str) -> _Json:
    tool = {"type": "application", "group": "aquasecurity", "name": "trivy", "version": scanner_version}
    reduced: _Json = {"timestamp": metadata.timestamp, "tools": {"components": [tool]}}
    if metadata.component is not None:
        reduced["component"] = _plain(metadata.component)
    return reduced


def _plain(component: _Component) -> _Json:
    return cast("_Json", _without_empty(msgspec.to_builtins(component)))


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        cleaned = {key: _without_empty(inner) for key, inner in cast("Mapping[str, Any]", value).items()}
        return {key: inner for key, inner in cleaned.items() if inner not in ("", None, [], {})}
    if isinstance(value, list):
        return [_without_empty(inner) for inner in cast("list[Any]", value)]
    return value


def _dependencies(dependencies: list[_Dependency], renamed: dict[str, str]) -> list[_Json]:
    found = [
        {
            "ref": renamed.get(one.ref, one.ref),
            "dependsOn": sorted(renamed.get(ref, ref) for ref in one.depends_on),
        }
        for one in dependencies
    ]
    return sorted(found, key=lambda one: str(one["ref"]))
