"""Stored: a report as receivers get it, byte for byte as the Go operator writes it.

It is the object as the API server stores it, without ``managedFields``, with keys in the order of the Go
operator's types and text escaped as Go's JSON encoder does. No receiver should depend on either, but
signatures, recordings and comparisons of texts do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson

from trivyop.notify.events import Change

# The order of the fields of what a field holds, by the field's name ("" is the report itself). Where two
# fields of the same name hold different things, one order suits both. What is not listed comes last, by name.
_ORDER: Mapping[str, tuple[str, ...]] = {
    field: tuple(order.split())
    for field, order in {
        "": "kind apiVersion metadata report spec status",
        # of objects; then of bills of materials
        "metadata": "name generateName namespace uid resourceVersion generation creationTimestamp "
        "deletionTimestamp deletionGracePeriodSeconds labels annotations ownerReferences finalizers "
        "timestamp tools component",
        "ownerReferences": "apiVersion kind name uid controller blockOwnerDeletion",
        "report": "updateTimestamp scanner registry artifact os summary "
        "vulnerabilities secrets checks components",
        "scanner": "name vendor version",
        "artifact": "repository digest tag mimeType",
        "os": "eosl family name",
        "summary": "dependenciesCount componentsCount criticalCount highCount mediumCount lowCount "
        "unknownCount noneCount passCount failCount",
        "vulnerabilities": "vulnerabilityID resource installedVersion fixedVersion publishedDate "
        "lastModifiedDate severity title description cvsssource primaryLink links score target cvss class "
        "packageType packagePath packagePURL",
        "secrets": "target ruleID title category severity match",
        "checks": "id checkID title description severity category messages remediation success scope target",
        "scope": "type value",
        # the bill of materials; then its components
        "components": "bomFormat specVersion serialNumber bom-ref type name group version metadata "
        "components dependencies purl supplier hashes licenses properties",
        "component": "bom-ref type name group version purl supplier hashes licenses properties",
        "supplier": "name url contact",
        "hashes": "alg content",
        "licenses": "license expression",
        "license": "id name url",
        "properties": "name value",
        "dependencies": "ref dependsOn",
        "spec": "cron reportType compliance",
        "compliance": "id title description version relatedResources platform type controls",
        "controls": "id name description checks commands severity defaultStatus",
        "status": "summary summaryReport detailReport updateTimestamp",
        "summaryReport": "id title controlCheck",
        "controlCheck": "id name severity totalFail",
        "detailReport": "id title description version relatedVersion results",
        "results": "id name description status severity checks",
    }.items()
}
_UNSENT = frozenset({"managedFields", "selfLink"})
# they occur only inside of texts in JSON
_ESCAPES = (
    (b"&", rb"\u0026"),
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


def stored(change: Change) -> dict[str, Any]:
    """The report of a change for a receiver, in the Go operator's order."""
    return _ordered_fields(unordered(change), "")


def unordered(change: Change) -> dict[str, Any]:
    """The report of a change for a receiver, in any order; its values are shared."""
    document = change.object or {"metadata": _identity(change)}
    metadata = {name: value for name, value in document["metadata"].items() if name not in _UNSENT}
    return {
        "kind": change.resource.kind,
        "apiVersion": change.resource.api_version,
        **document,
        "metadata": metadata,
    }


def dump(document: Mapping[str, Any]) -> bytes:
    """JSON as Go's encoder writes it."""
    data = orjson.dumps(document)
    for char, escape in _ESCAPES:
        data = data.replace(char, escape)
    return data


def _identity(change: Change) -> dict[str, str]:
    namespace, name = change.key
    return {"name": name, **({"namespace": namespace} if namespace else {}), "uid": change.uid}


def _ordered(value: Any, field: str) -> Any:
    if isinstance(value, dict):
        return _ordered_fields(cast(dict[str, Any], value), field)
    if isinstance(value, list):
        return [_ordered(one, field) for one in cast(list[Any], value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _ordered_fields(fields: dict[str, Any], field: str) -> dict[str, Any]:
    order = _ORDER.get(field, ())
    known = [name for name in order if name in fields]
    if len(known) < len(fields):
        known += sorted(fields.keys() - known - _UNSENT)
    return {
        # most are texts, and there are very many
        name: one if isinstance(one := fields[name], str) else _ordered(one, name)
        for name in known
    }
