"""rpmdb: the database of installed packages as RPM 4.16 and later keep it, made from nothing.

It is an SQLite file with one table, and in each row a package's header: an index of tags, and the data that
they point at, with a first tag and a trailer that say how much of both belongs together.

Promises: what reads headers of version 4 reads these. The file's bytes depend on the version of SQLite.
Format: lib/header.c and lib/backend/sqlite.c in RPM's sources.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Mapping
from contextlib import closing

_REGION, _BINARY, _INT32, _STRING = 63, 7, 4, 6  # a tag, and types
_ENTRY = struct.Struct(">iIiI")  # tag, type, offset into the data, count
_LENGTHS = struct.Struct(">ii")  # entries, bytes of data
_TAGS = {  # in the order in which headers have them
    "name": 1000,
    "version": 1001,
    "release": 1002,
    "epoch": 1003,
    "vendor": 1011,
    "license": 1014,
    "arch": 1022,
    "source": 1044,
}


def build_rpm_database(packages: Iterable[Mapping[str, str | int]]) -> bytes:
    """The file ``rpmdb.sqlite``; packages have some of the keys of ``_TAGS``, epoch as a number."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        database.executemany(
            "INSERT INTO Packages(blob) VALUES (?)", [(_header(package),) for package in packages]
        )
        database.commit()
        return database.serialize()


def _header(package: Mapping[str, str | int]) -> bytes:
    data = bytearray()
    entries: list[bytes] = []
    for key, tag in _TAGS.items():
        value = package.get(key, "")
        if value == "":
            continue
        if isinstance(value, int):
            data += bytes(-len(data) % 4)
            entries.append(_ENTRY.pack(tag, _INT32, len(data), 1))
            data += struct.pack(">i", value)
        else:
            entries.append(_ENTRY.pack(tag, _STRING, len(data), 1))
            data += value.encode() + b"\0"
    count = len(entries) + 1
    region = _ENTRY.pack(_REGION, _BINARY, len(data), _ENTRY.size)
    trailer = _ENTRY.pack(_REGION, _BINARY, -count * _ENTRY.size, _ENTRY.size)
    data += trailer
    return _LENGTHS.pack(count, len(data)) + region + b"".join(entries) + bytes(data)
