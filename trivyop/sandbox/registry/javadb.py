"""javadb: the index by which Trivy names a jar that does not say what it is, by its SHA-1.

Trivy downloads it as soon as an image has a jar, whatever the jar says. It is an SQLite file with two
tables, served like the vulnerability database.

Promises: a jar that is listed is found. The file's bytes depend on the version of SQLite.
Format: schema 1 in the sources of github.com/aquasecurity/trivy-java-db (pkg/db/db.go).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trivyop.kube.times import format_time
from trivyop.sandbox.registry.oci import Blob, Image, gzip_stored, tar, to_json

SCHEMA = 1
UPDATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
LIFETIME = timedelta(days=3)

_LAYER = "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip"
_ARTIFACT = "application/vnd.aquasec.trivy.config.v1+json"
_TABLES = """
CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT);
CREATE TABLE indices(
    artifact_id INTEGER REFERENCES artifacts(id), version TEXT, sha1 BLOB, archive_type TEXT
);
CREATE UNIQUE INDEX artifacts_by_name ON artifacts(artifact_id, group_id);
CREATE INDEX indices_by_artifact ON indices(artifact_id);
CREATE UNIQUE INDEX indices_by_sha1 ON indices(sha1);
"""


@dataclass(frozen=True, slots=True)
class Jar:
    """A jar and its coordinates in Maven's world."""

    group: str
    artifact: str
    version: str
    data: bytes


def build_java_database(jars: Iterable[Jar] = (), *, updated_at: datetime = UPDATED_AT) -> Image:
    """The artifact for ``--java-db-repository``; ``updated_at`` is aware."""
    times = {"UpdatedAt": updated_at, "NextUpdate": updated_at + LIFETIME}
    metadata = {
        "Version": SCHEMA,
        "DownloadedAt": "0001-01-01T00:00:00Z",
        **{name: format_time(moment) for name, moment in times.items()},
    }
    files = {"trivy-java.db": _index(jars), "metadata.json": to_json(metadata)}
    return Image.artifact(_ARTIFACT, Blob(_LAYER, gzip_stored(tar(files))), "javadb.tar.gz")


def _index(jars: Iterable[Jar]) -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_TABLES)
        for jar in jars:
            key = (jar.group, jar.artifact)
            database.execute("INSERT OR IGNORE INTO artifacts(group_id, artifact_id) VALUES (?, ?)", key)
            database.execute(
                "INSERT INTO indices SELECT id, ?, ?, 'jar' FROM artifacts"
                " WHERE group_id = ? AND artifact_id = ?",
                (jar.version, hashlib.sha1(jar.data, usedforsecurity=False).digest(), *key),
            )
        database.commit()
        return database.serialize()
