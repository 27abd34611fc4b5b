"""What the node collector is told to do: its three arguments, made from our own data files.

The collector gets shell lines, the paths to put into them, and where a kubelet's own configuration says the
same; each as YAML, packed with bzip2 and base64. None of it comes from the bundle of checks, so nodes can be
read in a cluster without access to the internet.

Promises: pure; same platform, same bytes. A line that finds nothing prints nothing and does not fail.
Not here: running them, which the collector's image does.
"""

from __future__ import annotations

import base64
import bz2
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

_PLATFORMS = ("k8s", "eks", "rke2")  # that have commands of their own; all others are asked as "k8s" is
_FORMATS = {"mode": "%a", "owner": "%U:%G"}
_MANAGED = re.compile(r"aks|eks|gke")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that is asked of a node; ``audit`` is a shell line."""

    id: str
    key: str
    node_type: str
    platforms: tuple[str, ...]
    audit: str


def detect_platform(git_version: str, node_names: Iterable[str], *, openshift: bool = False) -> str:
    """What kind of Kubernetes it is, from what the API server and its nodes tell: ``k8s``, ``eks``, ..."""
    if openshift:
        return "ocp"
    for distribution in ("k3s", "rke2", "microk8s", "eks", "gke"):
        if distribution in git_version:
            return distribution
    managed = _MANAGED.search(min(node_names, default=""))
    return managed[0] if managed else "k8s"


def commands_for(platform: str) -> list[Command]:
    """The commands that make sense there, by key."""
    asked = platform if platform in _PLATFORMS else "k8s"
    return [command for command in _all_commands() if asked in command.platforms]


@cache
def collector_arguments(platform: str) -> Mapping[str, str]:
    """The arguments by their flags."""
    commands = [
        {
            "id": command.id,
            "key": command.key,
            "title": _WORDS.sub(" ", command.key).lower(),
            "nodeType": command.node_type,
            "platforms": list(command.platforms),
            "audit": command.audit,
        }
        for command in commands_for(platform)
    ]
    return {
        "--node-config": _packed(_data("paths.yaml")),
        "--kubelet-config-mapping": _packed(_data("kubelet.yaml")),
        "--node-commands": _packed({"commands": commands}),
    }


@cache
def _all_commands() -> tuple[Command, ...]:
    rows: list[dict[str, Any]] = _data("commands.yaml")
    found = [
        Command(row["id"], row["key"], row["node"], tuple(row["platforms"]), _shell_line(row)) for row in rows
    ]
    return tuple(sorted(found, key=lambda command: (command.key, command.id)))


def _shell_line(row: Mapping[str, Any]) -> str:
    if "flag" in row:
        return _argument(row["flag"], row["of"])
    what = next(probe for probe in _FORMATS if probe in row)
    target: str = row[what]
    stat = f"stat -c {_FORMATS[what]}"
    if "of" in row:
        file = _argument(f"{target}=", row["of"])
        return f'file="$({file})"; test -z "$file" || {stat} "$file" 2>/dev/null || true'
    if "named" in row:
        return f"find $(dirname {target}) -name '{row['named']}' -exec {stat} {{}} + 2>/dev/null || true"
    return f"{stat} {target} 2>/dev/null || true"


def _argument(flag: str, program: str) -> str:
    """Print the value of the first such argument; the brackets keep the line from finding itself."""
    ends_it = ' "' if flag.startswith("--") else ' ",'  # a feature gate is one of a list
    value = rf"[{flag[0]}]{flag[1:]}\([^{ends_it}]*\)"
    return f"""ps -ef | grep "{program}" | sed -n 's/.*{value}.*/\\1/p' | head -n 1"""


def _data(name: str) -> Any:
    return yaml.safe_load((resources.files("trivyop.audit.nodes") / "data" / name).read_text())


def _packed(data: Any) -> str:
    text = yaml.safe_dump(data, width=1000, sort_keys=False)
    return base64.b64encode(bz2.compress(text.encode())).decode()
