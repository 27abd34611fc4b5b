"""Files of more languages than the samples need, as their package managers leave them in an image.

Each function gives the files of one thing (path without leading slash -> content), like ``filesystems.py``.

Promises: same arguments, same bytes.
Not here: programs that run. The binaries are ELF files with the one section that scanners read.
Formats: Go's debug/buildinfo; RFC 3054 of Rust (cargo auditable); Composer's installed.json; PEP 376; Ruby's
gemspecs; .NET's deps.json.
"""

from __future__ import annotations

import json
import struct
import zlib

from trivyop.sandbox.registry.filesystems import Files

_GO_MAGIC = b"\xff Go buildinf:"
_GO_SENTINELS = (
    bytes.fromhex("3077af0c9274080241e1c107e6d618e6"),
    bytes.fromhex("f932433186182072008242104116d8f2"),
)
_ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_ELF_SECTION = struct.Struct("<IIQQQQIIQQ")
_ELF_SEGMENT = struct.Struct("<IIQQQQQQ")
_ADDRESS = 0x400000


def composer_application(folder: str, **versions: str) -> Files:
    """A PHP application; underscores in names stand for slashes twice, as keywords have none: ``a__b``."""
    packages = [
        {"name": name.replace("__", "/"), "version": version, "type": "library"}
        for name, version in versions.items()
    ]
    return {f"{folder}/vendor/composer/installed.json": _json({"packages": packages, "dev": False})}


def python_packages(folder: str, **versions: str) -> Files:
    """Wheels as pip installs them; names keep their case and their underscores."""
    return {
        f"{folder}/{name}-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n\n".encode()
        )
        for name, version in versions.items()
    }


def ruby_gems(folder: str, **versions: str) -> Files:
    """Gems as RubyGems installs them."""
    return {
        f"{folder}/specifications/{name}-{version}.gemspec": (
            f'Gem::Specification.new do |s|\n  s.name = "{name}".freeze\n  s.version = "{version}"\n'
            '  s.licenses = ["MIT".freeze]\nend\n'.encode()
        )
        for name, version in versions.items()
    }


def dotnet_application(folder: str, name: str, **versions: str) -> Files:
    """A .NET application with its packages; dots in names are written as two underscores."""
    libraries = {
        f"{package.replace('__', '.')}/{version}": {"type": "package", "serviceable": True, "sha512": ""}
        for package, version in versions.items()
    }
    target = ".NETCoreApp,Version=v8.0"
    nothing: dict[str, str] = {}
    dependencies = {key: {"runtime": {f"lib/{key}.dll": nothing}} for key in libraries}
    document = {
        "runtimeTarget": {"name": target},
        "targets": {target: dependencies},
        "libraries": libraries,
    }
    return {f"{folder}/{name}.deps.json": _json(document)}


def go_binary(path: str, module: str, go: str, *modules: tuple[str, str]) -> Files:
    """A program that Go ``go`` ("1.22.1") built of ``module`` and ``modules`` (path and version)."""
    lines = [f"path\t{module}", f"mod\t{module}\t(devel)\t"]
    lines += [f"dep\t{name}\t{version}\th1:{'A' * 43}=" for name, version in modules]
    info = _GO_SENTINELS[0] + ("\n".join(lines) + "\n").encode() + _GO_SENTINELS[1]
    head = (_GO_MAGIC + bytes([8, 2])).ljust(32, b"\0")
    content = head + _counted(f"go{go}".encode()) + _counted(info)
    return {path: _elf(".go.buildinfo", content)}


def rust_binary(path: str, name: str, **versions: str) -> Files:
    """A program that ``cargo auditable`` built of ``name`` and the crates."""
    crates = [
        {"name": crate, "version": version, "source": "crates.io"} for crate, version in versions.items()
    ]
    root = {
        "name": name,
        "version": "0.1.0",
        "source": "local",
        "root": True,
        "dependencies": list(range(len(crates))),
    }
    return {path: _elf(".dep-v0", zlib.compress(_json({"packages": [*crates, root]})))}


def _counted(data: bytes) -> bytes:
    """``data`` after its length, seven bits a byte."""
    length, size = len(data), bytearray()
    while length >= 0x80:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*size, length]) + data


def _elf(section: str, content: bytes) -> bytes:
    """A program for linux/amd64 with nothing but this section, in a writable segment."""
    names = f"\0{section}\0.shstrtab\0".encode()
    start = (_ELF_HEADER.size + _ELF_SEGMENT.size + 15) // 16 * 16
    names_start = start + len(content)
    table = (names_start + len(names) + 7) // 8 * 8
    header = _ELF_HEADER.pack(
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"),
        *(2, 62, 1, _ADDRESS, _ELF_HEADER.size, table, 0),
        *(_ELF_HEADER.size, _ELF_SEGMENT.size, 1, _ELF_SECTION.size, 3, 2),
    )
    size = len(content)
    segment = _ELF_SEGMENT.pack(1, 6, start, _ADDRESS + start, _ADDRESS + start, size, size, 16)
    sections = (
        _ELF_SECTION.pack(*[0] * 10)
        + _ELF_SECTION.pack(1, 1, 3, _ADDRESS + start, start, size, 0, 0, 16, 0)
        + _ELF_SECTION.pack(len(section) + 2, 3, 0, 0, names_start, len(names), 0, 0, 1, 0)
    )
    body = (header + segment).ljust(start, b"\0") + content + names
    return body.ljust(table, b"\0") + sections


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
