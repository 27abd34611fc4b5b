"""vulndb: a vulnerability database as Trivy downloads it, made of the facts that it is given.

Schema 2 of trivy-db: the bucket ``vulnerability`` has what is said about each id, ``data-source`` who
publishes which advisories, and each ecosystem's bucket a bucket per package with an advisory per id. For
languages the bucket is named ``npm::...`` and Trivy reads all with that prefix. The artifact is one layer,
a tar with ``trivy.db`` and ``metadata.json``.

Promises: same facts and dates, same digest.
Not here: the facts (`facts/`), the file format (`bbolt.py`), the Java index (`javadb.py`).
Format: the sources of github.com/aquasecurity/trivy-db (pkg/types/types.go, pkg/db/db.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from trivyop.kube.times import format_time
from trivyop.sandbox.registry import bbolt
from trivyop.sandbox.registry.facts import KNOWN, NEWS
from trivyop.sandbox.registry.facts.model import Affected, Source, Vulnerability
from trivyop.sandbox.registry.oci import Blob, Image, gzip_stored, tar, to_json

SCHEMA = 2
UPDATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
LIFETIME = timedelta(days=1)  # after which Trivy looks for a newer one; the real database says the same

_LAYER = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"
_ARTIFACT = "application/vnd.aquasec.trivy.config.v1+json"
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time; Trivy writes the time of its download there


def build_database(
    vulnerabilities: Iterable[Vulnerability] = KNOWN,
    *,
    updated_at: datetime = UPDATED_AT,
    more: Mapping[str, bbolt.Bucket] | None = None,
) -> Image:
    """The artifact for ``--db-repository``; ``updated_at`` is aware, ``more`` as in `database_files`."""
    files = database_files(vulnerabilities, updated_at=updated_at, more=more)
    layer = Blob(_LAYER, gzip_stored(tar(files)))
    return Image.artifact(_ARTIFACT, layer, "db.tar.gz")


def build_newer_database(*, updated_at: datetime = UPDATED_AT + LIFETIME) -> Image:
    """The database a day later: `facts.NEWS` are known as well, so that old images have new findings."""
    return build_database((*KNOWN, *NEWS), updated_at=updated_at)


def database_files(
    vulnerabilities: Iterable[Vulnerability] = KNOWN,
    *,
    updated_at: datetime = UPDATED_AT,
    more: Mapping[str, bbolt.Bucket] | None = None,
) -> dict[str, bytes]:
    """The files of a cache's ``db`` folder, for who does not want to download them.

    ``more`` are buckets beside those of the facts: some distributions' advisories have a shape of their own.
    """
    metadata = {
        "Version": SCHEMA,
        "UpdatedAt": format_time(updated_at),
        "NextUpdate": format_time(updated_at + LIFETIME),
        "DownloadedAt": _NEVER,
    }
    return {
        "trivy.db": bbolt.write({**_buckets(vulnerabilities), **(more or {})}),
        "metadata.json": to_json(metadata),
    }


def _buckets(vulnerabilities: Iterable[Vulnerability]) -> dict[str, bbolt.Bucket]:
    details: dict[str, bytes] = {}
    sources: dict[str, bytes] = {}
    ecosystems: dict[str, dict[str, dict[str, bytes]]] = {}
    for vulnerability in vulnerabilities:
        details[vulnerability.id] = to_json(_detail(vulnerability))
        for affected in vulnerability.affected:
            sources[affected.source.bucket] = to_json(_data_source(affected.source))
            packages = ecosystems.setdefault(affected.source.bucket, {})
            packages.setdefault(affected.package, {})[vulnerability.id] = to_json(_advisory(affected))
    return {"vulnerability": details, "data-source": sources, **ecosystems}


def _data_source(source: Source) -> dict[str, str]:
    return {"ID": source.id, "Name": source.name, "URL": source.url}


def _detail(vulnerability: Vulnerability) -> dict[str, Any]:
    severities = vulnerability.all_severities()
    return _without_empty(
        {
            "Title": vulnerability.title,
            "Description": vulnerability.description,
            "Severity": next(iter(severities.values())).name if severities else "",
            "CweIDs": vulnerability.weaknesses,
            "VendorSeverity": {source: int(severity) for source, severity in severities.items()},
            "CVSS": {
                source: {"V3Vector": f"CVSS:3.1/{score.vector}", "V3Score": score.score}
                for source, score in vulnerability.scores.items()
            },
            "References": vulnerability.references,
            "PublishedDate": vulnerability.published,
            "LastModifiedDate": vulnerability.modified,
        }
    )


def _advisory(affected: Affected) -> dict[str, Any]:
    return _without_empty(
        {
            "VendorIDs": affected.vendor_ids,
            "FixedVersion": affected.fixed,
            "Status": int(affected.status),
            "Severity": int(affected.severity),
            "VulnerableVersions": [
                f">={start}, <{fixed}" if start else f"<{fixed}" for start, fixed in affected.ranges
            ],
            "PatchedVersions": [fixed for _, fixed in affected.ranges],
        }
    )


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value}
