"""Paths: a container's paths rewritten to the machine's, textually. Pure.

A process here shares the machine's file system, so what a container would find under a mount path lies
elsewhere. Each text a container brings along (command, arguments, environment) is searched for mount paths;
the longest that fits wins. A mount path counts only as a path of its own: ``/tmp`` is meant by ``/tmp``,
``/tmp/x``, ``>/tmp/x`` and ``--dir=/tmp``, not by ``/var/tmp``, ``/tmpfs``, ``https://host/tmp`` or
``a/tmp``. Not here: what programs write or read by themselves; paths in the content of mounted files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_NAME = r"[A-Za-z0-9_.~+%@-]"  # what may go on in a path's last part
_BEFORE = r"(?<![A-Za-z0-9_.~+%@/-])(?:(?<!://)|^)"
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")


@dataclass(frozen=True, slots=True)
class PathMap:
    """Where a container's paths lie on this machine."""

    roots: tuple[tuple[str, str], ...]  # (path in the container, path here), longest first
    _pattern: re.Pattern[str]

    @classmethod
    def of(cls, roots: Mapping[str, str]) -> PathMap:
        """Map each key (an absolute path in the container) and what is below it to its value."""
        clean = {path.rstrip("/"): target.rstrip("/") for path, target in roots.items() if path.rstrip("/")}
        ordered = tuple(sorted(clean.items(), key=lambda root: (-len(root[0]), root[0])))
        paths = "|".join(re.escape(path) for path, _ in ordered)
        pattern = re.compile(rf"{_BEFORE}({paths})(?!{_NAME})" if paths else r"(?!)")
        return cls(ordered, pattern)

    def rewrite(self, text: str) -> str:
        """``text`` with every path under a mount replaced."""
        targets = dict(self.roots)
        return self._pattern.sub(lambda found: targets[found.group(1)], text)

    def rewrite_path(self, value: str) -> str:
        """Like ``rewrite``, but only if the whole value is one path: for values that may hold anything."""
        return self.rewrite(value) if value.startswith("/") and not re.search(r"[\s:;,=]", value) else value

    def locate(self, path: str) -> str | None:
        """Where this container path lies; None if it is under no mount."""
        for root, target in self.roots:
            if path == root or path.startswith(f"{root}/"):
                return target + path[len(root) :]
        return None


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by the variable, as the API says for commands and values; ``$$`` is a dollar sign.

    References to unknown names stay as they are.
    """

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name is None:
            return "$"
        return variables.get(name, found.group(0))

    return _REFERENCE.sub(value, text)


def nested(paths: Iterable[str]) -> Sequence[tuple[str, str]]:
    """Pairs (inner, outer) of mount paths that lie in one another, each with the nearest outer one."""
    ordered = sorted({path.rstrip("/") for path in paths})
    pairs: list[tuple[str, str]] = []
    for inner in ordered:
        outer = [path for path in ordered if path != inner and inner.startswith(f"{path}/")]
        if outer:
            pairs.append((inner, max(outer, key=len)))
    return pairs
